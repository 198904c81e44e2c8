from __future__ import annotations

import math

import numpy as np
import pytest

from gfla.data.moves import moved_joints, moved_picture, turned

WIDTH, HEIGHT = 64, 128


def published_place(x: float, y: float, degrees: float, zoom: float, shift: tuple[float, float]):
    """Where the published code puts a joint: turned about (W / 2 + 0.5, H / 2 + 0.5)."""
    a, cx, cy = math.radians(degrees), WIDTH * 0.5 + 0.5, HEIGHT * 0.5 + 0.5
    dx, dy = x - cx, y - cy
    return (
        cx + zoom * (math.cos(a) * dx - math.sin(a) * dy) + shift[0],
        cy + zoom * (math.sin(a) * dx + math.cos(a) * dy) + shift[1],
    )


def test_published_joints_turn_about_half_a_size_and_half_a_pixel():
    shift = np.array([3.25, -1.5])
    moved = turned(4.2, 1.03, shift, (HEIGHT, WIDTH), exact=False)
    joints = np.array([[10.0, 20.0], [50.0, 100.0], [-1.0, -1.0]])
    wanted = [published_place(x, y, 4.2, 1.03, (3.25, -1.5)) for x, y in joints[:2]]
    np.testing.assert_allclose(moved_joints(joints, moved), [*wanted, (-1, -1)], atol=1e-9)


def test_published_pictures_take_the_nearest_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    shift = (3.25, -1.5)
    moved = turned(4.2, 1.03, np.array(shift), (HEIGHT, WIDTH), exact=False)
    found = moved_picture(picture, moved, False, (128, 128, 128))
    # Backwards from the middle of each pixel, in the same pivot, and cut to the pixel it is in.
    a, cx, cy = math.radians(4.2), WIDTH * 0.5 + 0.5, HEIGHT * 0.5 + 0.5
    fine = 0
    for y in range(HEIGHT):
        for x in range(WIDTH):
            dx, dy = (x + 0.5 - cx - shift[0]) / 1.03, (y + 0.5 - cy - shift[1]) / 1.03
            sx = math.floor(cx + math.cos(a) * dx + math.sin(a) * dy)
            sy = math.floor(cy - math.sin(a) * dx + math.cos(a) * dy)
            inside = 0 <= sx < WIDTH and 0 <= sy < HEIGHT
            wanted = picture[sy, sx] if inside else np.array([128, 128, 128])
            fine += np.array_equal(found[y, x], wanted)
    assert fine >= 0.999 * WIDTH * HEIGHT  # but for Pillow's rounding


@pytest.mark.parametrize("exact", [True, False])
def test_nothing_moves_nothing(exact):
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    moved = turned(0.0, 1.0, np.zeros(2), (HEIGHT, WIDTH), exact)
    assert np.array_equal(moved_picture(picture, moved, exact, (0, 0, 0)), picture)
    grey = picture[..., 0]
    assert np.array_equal(moved_picture(grey, moved, exact, (0, 0, 0)), grey)


def test_exact_moves_keep_joints_on_their_pixels():
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[89:92, 39:42] = 255
    moved = turned(5.0, 1.05, np.array([2.0, 3.0]), (HEIGHT, WIDTH), exact=True)
    light = moved_picture(picture, moved, True, (0, 0, 0))[..., 0].astype(float)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    seen = [(light * axis).sum() / light.sum() for axis in (columns, rows)]
    (place,) = moved_joints(np.array([[40.0, 90.0]]), moved)
    np.testing.assert_allclose(seen, place, atol=0.1)
