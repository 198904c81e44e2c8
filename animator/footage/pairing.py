"""Pairs of pictures of persons, and the persons that are held out: by the seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gfla.data.pose_tables import Pair

TRAIN, HELD_OUT = "train", "held-out"
Shown = tuple[str, int, str]
"""One picture of somebody: the photo or video it is of, the frame, and its name."""


def split_identities(identities: Sequence[str], held_out: float, seed: int) -> dict[str, str]:
    """The side of every person; somebody is always trained on.

    Args:
        identities: of the persons; the same one may be there many times.
        held_out: share of the persons that are held out, 0 to 1.
        seed: of the choice.
    """
    people = sorted(set(identities))
    order = np.random.default_rng([seed, 1]).permutation(len(people))
    count = min(round(held_out * len(people)), len(people) - 1)
    return {people[i]: HELD_OUT if n < count else TRAIN for n, i in enumerate(order)}


def draw_pairs(
    people: Mapping[str, Sequence[Shown]],
    *,
    per_picture: int,
    gap: int,
    seed: int,
    total: int | None = None,
) -> list[Pair]:
    """Random pairs (source, target) of pictures of the same person.

    Args:
        people: pictures by person.
        per_picture: pairs in which a picture is the target, as far as there are sources.
        gap: least distance of the frames of a pair, where a clip is long enough.
        seed: of the draw.
        total: so many pairs in all, of all persons in turn; None for all that were drawn.
    """
    random = np.random.default_rng([seed, 2])
    by_person: list[list[Pair]] = []
    for person in sorted(people):
        pictures = people[person]
        draws: list[list[Pair]] = []
        for place in random.permutation(len(pictures)).tolist():
            sources = _sources(pictures, place, gap)
            count = min(per_picture, len(sources))
            if count:
                chosen = random.choice(len(sources), count, replace=False)
                draws.append([(sources[i], pictures[place][2]) for i in chosen])
        # Every target once before any comes twice, so that a small number has many targets.
        by_person.append([d[turn] for turn in range(per_picture) for d in draws if turn < len(d)])
    if total is None:
        return [pair for pairs in by_person for pair in pairs]
    # Everybody in turn, so that a small number shows many persons.
    longest = max((len(pairs) for pairs in by_person), default=0)
    turns = [pairs[n] for n in range(longest) for pairs in by_person if n < len(pairs)]
    return turns[:total]


def _sources(pictures: Sequence[Shown], place: int, gap: int) -> list[str]:
    """Pictures that a picture may be made of: other media, or frames far enough away."""
    media, frame, target = pictures[place]
    others = [item for item in pictures if item[2] != target]
    far = [name for where, at, name in others if where != media or abs(at - frame) >= gap]
    return far or [name for _, _, name in others]
