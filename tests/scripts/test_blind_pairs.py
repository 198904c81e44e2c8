"""Blind comparisons are drawn evenly, keep their secret until they are judged, and are counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from animator.errors import AnimatorError


@pytest.fixture
def blind(script: Callable[[str], Any]) -> Any:
    return script("blind_pairs")


def spread(counts: Counter[Any], kinds: int) -> int:
    """How much more often the most frequent of some kinds comes than the rarest."""
    values = list(counts.values()) + [0] * (kinds - len(counts))
    return max(values) - min(values)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("portraits", "drivers", "names", "versus", "count"),
    [
        (10, 5, "abc", None, 24),
        (4, 6, "abcd", None, 24),
        (3, 3, "ab", None, 7),
        (12, 4, "abcd", "c", 25),
        (2, 3, "abcd", None, 24),
        (2, 2, "abc", "a", 8),
    ],
)
def test_all_is_spread_evenly(
    blind: Any, portraits: int, drivers: int, names: str, versus: str | None, count: int, seed: int
) -> None:
    drawn = blind.draw_pairs(portraits, drivers, list(names), count, seed, versus)
    assert len(drawn) == len(set(drawn)) == count
    assert spread(Counter(pair.portrait for pair in drawn), portraits) <= 1
    assert spread(Counter(pair.driver for pair in drawn), drivers) <= 1
    # No portrait has a driver again while it lacks another that any has once less.
    cells = Counter((pair.portrait, pair.driver) for pair in drawn)
    assert spread(cells, portraits * drivers) <= 1
    # No two results are compared twice, whichever is A.
    compared = Counter((pair.portrait, pair.driver, *sorted(pair[2:])) for pair in drawn)
    assert set(compared.values()) == {1}

    duels = {duel for duel in combinations(names, 2) if versus is None or versus in duel}
    met = Counter(tuple(sorted(pair[2:])) for pair in drawn)
    assert set(met) <= duels
    assert spread(met, len(duels)) <= (1 if count <= portraits * drivers else 2)
    # A and B: for each two candidates, and for each candidate.
    for first, second in duels:
        orders = Counter(pair[2:] for pair in drawn)
        assert abs(orders[first, second] - orders[second, first]) <= 1
    for name in names:
        assert abs(sum((pair.a == name) - (pair.b == name) for pair in drawn)) <= 1


def test_the_draw_is_random_and_can_be_repeated(blind: Any) -> None:
    draws = [tuple(blind.draw_pairs(10, 5, ["new", "old"], 24, seed)) for seed in range(60)]
    assert len(set(draws)) == 60
    assert draws[7] == tuple(blind.draw_pairs(10, 5, ["new", "old"], 24, 7))
    # Nothing can be told from the number of a pair: each is A about as often at every place.
    for place in range(24):
        assert 15 <= sum(draw[place].a == "new" for draw in draws) <= 45


@pytest.mark.parametrize(
    ("names", "count", "versus", "words"),
    [
        (["new"], 3, None, "two candidates or more"),
        (["new", "new"], 3, None, "two candidates called 'new'"),
        (["new", "old"], 3, "odd", "--versus is 'odd'"),
        (["new", "old"], 0, None, "allowed is 1 to 6"),
        (["new", "old"], 7, None, "allowed is 1 to 6"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    blind: Any, names: list[str], count: int, versus: str | None, words: str
) -> None:
    with pytest.raises(AnimatorError, match=words) as caught:
        blind.draw_pairs(2, 3, names, count, 1, versus)
    assert caught.value.code == "invalid_option"


def test_the_key_cannot_be_read_by_accident(blind: Any, tmp_path: Path) -> None:
    pairs = blind.draw_pairs(2, 3, ["newest-model", "older-model"], 6, 1)
    content = {"candidates": {"newest-model": "ab12", "older-model": "cd34"}, "pairs": pairs}
    blind.write_key(tmp_path, content)
    text = (tmp_path / "key.json").read_text()
    assert not any(word in text for word in ("newest", "older", "model", "ab12"))
    assert blind.read_key(tmp_path) == json.loads(json.dumps(content))
    # The same sheet goes on; another one is not mixed into it.
    blind.write_key(tmp_path, content)
    with pytest.raises(AnimatorError, match="another folder"):
        blind.write_key(tmp_path, content | {"pairs": pairs[1:]})
    (tmp_path / "pair-02.png").touch()
    blind.write_key(tmp_path, content)
    (tmp_path / "key.json").unlink()
    with pytest.raises(AnimatorError, match="whose key is gone"):
        blind.write_key(tmp_path, content)
    (tmp_path / "key.json").write_text(text[:-30])
    with pytest.raises(AnimatorError, match="cannot be read"):
        blind.read_key(tmp_path)


HEAD = "pair,better,remark\n"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (HEAD + "1,,\n2,A,\n3,,\n", "not judged yet is pair 1, 3 of 3"),
        (HEAD + "1,A,\n2,B,\n", "not judged yet is pair 3 of 3"),
        (HEAD + "1,A,\n2,C,\n3,,\n", "Pair 2 has 'C' as better; allowed are A, B and ="),
        (HEAD + "1,A,\n2,B,\n2,A,\n3,B,\n", "pair 2 twice"),
        (HEAD + "1,A,\n2,B,\n4,B,\n", "a pair '4'; there are 1 to 3"),
        (HEAD + "1,A,\n2,B,\nx,B,\n", "a pair 'x'"),
        ("1,A\n2,B\n3,=\n", "needs a line pair,better,remark"),
        ("", "needs a line"),
    ],
)
def test_the_key_stays_shut_until_all_is_judged(
    blind: Any, tmp_path: Path, form: str, words: str
) -> None:
    (tmp_path / "judgements.csv").write_text(form)
    with pytest.raises(AnimatorError, match=words) as caught:
        blind.read_form(tmp_path, 3)
    assert caught.value.code == "bad_data" and "\n" not in caught.value.message


def test_forms_are_read_as_spreadsheets_write_them(blind: Any, tmp_path: Path) -> None:
    blind.write_form(tmp_path, 3)
    form = tmp_path / "judgements.csv"
    assert form.read_text() == HEAD + "1,,\n2,,\n3,,\n"
    lines = ["pair;better;remark", "3;=;", '1; b ;"teeth; lips"', "2;A;", ";;", ""]
    form.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    blind.write_form(tmp_path, 3)  # what is filled in stays
    assert blind.read_form(tmp_path, 3) == [("B", "teeth; lips"), ("A", ""), ("=", "")]


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (4, 4, 1.0),
        (5, 0, 0.0625),
        (0, 5, 0.0625),
        (9, 1, 22 / 1024),
        (15, 5, 0.04138946533203125),
        (20, 4, 0.001543879508972168),
    ],
)
def test_the_sign_test_is_that_of_the_tables(blind: Any, wins: int, losses: int, p: float) -> None:
    assert blind.sign_test(wins, losses) == pytest.approx(p, rel=1e-12)


def test_verdicts_count_for_whom_they_mean(blind: Any) -> None:
    pairs = [
        blind.Pair(0, 0, "new", "old"),
        blind.Pair(0, 1, "old", "new"),
        blind.Pair(1, 0, "old", "new"),
        blind.Pair(1, 1, "odd", "new"),
        blind.Pair(2, 0, "odd", "old"),
    ]
    verdicts = [("A", ""), ("B", "sharp |\nteeth"), ("A", ""), ("=", "both blink"), ("B", "")]
    page = blind.table(["new", "old", "odd"], pairs, [blind.Judgement(*one) for one in verdicts])
    assert page.splitlines() == [
        "| candidate | against | wins | losses | ties | p |",
        "|---|---|---|---|---|---|",
        "| new | old | 2 | 1 | 0 | 1.000 |",
        "| new | odd | 0 | 0 | 1 | 1.000 |",
        "| old | odd | 1 | 0 | 0 | 1.000 |",
        "",
        "A was better 2 times, B 2 times.",
        "",
        "Remarks:",
        "",
        "- pair 2 (A old, B new; better new): sharp | teeth",
        "- pair 4 (A odd, B new; better neither): both blink",
    ]
