"""Frames of a driver are chosen where its mouth and its eyes say most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.golden.faces import MEAN_FACE


@pytest.fixture
def points() -> np.ndarray:
    """A face in 40 frames, whose lids are shut in frame 11 and whose lips gape in frame 31."""
    points = np.repeat(np.asarray(MEAN_FACE, np.float32)[None], 40, 0)
    points[11, [41, 40, 47, 46]] = points[11, [37, 38, 43, 44]]
    points[31, 65:68, 1] += 0.2
    return points


@pytest.mark.parametrize(
    ("count", "frames"), [(5, [4, 11, 20, 31, 36]), (2, [11, 31]), (1, [31]), (8, 8), (40, 40)]
)
def test_the_widest_mouth_the_closed_eyes_and_even_ones_between(
    script: Callable[[str], Any], points: np.ndarray, count: int, frames: list[int] | int
) -> None:
    chosen = script("face_results").moments(points, count)
    assert len(chosen) == count
    if isinstance(frames, list):
        assert sorted(chosen) == frames
    assert chosen[31] == ", mouth widest"
    assert count == 1 or chosen[11] == ", eyes most closed"
    assert sum(words == "" for words in chosen.values()) == max(count - 2, 0)


def test_short_drivers_have_fewer_frames(script: Callable[[str], Any], points: np.ndarray) -> None:
    moments = script("face_results").moments
    assert moments(points[11:12], 5) == {0: ", mouth widest, eyes most closed"}
    assert sorted(moments(points[10:13], 5)) == [0, 1, 2]
