"""Where shots begin, and what is animated by itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from animator.faces.shots import ShotDetector, cuts_sentence, spans


def picture(kind: str, shift: int = 0) -> NDArray[np.uint8]:
    """One of two scenes, moved by some pixels; white; or black with noise."""
    if kind == "white":
        return np.full((96, 128, 3), 250, np.uint8)
    random = np.random.default_rng(ord(kind[0]))
    if kind == "dark":
        return np.random.default_rng(shift).integers(0, 6, (96, 128, 3)).astype(np.uint8)
    small = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return np.roll(small.repeat(24, 0).repeat(32, 1), shift, 1)


@pytest.mark.parametrize(
    ("scenes", "cuts"),
    [
        ("aaaaaa", []),
        ("aaabbb", [3]),
        ("aababb", [4]),
        ("aaawaa", []),
        ("aawwaa", []),
        ("aawwwwwaa", [2, 7]),
        ("aaabbbbbaaa", [3, 8]),
        ("aaawbbb", [3, 4]),
        ("dddddd", []),
    ],
)
def test_cuts(scenes: str, cuts: list[int]) -> None:
    names = {"a": "a", "b": "b", "w": "white", "d": "dark"}
    detector = ShotDetector()
    for number, scene in enumerate(scenes):
        detector.changed(picture(names[scene], number))
    assert detector.cuts == cuts
    assert set(detector.changes) >= set(cuts)


@pytest.mark.parametrize(
    ("cuts", "found", "expected"),
    [
        ((), "111", [(0, 3)]),
        ((2,), "1111", [(0, 2), (2, 4)]),
        ((2, 4), "110011", [(0, 4), (4, 6)]),
        ((2, 4), "001111", [(0, 4), (4, 6)]),
        ((2, 4), "001100", [(0, 6)]),
        ((1, 2, 3), "0100", [(0, 4)]),
    ],
)
def test_a_shot_without_a_face_goes_with_its_neighbour(cuts, found, expected) -> None:
    seen = np.array([letter == "1" for letter in found])
    assert [(part.start, part.stop) for part in spans(cuts, seen)] == expected


def test_words() -> None:
    assert "has 1 cut, at 2.0 s;" in cuts_sentence([2.04])
    assert "has at least 2 cuts, the first before 1.5 s;" in cuts_sentence([1.5, 3], least=True)
