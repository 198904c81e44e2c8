"""Cells over a part of a frame: where they lie, and that bands of them are of one piece."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from animator.animation.composing.cells import SIDE, Cells, picked
from animator.animation.composing.reach import GRID, PAD, Plane

WHOLE = np.pad(np.ones((GRID, GRID), np.float32), PAD)


def cells_of(shape: tuple[int, int], place: tuple[int, int, int], reach: Plane = WHOLE) -> Cells:
    cells = Cells.under(np.zeros((*shape, 3), np.uint8), place, reach)
    assert cells is not None
    return cells


@pytest.mark.parametrize(
    ("shape", "place"),
    [((900, 900), (100, 50, 700)), ((300, 200), (-40, 20, 260)), ((64, 64), (10, 10, 20)),
     ((500, 700), (600, 400, 333)), ((40, 40), (-500, -500, 1200))],
)  # fmt: skip
def test_they_cover_what_is_seen_of_the_square(
    shape: tuple[int, int], place: tuple[int, int, int]
) -> None:
    cells = cells_of(shape, place)
    left, top, side = place
    assert abs(side / cells.pixels - SIDE) <= SIDE / 2 or cells.pixels == 1
    assert cells.left <= max(left, 0) and cells.top <= max(top, 0)
    assert cells.left + cells.columns * cells.pixels >= min(left + side, shape[1])
    assert cells.top + cells.rows * cells.pixels >= min(top + side, shape[0])
    # The square begins where a cell does.
    assert cells.square == (left - cells.left, top - cells.top, side)
    assert cells.square[0] % cells.pixels == cells.square[1] % cells.pixels == 0


@pytest.mark.parametrize("place", [(900, 10, 50), (10, -300, 100), (-99, -99, 40)])
def test_there_are_none_off_the_frame(place: tuple[int, int, int]) -> None:
    assert Cells.under(np.zeros((200, 300, 3), np.uint8), place, WHOLE) is None


def test_there_are_none_for_a_reach_to_nowhere() -> None:
    frame = np.zeros((200, 300, 3), np.uint8)
    assert Cells.under(frame, (50, 50, 100), np.zeros_like(WHOLE)) is None


@pytest.mark.parametrize("place", [(-70, 130, 900), (100, 40, 320), (500, 600, 750)])
def test_what_is_cut_is_put_back_where_it_was(place: tuple[int, int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (801, 703, 3), np.uint8)
    cells, copy = cells_of((801, 703), place), frame.copy()
    part = cells.cut(frame)
    assert part.shape == (cells.rows * cells.pixels, cells.columns * cells.pixels, 3)
    cells.put(copy, slice(0, cells.rows), part)
    np.testing.assert_array_equal(copy, frame)
    band = slice(cells.rows // 3, cells.rows // 2)
    rows = slice(band.start * cells.pixels, band.stop * cells.pixels)
    cells.put(copy, band, 255 - part[rows])
    changed = (copy != frame).any(-1).any(1)
    first = max(cells.top + rows.start, 0)
    assert np.flatnonzero(changed)[0] == first
    assert changed.sum() == min(cells.top + rows.stop, 801) - first


@pytest.mark.parametrize("method", [cv2.INTER_LINEAR, cv2.INTER_CUBIC])
def test_bands_of_cells_are_those_of_the_whole(method: int) -> None:
    cells = cells_of((1500, 1500), (100, 100, 1250))
    assert cells.pixels == 4
    planes = np.random.default_rng(0).random((cells.rows, cells.columns, 2), np.float32)
    whole = cells.enlarged(planes, slice(0, cells.rows), method)
    cuts = [0, 1, 2, 50, 51, cells.rows]
    bands = [
        cells.enlarged(planes, slice(a, b), method) for a, b in zip(cuts, cuts[1:], strict=False)
    ]
    np.testing.assert_allclose(np.concatenate(bands), whole, atol=1e-5)


def test_planes_of_the_square_land_where_its_pixels_are() -> None:
    """A plane that says where its places are, in units of the square."""
    cells = cells_of((900, 900), (130, 90, 640))
    ramp = (np.arange(GRID + 2 * PAD, dtype=np.float32) - PAD + 0.5) / GRID
    laid = cells.laid(np.ascontiguousarray(np.dstack(np.meshgrid(ramp, ramp))))
    rows, columns = cells.inner
    left, top, side = cells.square
    x = ((np.arange(columns.start, columns.stop) + 0.5) * cells.pixels - left) / side
    y = ((np.arange(rows.start, rows.stop) + 0.5) * cells.pixels - top) / side
    np.testing.assert_allclose(laid[rows, columns, 0], x[None].repeat(len(y), 0), atol=1e-3)
    np.testing.assert_allclose(laid[rows, columns, 1], y[:, None].repeat(len(x), 1), atol=1e-3)


def test_places_between_pixels_are_interpolated() -> None:
    ramp = np.tile(np.arange(8, dtype=np.uint8) * 10, (8, 1))
    found = picked(ramp, (1.5, 2.0), 2.0, (3, 2))
    np.testing.assert_allclose(found, [[15, 35, 55]] * 2)
