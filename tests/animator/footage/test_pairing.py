from __future__ import annotations

import pytest

from animator.footage.pairing import HELD_OUT, TRAIN, draw_pairs, split_identities

CLIPS = {
    "anna": [("a.mp4", frame, f"a{frame}") for frame in range(20)],
    "ben": [("b.mp4", 0, "b0"), ("b.mp4", 1, "b1")],
    "cleo": [("c.jpg", 0, "c"), ("d.jpg", 0, "d")],
    "dan": [("e.jpg", 0, "e")],
}


def test_pairs_are_of_one_person_and_far_apart_where_that_can_be() -> None:
    pairs = draw_pairs(CLIPS, per_picture=3, gap=5, seed=0)
    assert len(pairs) == len(set(pairs)) == 20 * 3 + 2 + 2
    for source, target in pairs:
        assert source != target and (source[0] == target[0] or {source, target} == {"c", "d"})
        if source[0] == "a":
            assert abs(int(source[1:]) - int(target[1:])) >= 5
    assert ("b0", "b1") in pairs and not [pair for pair in pairs if "e" in pair]
    assert pairs == draw_pairs(CLIPS, per_picture=3, gap=5, seed=0)
    assert pairs != draw_pairs(CLIPS, per_picture=3, gap=5, seed=1)


def test_few_pairs_show_everybody_in_turn() -> None:
    pairs = draw_pairs(CLIPS, per_picture=4, gap=5, seed=0, total=5)
    assert [source[0] for source, _ in pairs][:2] == ["a", "b"] and len(pairs) == 5
    many = draw_pairs({"anna": CLIPS["anna"]}, per_picture=4, gap=5, seed=0, total=20)
    assert len({target for _, target in many}) == 20
    assert {name for name in pairs[2]} == {"c", "d"}


@pytest.mark.parametrize("share, count", [(0.0, 0), (0.2, 2), (0.99, 9)])
def test_persons_are_held_out_whole(share: float, count: int) -> None:
    people = [f"p{number}" for number in range(10)] * 3
    split = split_identities(people, share, seed=4)
    assert sum(side == HELD_OUT for side in split.values()) == count
    assert split == split_identities(people[::-1], share, seed=4)
    assert TRAIN in split.values()
