"""Crops, and the three ways to show a result."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from animator.animation.composing import view
from animator.animation.composing.compose import Composer, GeneratedFace
from animator.animation.composing.view import SquareView, View, WholeView
from animator.faces import crop as crop_module
from animator.faces.crop import Square, crop_square, to_crop, whole_square

Image = NDArray[np.uint8]
FACE = Square(224.0, 120.0, 200.0)


@pytest.fixture(scope="module")
def astronaut() -> Image:
    return np.ascontiguousarray(data.astronaut())


def ramp(height: int, width: int) -> Image:
    """A picture whose red and green are column and row."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([columns, rows, np.zeros_like(rows)], -1)


# Crops


def test_a_crop_of_the_same_size_is_a_slice() -> None:
    image = ramp(200, 250)
    np.testing.assert_array_equal(
        crop_square(image, Square(100, 80, 64), 64), image[48:112, 68:132]
    )


@pytest.mark.parametrize(
    "square", [Square(5, 5, 64), Square(245, 190, 64), Square(100, 100, 600), Square(-200, 50, 64)]
)
def test_outside_the_picture_its_border_is_repeated(square: Square) -> None:
    image = ramp(200, 250)
    left, top, side = whole_square(square)
    columns = np.clip(np.arange(left, left + side), 0, 249)
    rows = np.clip(np.arange(top, top + side), 0, 199)
    np.testing.assert_array_equal(crop_square(image, square, side), image[np.ix_(rows, columns)])


@pytest.mark.parametrize("size", [32, 100, 256, 512])
def test_points_land_where_their_pixels_do(size: int, astronaut: Image) -> None:
    image = np.zeros_like(astronaut)
    image[100:140, 202:242] = 255
    crop = crop_square(image, FACE, size).astype(np.float64).sum(-1)
    rows, columns = np.mgrid[:size, :size]
    found = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    np.testing.assert_allclose(to_crop(np.array([221.5, 119.5]), FACE, size), found, atol=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 2)])
def test_crops_of_tiny_pictures(shape: tuple[int, int]) -> None:
    assert crop_square(ramp(*shape), Square(0, 0, 0.2), 16).shape == (16, 16, 3)
    assert crop_square(ramp(*shape), Square(20, 20, 40), 16).shape == (16, 16, 3)


# Views and faces


def whole(picture: Image) -> WholeView:
    return WholeView(picture.shape[1], picture.shape[0])


def pasted(view: View, picture: Image, crop: Image, square: Square) -> Image:
    return Composer(view).compose(picture, [GeneratedFace(crop, square)])


def test_a_view_of_the_face_alone_shows_the_crop(astronaut: Image) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    composer = Composer(SquareView(FACE, 64))
    assert composer.output_size == (64, 64)
    frame = composer.compose(astronaut, [GeneratedFace(crop, FACE)])
    np.testing.assert_array_equal(frame, crop)


def test_a_view_of_more_shows_the_source_around_the_face(astronaut: Image) -> None:
    wide = Square(FACE.cx, FACE.cy, 1.5 * FACE.side)
    composer = Composer(SquareView(wide, 300))
    own = crop_square(astronaut, FACE, 256)
    frame = composer.compose(astronaut, [GeneratedFace(own, FACE)]).astype(int)
    assert np.abs(frame - crop_square(astronaut, wide, 300)).mean() < 1
    x, y, side = whole_square(composer.place(FACE))
    assert (x, y, side) == (50, 50, 200)


def test_paste_back_of_the_crop_itself_changes_nothing(astronaut: Image) -> None:
    assert Composer(whole(astronaut)).output_size == (512, 512)
    frame = pasted(whole(astronaut), astronaut, crop_square(astronaut, FACE, 200), FACE)
    assert np.abs(frame.astype(int) - astronaut).max() <= 1
    frame = pasted(whole(astronaut), astronaut, crop_square(astronaut, FACE, 256), FACE)
    assert np.abs(frame.astype(int) - astronaut).mean() < 0.5


def test_paste_back_has_no_seam(astronaut: Image) -> None:
    """A much brighter crop: the step from pixel to pixel stays far below the whole step."""
    grey = np.full_like(astronaut, 60)
    frame = pasted(whole(grey), grey, np.full((200, 200, 3), 160, np.uint8), FACE).astype(int)
    left, top, side = whole_square(FACE)
    assert frame[120, 224].tolist() == [160] * 3
    middle = frame[
        top + side // 5 : top + side - side // 5, left + side // 5 : left + side * 4 // 5
    ]
    assert (middle == 160).all(), "the face itself is never mixed"
    assert np.abs(np.diff(frame, axis=0)).max() <= 8
    assert np.abs(np.diff(frame, axis=1)).max() <= 8
    outside = frame.copy()
    outside[top : top + side, left : left + side] = 60
    assert (outside == 60).all()


def test_the_nearer_of_two_faces_covers_the_other(astronaut: Image) -> None:
    near, far = Square(200, 200, 120), Square(260, 200, 120)
    faces = [
        GeneratedFace(np.full((64, 64, 3), 200, np.uint8), far),
        GeneratedFace(np.full((64, 64, 3), 90, np.uint8), near),
    ]
    frame = Composer(whole(astronaut)).compose(astronaut, faces)
    assert frame[200, 235].tolist() == [90] * 3
    assert frame[200, 275].tolist() == [200] * 3


def test_a_crop_beyond_the_border_is_pasted_up_to_it() -> None:
    picture = np.full((151, 201, 3), 60, np.uint8)
    crop = np.full((128, 128, 3), 160, np.uint8)
    frame = pasted(whole(picture), picture, crop, Square(100, 75, 400))
    assert frame.shape == (150, 200, 3)
    assert (frame == 160).all()


def test_a_crop_off_the_picture_leaves_it_alone() -> None:
    picture = np.full((40, 40, 3), 60, np.uint8)
    crop = np.full((16, 16, 3), 160, np.uint8)
    assert (pasted(whole(picture), picture, crop, Square(500, 500, 20)) == 60).all()


def test_large_pictures_are_scaled_down(monkeypatch: pytest.MonkeyPatch, astronaut: Image) -> None:
    monkeypatch.setattr(view, "LARGEST_SIDE", 128)
    picture = astronaut[:300]
    frame = pasted(whole(picture), picture, crop_square(picture, FACE, 64), FACE)
    assert frame.shape == (74, 128, 3)
    expected = crop_module.resize(picture, 128, 75)
    assert np.abs(frame.astype(int) - expected[:74]).mean() < 1


def test_side_by_side(astronaut: Image) -> None:
    composer = Composer(SquareView(FACE, 64), (200, 120))
    assert composer.output_size == (106 + 64, 64)
    face = GeneratedFace(np.full((64, 64, 3), 200, np.uint8), FACE)
    frame = composer.compose(astronaut, [face], ramp(120, 200))
    assert frame.shape == (64, 170, 3)
    assert (frame[:, 106:] == 200).all()
    assert frame[32, 53, 0] == pytest.approx(100, abs=3)
    assert frame[32, 53, 1] == pytest.approx(60, abs=3)
    assert whole_square(composer.place(FACE)) == (106, 0, 64)


@pytest.mark.parametrize("beside", [None, (33, 77)])
@pytest.mark.parametrize("size", [127, 128])
@pytest.mark.parametrize("shape", [(1, 1), (99, 51), (100, 52)])
def test_sizes_are_even(beside: tuple[int, int] | None, size: int, shape: tuple[int, int]) -> None:
    picture, square = ramp(*shape), Square(20, 20, 31)
    driving = np.zeros((77, 33, 3), np.uint8)
    for shown in (whole(picture), SquareView(square, size)):
        composer = Composer(shown, beside)
        width, height = composer.output_size
        assert width % 2 == height % 2 == 0
        face = GeneratedFace(np.zeros((size, size, 3), np.uint8), square)
        frame = composer.compose(picture, [face], driving)
        assert (frame.shape, frame.dtype) == ((height, width, 3), np.uint8)


def test_a_driving_picture_that_is_shown_is_needed(astronaut: Image) -> None:
    face = GeneratedFace(np.zeros((64, 64, 3), np.uint8), FACE)
    with pytest.raises(ValueError, match="driving frame"):
        Composer(SquareView(FACE, 64), (64, 64)).compose(astronaut, [face])


def test_the_source_picture_is_not_written_to(astronaut: Image) -> None:
    before = astronaut.copy()
    composer = Composer(whole(astronaut))
    first, second = (
        composer.compose(astronaut, [GeneratedFace(np.full((64, 64, 3), grey, np.uint8), FACE)])
        for grey in (0, 255)
    )
    np.testing.assert_array_equal(astronaut, before)
    assert first[120, 224].tolist() == [0, 0, 0]
    assert second[120, 224].tolist() == [255, 255, 255]


def test_a_strip_of_a_driving_picture_is_not_shown_in_its_whole_width() -> None:
    picture, square = np.zeros((64, 64, 3), np.uint8), Square(32, 32, 64)
    composer = Composer(SquareView(square, 128), (1 << 20, 1))
    assert composer.output_size == (8192 + 128, 128)
    face = GeneratedFace(np.zeros((128, 128, 3), np.uint8), square)
    shown = composer.compose(picture, [face], np.zeros((1, 1024, 3), np.uint8))
    assert shown.shape == (128, 8192 + 128, 3)
