"""Generated faces blended into pictures, with networks whose right answer is known."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from animator.animation.composing import blending
from animator.animation.composing.blending import blend
from animator.animation.composing.compose import Composer, GeneratedFace
from animator.animation.composing.reach import FaceMotion
from animator.animation.composing.view import SquareView, WholeView
from animator.faces.crop import Square, crop_square, resize, whole_square
from tests.animator.animation.composing.test_reach import OWN, gone

Image = NDArray[np.uint8]
SQUARE = Square(300, 280, 320)
LEFT, TOP, SIDE = PLACE = whole_square(SQUARE)


@pytest.fixture(scope="module")
def astronaut() -> Image:
    """A photograph, enlarged so that there is room around the square."""
    return np.ascontiguousarray(cv2.resize(data.astronaut(), (640, 640)))


def moved(picture: Image, way: tuple[float, float]) -> Image:
    """All of a picture gone by a way in units of the square."""
    matrix = np.array([[1, 0, way[0] * SIDE], [0, 1, way[1] * SIDE]], np.float64)
    height, width = picture.shape[:2]
    return np.asarray(
        cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC,
                       borderMode=cv2.BORDER_REPLICATE), np.uint8,
    )  # fmt: skip


def generated(picture: Image, way: tuple[float, float], size: int = 160) -> Image:
    """What ideal networks of that size render of a head that has gone a way."""
    return crop_square(moved(picture, way), SQUARE, size)


def blended(picture: Image, crop: Image, motion: FaceMotion) -> Image:
    frame = picture.copy()
    blend(frame, PLACE, crop, motion)
    return frame


def face_of(frame: Image, way: tuple[float, float]) -> NDArray[np.int64]:
    """The middle of the face that has gone there."""
    x, y = (np.array([0.5, 0.5]) + way) * SIDE + (LEFT, TOP)
    half = SIDE // 8
    return frame[int(y) - half : int(y) + half, int(x) - half : int(x) + half].astype(int)


def test_without_motion_the_picture_stays_whatever_was_generated(astronaut: Image) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    flow = np.random.default_rng(1).normal(0, 0.1, (2, 32, 32))
    np.testing.assert_array_equal(blended(astronaut, noise, FaceMotion(flow, OWN, OWN)), astronaut)


def test_a_disc_moves_with_its_sharp_edge_and_the_rest_stays() -> None:
    """At the networks' size its edge is four pixels wide; in the picture it is one."""
    rows, columns = np.mgrid[:640, :640]
    disc = ((rows - TOP - 160) ** 2 + (columns - LEFT - 160) ** 2 < 40**2) * 150
    picture = np.repeat((40 + 0.05 * columns + disc)[..., None], 3, 2).astype(np.uint8)
    way = (0.1, -0.05)
    frame = blended(picture, generated(picture, way, 80), gone(way))
    found = frame[..., 0] > 140
    middle = np.argwhere(found).mean(0)[::-1]
    np.testing.assert_allclose(middle, (LEFT + 160 + 32, TOP + 160 - 16), atol=0.5)
    assert found.sum() == pytest.approx((disc > 0).sum(), rel=0.02)
    steps = np.abs(np.diff(frame[int(middle[1])].astype(int)[:, 0]))
    assert steps.max() >= 90, "an edge of a pixel or two"
    far = np.ones(picture.shape[:2], bool)
    far[: TOP + SIDE + 60, LEFT - 20 : LEFT + SIDE + 20] = False
    np.testing.assert_array_equal(frame[far], picture[far])


@pytest.mark.parametrize("way", [(0.06, 0.0), (-0.05, 0.05)])
def test_a_face_keeps_the_resolution_of_its_picture(
    astronaut: Image, way: tuple[float, float]
) -> None:
    frame = blended(astronaut, generated(astronaut, way, 80), gone(way))
    own = face_of(moved(astronaut, way), way)
    np.testing.assert_allclose(face_of(frame, way), own, atol=30)
    assert np.abs(face_of(frame, way) - own).mean() < 2
    sharp, was = (
        cv2.Laplacian(part.astype(np.float32), cv2.CV_32F).var()
        for part in (face_of(frame, way), own)
    )
    assert sharp > 0.85 * was
    soft = resize(generated(astronaut, way, 80), SIDE, SIDE)[120:200, 120:200]
    assert cv2.Laplacian(soft.astype(np.float32), cv2.CV_32F).var() < 0.5 * was


def test_there_is_no_seam(astronaut: Image) -> None:
    """The step across the border of the square is none that the picture has not beside it."""
    way = (0.08, 0.03)
    frame = blended(astronaut, generated(astronaut, way), gone(way))
    for axis, line in ((1, LEFT), (1, LEFT + SIDE), (0, TOP), (0, TOP + SIDE)):
        spikes = []
        for one in (frame, astronaut):
            grey = cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(int)
            across = np.abs(np.diff(grey if axis == 0 else grey.T, axis=0))
            start = LEFT if axis == 0 else TOP
            part = across[line - 9 : line + 8, start : start + SIDE].mean(1)
            spikes.append(part[8] / part.mean())
        assert spikes[0] <= 1.1 * max(spikes[1], 1)


@pytest.mark.parametrize("offset", [-20, 15])
def test_colours_are_those_of_the_surrounding(astronaut: Image, offset: int) -> None:
    picture = np.asarray(np.clip(astronaut, 30, 225), np.uint8)
    way = (0.05, 0.02)
    shifted = np.asarray(generated(picture, way).astype(int) + offset, np.uint8)
    frame = blended(picture, shifted, gone(way))
    right = blended(picture, generated(picture, way), gone(way))
    difference = frame.astype(int) - right
    assert abs(face_of(difference, way).mean()) < 2
    assert np.abs(difference).mean(-1).max() < 8


def test_an_opened_mouth_shows_what_was_generated(astronaut: Image) -> None:
    points = OWN.copy()
    points[55:60] += (0, 0.06)
    points[65:68] += (0, 0.06)
    crop = generated(astronaut, (0, 0))
    middle = points[60:68].mean(0)
    x, y = np.round(middle * len(crop)).astype(int)
    crop[y - 3 : y + 4, x - 4 : x + 5] = (10, 200, 10)
    frame = blended(astronaut, crop, FaceMotion(np.zeros((2, 32, 32)), OWN, points))
    px, py = np.round(middle * SIDE + (LEFT, TOP)).astype(int)
    assert np.abs(frame[py, px].astype(int) - (10, 200, 10)).max() < 12
    # And the eyes are the picture's own.
    eyes = np.round(OWN[36:48].mean(0) * SIDE + (LEFT, TOP)).astype(int)
    part = np.index_exp[eyes[1] - 20 : eyes[1] + 10, eyes[0] - 60 : eyes[0] + 60]
    np.testing.assert_array_equal(frame[part], astronaut[part])


@pytest.mark.parametrize("place", [(-150, -90, 320), (500, 400, 320), (-40, 100, 1200), (5, 5, 9)])
def test_a_face_at_the_end_of_a_picture(astronaut: Image, place: tuple[int, int, int]) -> None:
    square = Square(place[0] + place[2] / 2, place[1] + place[2] / 2, place[2])
    own = crop_square(astronaut, square, 128)
    frame = astronaut.copy()
    blend(frame, place, own, gone((0.002, 0.002)))
    assert frame.shape == astronaut.shape
    assert np.abs(frame.astype(int) - astronaut).mean() < 10


def test_frames_do_not_depend_on_those_before(astronaut: Image) -> None:
    composer = Composer(WholeView(640, 640))
    ways = [(0.05, 0.0), (0.0, 0.06), (-0.03, 0.01)]

    def composed(way: tuple[float, float]) -> Image:
        face = GeneratedFace(generated(astronaut, way), SQUARE, gone(way))
        return composer.compose(astronaut, [face])

    forwards = [composed(way) for way in ways]
    backwards = [composed(way) for way in ways[::-1]]
    for one, other in zip(forwards, backwards[::-1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_bands_are_of_one_piece(astronaut: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    way = (0.05, 0.02)
    picture = np.ascontiguousarray(cv2.resize(astronaut, (1600, 1600)))
    place = (300, 250, 1000)
    crop = crop_square(picture, Square(800, 750, 1000), 256)
    whole, banded = picture.copy(), picture.copy()
    blend(whole, place, crop, gone(way))
    monkeypatch.setattr(blending, "_BAND", 40_000)
    blend(banded, place, crop, gone(way))
    assert np.abs(whole.astype(int) - banded).max() <= 1
    assert (whole != banded).mean() < 1e-3


def test_the_nearer_of_two_faces_covers_the_other(astronaut: Image) -> None:
    far, near = Square(220, 280, 240), Square(330, 300, 240)
    way = (0.06, 0.0)
    flat = np.full((64, 64, 3), 30, np.uint8), np.full((64, 64, 3), 220, np.uint8)
    motion = gone(way)
    composer = Composer(WholeView(640, 640))
    frames = [
        composer.compose(astronaut, faces)
        for faces in (
            [GeneratedFace(flat[0], far, motion), GeneratedFace(flat[1], near, motion)],
            [GeneratedFace(flat[1], near, motion)],
        )
    ]
    x, y = int(near.cx + 0.06 * 240), int(near.cy)
    both, alone = (frame[y - 20 : y + 20, x - 20 : x + 20].astype(int) for frame in frames)
    assert abs(both.mean() - alone.mean()) < 12
    assert not np.array_equal(frames[0][280, 160], frames[1][280, 160])


def test_a_view_of_the_face_alone_is_what_was_generated(astronaut: Image) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    face = GeneratedFace(noise, SQUARE, gone((0.05, 0)))
    frame = Composer(SquareView(SQUARE, 64)).compose(astronaut, [face])
    np.testing.assert_array_equal(frame, noise)


def test_a_wider_view_stays_as_it_is_around_the_head(astronaut: Image) -> None:
    wide = Square(SQUARE.cx, SQUARE.cy, 1.8 * SIDE)
    face = GeneratedFace(generated(astronaut, (0.04, 0)), SQUARE, gone((0.04, 0)))
    frame = Composer(SquareView(wide, 360)).compose(astronaut, [face])
    own = crop_square(astronaut, wide, 360)
    np.testing.assert_array_equal(frame[:, :40], own[:, :40])
    np.testing.assert_array_equal(frame[-20:], own[-20:])
    assert not np.array_equal(frame, own)


def test_a_large_picture_takes_little_memory() -> None:
    """Beside the picture: a copy of the part in question, and bands."""
    picture = np.full((2560, 3840, 3), 90, np.uint8)
    crop = np.full((512, 512, 3), 90, np.uint8)
    frame = picture.copy()
    tracemalloc.start()
    try:
        blend(frame, (900, 300, 1900), crop, gone((0.05, 0)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(frame, picture, atol=1)
    assert peak < 130 * 2**20
