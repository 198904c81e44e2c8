"""Views of a face and what is around it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from animator.animation.composing.compose import Composer, GeneratedFace
from animator.animation.composing.view import SquareView
from animator.faces.crop import Square, crop_square, whole_square
from animator.faces.framing import Frame, frame_around
from gfla.arrays import Picture

FACE = Square(224.0, 120.0, 161.0)


@pytest.fixture(scope="module")
def astronaut() -> Picture:
    return np.ascontiguousarray(data.astronaut())


def framed(square: Square, picture: Picture, size: int, margin: float) -> tuple[SquareView, Frame]:
    height, width = picture.shape[:2]
    frame = frame_around(whole_square(square), (width, height), size, margin)
    return SquareView(square, frame.face, frame), frame


@pytest.mark.parametrize("margin", [1.2, 1.6, 2.0, 2.4, 3.3])
@pytest.mark.parametrize("size", [128, 250, 256, 700])
def test_the_face_lies_on_whole_pixels(size: int, margin: float, astronaut: Picture) -> None:
    """What is shown at its place is what the networks see of it."""
    view, frame = framed(FACE, astronaut, size, margin)
    seen = view.picture(astronaut)
    assert view.size == (size, size) and seen.shape == (size, size, 3)
    left, top, side = whole_square(view.place(FACE))
    assert (left, top, side) == (frame.left, frame.top, frame.face)
    own = crop_square(astronaut, FACE, side).astype(int)
    there, here = slice(max(top, 0), min(top + side, size)), slice(max(left, 0), left + side)
    inside = seen[there, here].astype(int)
    cut = own[-min(top, 0) :, -min(left, 0) :][: len(inside), : inside.shape[1]]
    assert np.abs(cut - inside).mean() < 1.5  # it is another filter
    # A shift by a third of a pixel to any side would fit less.
    for x, y in ((0.3, 0), (-0.3, 0), (0, 0.3), (0, -0.3)):
        move = np.array([[1, 0, x], [0, 1, y]])
        moved = cv2.warpAffine(cut.astype(np.float32), move, cut.shape[1::-1])
        middle = slice(8, -8), slice(8, -8)
        assert np.abs(cut - inside)[middle].mean() < np.abs(moved - inside)[middle].mean()


def test_a_frame_of_the_face_alone_is_its_crop(astronaut: Picture) -> None:
    view, _ = framed(FACE, astronaut, 256, 1.75)
    np.testing.assert_array_equal(view.picture(astronaut), crop_square(astronaut, FACE, 256))
    generated = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    frame = Composer(view).compose(astronaut, [GeneratedFace(generated, FACE)])
    np.testing.assert_array_equal(frame, generated)


def test_a_smaller_margin_shows_the_inner_part_of_the_face(astronaut: Picture) -> None:
    view, at = framed(FACE, astronaut, 256, 1.4)
    generated = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
    frame = Composer(view).compose(astronaut, [GeneratedFace(generated, FACE)])
    assert at == Frame(256, 320, -32, -32)
    # In the middle, where nothing is blended.
    np.testing.assert_array_equal(frame[64:192, 64:192], generated[96:224, 96:224])


def test_pictures_of_half_pixels_are_shown_exactly() -> None:
    """An even slope is sampled where it should be, whatever lies between the pixels."""
    rows, columns = np.mgrid[:400, :400]
    slope = np.stack([columns, rows, np.zeros_like(rows)], -1).astype(np.float32) / 2
    picture = slope.round().astype(np.uint8)
    square = Square(200.0, 150.0, 100.0)
    for face, left, top in ((60, 21, 32), (100, 40, 52), (256, 97, 33)):
        view = SquareView(square, face, Frame(2 * face, face, left, top))
        step = 100 / face
        x = 150 + (np.arange(2 * face) + 0.5 - left) * step - 0.5
        y = 100 + (np.arange(2 * face) + 0.5 - top) * step - 0.5
        seen = view.picture(picture).astype(float)
        # The tenth of a pixel would be 0.05.
        assert abs((seen[..., 0] - x[None] / 2).mean()) < 0.05
        assert abs((seen[..., 1] - y[:, None] / 2).mean()) < 0.05


@pytest.mark.parametrize("square", [Square(0, 0, 100), Square(400, 300, 120), Square(-30, 50, 50)])
def test_outside_the_picture_the_border_is_repeated(square: Square, astronaut: Picture) -> None:
    picture = np.ascontiguousarray(astronaut[:300, :400])
    view = SquareView(square, 64, Frame(128, 64, 32, 32))
    seen = view.picture(picture)
    left, top, side = whole_square(square)
    around = Square(left + side / 2, top + side / 2, 2 * side)
    assert np.abs(seen.astype(int) - crop_square(picture, around, 128)).mean() < 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 2)])
def test_tiny_pictures(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 90, np.uint8)
    for square in (Square(0, 0, 0.2), Square(20, 20, 40)):
        view, _ = framed(square, picture, 128, 1.3)
        assert (view.picture(picture) == 90).all()
        assert SquareView(square, 16, Frame(40, 16, 9, 3)).picture(picture).shape == (40, 40, 3)
