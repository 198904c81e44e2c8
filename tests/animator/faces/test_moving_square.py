"""The square around a face that moves: calm, around the face, and exact between pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from animator.faces.crop import Square, crop_square, in_units
from animator.faces.head import MEAN_HEAD
from animator.faces.moving_square import (
    FREE,
    cut_square,
    follow_squares,
    in_square_units,
    room_around,
)

FRAMES = 120
SECONDS = np.arange(FRAMES) / 30


def walking(way: np.ndarray, noise: float = 0.0, size: float = 90.0) -> np.ndarray:
    """A face of so many pixels that goes along N places, with landmarks that tremble."""
    face = MEAN_HEAD[:, :2] * size / np.ptp(MEAN_HEAD[:, 0])
    trembling = np.random.default_rng(3).normal(0, noise, (len(way), 68, 2))
    return (face + way[:, None] + trembling).astype(np.float32)


def test_the_square_of_a_still_face_trembles_far_less_than_its_landmarks() -> None:
    points = walking(np.tile([200.0, 200.0], (FRAMES, 1)), noise=1.5)
    squares = follow_squares(points, SECONDS, [slice(0, FRAMES)], whole=False)
    shake = np.abs(np.diff(squares, 2, axis=0)).mean(0)
    assert (shake < 0.05).all(), shake


def test_a_face_that_hurries_stays_inside_and_one_that_walks_is_not_lagged_behind() -> None:
    hurried = np.column_stack([300 + 250 * np.tanh(8 * (SECONDS - 2)), np.full(FRAMES, 200.0)])
    even = np.column_stack([100 + 60 * SECONDS, 200 + 20 * SECONDS])
    for way in (hurried, even):
        points = walking(way)
        squares = follow_squares(points, SECONDS, [slice(0, FRAMES)], whole=False)
        away = np.abs(points - squares[:, None, :2]).max((1, 2))
        assert (away <= (0.5 - FREE) * squares[:, 2] + 1e-6).all()
    assert np.abs(np.diff(squares[:, 0], 2)).max() < 1e-6  # both ends go on as evenly


def test_each_shot_has_a_way_of_its_own() -> None:
    way = np.where(np.arange(FRAMES)[:, None] < 50, [100.0, 100.0], [400.0, 300.0])
    squares = follow_squares(walking(way), SECONDS, [slice(0, 50), slice(50, FRAMES)], whole=False)
    assert np.ptp(squares[:50], axis=0).max() < 1e-3 and np.ptp(squares[50:], axis=0).max() < 1e-3
    assert squares[50, 0] - squares[49, 0] == pytest.approx(300)


def test_whole_squares_are_cut_and_measured_as_those_of_a_still_portrait() -> None:
    points = walking(np.tile([150.3, 140.7], (3, 1)))
    squares = follow_squares(points, SECONDS[:3], [slice(0, 3)], whole=True)
    square = Square(*squares[0].tolist())
    picture = np.random.default_rng(1).integers(0, 255, (300, 320, 3), dtype=np.uint8)
    assert np.array_equal(cut_square(picture, square, 64), crop_square(picture, square, 64))
    own = in_square_units(points[:1], squares[:1])[0]
    assert own == pytest.approx(in_units(points[0], square), abs=1e-6)


@pytest.mark.parametrize("side", [48.6, 200.25, 411.7])
def test_a_cut_between_pixels_shows_each_place_where_its_units_say(side: float) -> None:
    """Of a picture that is brighter towards the lower right, so that a value tells a place."""
    y, x = np.mgrid[0:500, 0:600]
    picture = np.repeat(np.rint(x * 0.2 + y * 0.25)[..., None], 3, 2).astype(np.uint8)
    square = Square(301.37, 248.81, side)
    cut = cut_square(picture, square, 128).astype(float)
    place = (np.arange(128) + 0.5) / 128 * side - 0.5
    wanted_x, wanted_y = square.cx - side / 2 + place, square.cy - side / 2 + place
    wanted = wanted_x[None] * 0.2 + wanted_y[:, None] * 0.25
    assert np.abs(cut[..., 0] - wanted).max() < 1.6
    assert abs((cut[..., 0] - wanted).mean()) < 0.1


def test_cuts_that_go_on_by_parts_of_pixels_are_even() -> None:
    picture = cv2.GaussianBlur(
        np.random.default_rng(2).integers(0, 255, (300, 400, 3), dtype=np.uint8), (0, 0), 2
    )
    cuts = [
        cut_square(picture, Square(150.1 + 0.35 * step, 150.0, 150.2), 96).astype(float)
        for step in range(12)
    ]
    changes = [np.abs(later - cut).mean() for cut, later in zip(cuts, cuts[1:], strict=False)]
    assert max(changes) < 1.5 * min(changes)


def test_the_room_around_is_that_which_nearly_all_frames_have() -> None:
    squares = np.array([[200.0 + n, 150.0, 100.0] for n in range(100)])
    place, picture = room_around(squares, 640, 360)
    assert place == (159, 100, 100)
    assert picture == (159 + 100 + 640 - 340, 100 + 100 + 160)
