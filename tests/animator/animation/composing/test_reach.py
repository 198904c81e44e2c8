"""How far motion reaches: where, how steadily, and without folding the picture."""

from __future__ import annotations

import numpy as np
import pytest

from animator.animation.composing.reach import (
    GRID,
    PAD,
    FaceMotion,
    Plane,
    edge,
    faded_flow,
    reach_of,
)
from animator.faces.detectors.mean_face import MEAN_FACE
from gfla.arrays import Points

# A face as its square has it: a tenth of its height below the middle, 1/1.75 of it in extent.
OWN = np.asarray((MEAN_FACE - MEAN_FACE.min(0)) / np.ptp(MEAN_FACE, axis=0).max(), np.float32)
OWN = OWN / 1.75 + np.float32([0.5, 0.557]) - np.ptp(OWN, axis=0) / 3.5
MOUTH = slice(48, 68)


def gone(way: tuple[float, float]) -> FaceMotion:
    """A head that has gone, and all of its square with it."""
    flow = np.empty((2, 32, 32), np.float16)
    flow[0], flow[1] = -way[0], -way[1]
    return FaceMotion(flow, OWN, OWN + np.float32(way))


def at(reach: Plane, place: Points) -> float:
    column, row = np.floor(np.asarray(place) * GRID).astype(int) + PAD
    return float(reach[row, column])


def test_what_does_not_move_reaches_nowhere() -> None:
    still = FaceMotion(np.full((2, 32, 32), 0.1, np.float32), OWN, OWN)
    assert not reach_of(still).any()
    trembling = OWN + np.random.default_rng(0).normal(0, 1e-4, OWN.shape).astype(np.float32)
    assert not reach_of(still._replace(points=trembling)).any()


def test_a_head_is_shown_as_generated_and_fades_out_around_it() -> None:
    reach = reach_of(gone((0.05, 0.0)))
    for landmark in (27, 30, 36, 45, 51):
        assert at(reach, OWN[landmark] + (0.05, 0)) == 1
    assert 0 < at(reach, np.float32([0.55, -0.2])) < 1
    assert not reach[:, :8].any() and not reach[:, -8:].any()
    assert not reach[:4].any() and not reach[-4:].any()


@pytest.mark.parametrize("side", [-1, 1])
def test_it_reaches_further_behind_a_head_than_before_it(side: int) -> None:
    row = reach_of(gone((0.15 * side, 0.0)))[PAD + GRID // 2]
    middle = round((OWN[30, 0] + 0.15 * side) * GRID + PAD)
    before, behind = (row[middle:], row[middle::-1])[::side]
    assert np.count_nonzero(behind) > np.count_nonzero(before) + 5


def test_a_mouth_that_moves_alone_leaves_the_rest_alone() -> None:
    points = OWN.copy()
    points[55:60] += (0, 0.05)
    points[65:68] += (0, 0.05)
    reach = reach_of(FaceMotion(np.zeros((2, 32, 32)), OWN, points))
    assert at(reach, points[57]) > 0.9
    for landmark in (0, 16, 19, 24, 37, 44, 27):
        assert at(reach, OWN[landmark]) == 0


def test_motion_sets_in_steadily() -> None:
    """From frame to frame of a slow motion it changes little, so that nothing flickers."""
    slow = [reach_of(gone((way, way / 2))) for way in np.linspace(0, 0.02, 81)]
    steps = [np.abs(b - a).max() for a, b in zip(slow, slow[1:], strict=False)]
    assert max(steps) < 0.1
    points = np.repeat(OWN[None], 81, 0)
    points[:, MOUTH, 1] += np.linspace(0, 0.02, 81, dtype=np.float32)[:, None]
    slow = [reach_of(FaceMotion(np.zeros((2, 32, 32)), OWN, one)) for one in points]
    assert max(np.abs(b - a).max() for a, b in zip(slow, slow[1:], strict=False)) < 0.1


@pytest.mark.parametrize("way", [(0.15, 0), (-0.1, 0.1), (0, -0.15), (0.0, 0.12), (0.03, 0.02)])
def test_a_picture_is_never_folded(way: tuple[float, float]) -> None:
    motion = gone(way)
    flow = faded_flow(motion, reach_of(motion)) * GRID
    down, across = np.gradient(flow, axis=(0, 1))
    area = (1 + across[..., 0]) * (1 + down[..., 1]) - across[..., 1] * down[..., 0]
    assert area.min() > 0


def test_a_flow_is_the_networks_own_in_the_face_and_none_where_nothing_moves() -> None:
    motion = gone((0.08, 0.0))
    reach = reach_of(motion)
    flow = faded_flow(motion, reach)
    assert np.abs(flow[reach >= 0.5] - (-0.08, 0)).max() < 1e-3
    assert not flow[reach == 0].any()
    # Also what networks say of a background, far from the head, is not heeded.
    wild = motion._replace(flow=np.random.default_rng(1).normal(0, 0.1, (2, 32, 32)))
    assert not faded_flow(wild, reach)[reach == 0].any()


def test_what_was_generated_ends_at_the_border_of_its_square() -> None:
    share = edge(np.arange(100) + 0.5, 100)
    assert share[0] < 0.01 and share[-1] < 0.01
    assert (share[13:87] == 1).all() and (np.diff(share[:13]) > 0).all()
