"""Generated faces blended into a picture, whose own pixels move as the networks moved them.

What is shown is the picture, warped along the networks' flow at its own resolution, and on it what
they changed beside that, at theirs. The warp fades out around the head, and the change before it,
so that there is no border: hair and neck go along with the head, shoulders and background stay, and
what does not move keeps its pixels. All of it depends on the one frame.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.animation.composing.cells import Cells, picked
from animator.animation.composing.reach import (
    GRID,
    FaceMotion,
    Plane,
    edge,
    faded_flow,
    reach_of,
    smooth,
)
from animator.faces.crop import resize
from gfla.arrays import Picture

_OPENINGS = (np.r_[60:68], np.r_[36:42], np.r_[42:48])  # landmarks of the mouth and both eyes
_OPENED = 0.02  # units by which one opens or closes that shows nothing of the source any more
_RIM = 0.015  # units around it that are as new
_CORE = 5.0  # grey levels up to which a fine change is softness rather than content
_FINE = 1.2  # sigma in cells of what is fine
_RING = 9.0  # sigma in cells of GRID over which colours are compared
_OFFSET = 40.0  # grey levels by which colours are corrected at most
_BAND = 1 << 20  # pixels that are handled at once


def blend(
    frame: Picture, place: tuple[int, int, int], generated: Picture, motion: FaceMotion
) -> None:
    """Put a generated face into a frame.

    Args:
        frame: uint8 H x W x 3 with the source's picture; changed in place.
        place: left and top edge and side of the face's square in it; it may reach beyond it.
        generated: uint8 S x S x 3, the square as the networks rendered it.
        motion: of the frame.
    """
    reach = reach_of(motion)
    cells = Cells.under(frame, place, reach)
    if cells is None:
        return
    # The warp, and what comes on it, cell by cell.
    side = np.float32(place[2])
    laid = cells.laid(np.dstack([faded_flow(motion, reach) * side, reach]))
    flow, reach = np.ascontiguousarray(laid[..., :2]), laid[..., 2]
    base = cells.cut(frame)
    small = resize(base, cells.columns, cells.rows)
    single = cells.pixels == 1
    method = cv2.INTER_CUBIC if single else cv2.INTER_LINEAR
    warped = _moved(small, flow / np.float32(cells.pixels), 0, method)
    change, kept = _change(cells, warped, generated, reach, motion)
    # The same in pixels, in bands, so that the memory it takes hardly grows with the picture.
    step = max(_BAND // (cells.columns * cells.pixels**2), 1)
    for start in range(0, cells.rows, step):
        band = slice(start, min(start + step, cells.rows))
        if single:
            moved = warped[band]
        else:
            ways = cells.enlarged(flow, band, cv2.INTER_LINEAR)
            moved = _moved(base, ways, band.start * cells.pixels, cv2.INTER_CUBIC)
        cells.put(frame, band, _changed(cells, moved, band, change, kept))


def _change(
    cells: Cells, picture: Picture, generated: Picture, reach: Plane, motion: FaceMotion
) -> tuple[Plane, Plane | None]:
    """What is added to the warped picture, and how much of that stays, if not all: on cells."""
    change = np.zeros((cells.rows, cells.columns, 3), np.float32)
    rows, columns = cells.inner
    if rows.start == rows.stop or columns.start == columns.stop:
        return change, None
    # Where the cells' middles are in the square, in its pixels, and how much is seen there.
    left, top, side = cells.square
    x, y = (
        (np.arange(part.start, part.stop) + 0.5) * cells.pixels - start
        for part, start in ((columns, left), (rows, top))
    )
    weight = smooth(2 * reach[rows, columns] - 1) * np.outer(edge(y, side), edge(x, side))
    # What is to be seen instead of the picture at that resolution.
    warped = picture[rows, columns].astype(np.float32)
    warped = _no_finer(warped, len(generated) * cells.pixels / side)
    difference = _on_cells(generated, x, y, side) - warped
    difference -= _offset(difference, weight)
    # Fine and weak differences are softness and noise of the networks, but for what is new.
    fine = difference - cv2.GaussianBlur(difference, (0, 0), _FINE)
    red, green, blue = cv2.split(np.abs(fine))
    soft = 1 - smooth(np.maximum(np.maximum(red, green), blue) / np.float32(_CORE) - 1)
    new, kept = _openings(motion, x / side, y / side), None
    if new is not None:
        soft *= 1 - new
        difference += new[..., None] * warped
        kept = np.ones((cells.rows, cells.columns), np.float32)
        kept[rows, columns] -= weight * new
    change[rows, columns] = (difference - fine * soft[..., None]) * weight[..., None]
    return change, kept


def _on_cells(
    generated: Picture, x: NDArray[np.floating], y: NDArray[np.floating], side: int
) -> Plane:
    """A generated picture at places of its square, which are given in pixels of the frame."""
    scale = len(generated) / side
    step = scale * float(x[1] - x[0] if len(x) > 1 else 1)
    if step > 1.2:
        generated = np.asarray(cv2.GaussianBlur(generated, (0, 0), 0.35 * step), np.uint8)
    first = float(x[0]) * scale - 0.5, float(y[0]) * scale - 0.5
    return picked(generated, first, step, (len(x), len(y)))


def _no_finer(planes: Plane, share: float) -> Plane:
    """Planes with no more detail than so many times fewer cells have."""
    if share >= 0.9:
        return planes
    height, width = planes.shape[:2]
    size = max(round(width * share), 1), max(round(height * share), 1)
    coarse = cv2.resize(planes, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))


def _offset(difference: Plane, weight: Plane) -> Plane:
    """By how much colours differ where both pictures show the same, smooth.

    That is where the one goes over into the other; inside, it runs into the mean of it.
    """
    size = GRID, GRID
    coarse = cv2.resize(difference, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    ring = 4 * share * (1 - share)
    total = float(ring.sum())
    if total < 1:
        return np.zeros_like(difference)
    coarse = np.clip(coarse, -_OFFSET, _OFFSET)
    mean = (coarse * ring[..., None]).sum((0, 1)) / total
    spread = cv2.GaussianBlur(np.dstack([(coarse - mean) * ring[..., None], ring]), (0, 0), _RING)
    local = mean + spread[..., :3] / (spread[..., 3:] + 0.05)
    return np.asarray(cv2.resize(local, difference.shape[1::-1]), np.float32)


def _openings(motion: FaceMotion, x: NDArray[np.floating], y: NDArray[np.floating]) -> Plane | None:
    """Where mouth and eyes are open otherwise than in the source, 0 to 1; None for nowhere.

    ``x`` and ``y`` are columns and rows in units of the square.
    """
    new = np.zeros((len(y), len(x)), np.float32)
    step = float(x[1] - x[0]) if len(x) > 1 else 1.0
    for ring in _OPENINGS:
        gaps = [np.ptp(points[ring], axis=0).min() for points in (motion.own, motion.points)]
        changed = float(smooth(np.asarray(abs(gaps[1] - gaps[0]) / _OPENED, np.float32)))
        if changed > 0:
            corners = np.round((motion.points[ring] - (x[0], y[0])) / step * 8).astype(np.int32)
            shape = np.zeros_like(new)
            cv2.fillPoly(shape, [corners], changed, cv2.LINE_8, 3)
            new = np.maximum(new, shape)
    if not new.any():
        return None
    spread = 2 * round(_RIM / step) + 1
    new = np.asarray(cv2.dilate(new, np.ones((spread, spread), np.uint8)), np.float32)
    return np.asarray(cv2.GaussianBlur(new, (0, 0), max(0.8 * _RIM / step, 0.5)), np.float32)


def _changed(
    cells: Cells, moved: Picture, band: slice, change: Plane, kept: Plane | None
) -> Picture:
    """The warped pixels of some rows of cells with the change on them."""
    added = cells.enlarged(change, band, cv2.INTER_CUBIC)
    if kept is not None and kept[band].min() < 1:
        # Mouth and eyes alone, which are few of its columns and rows.
        factor = cells.enlarged(kept, band, cv2.INTER_LINEAR)
        rows, columns = (np.flatnonzero(factor.min(axis) < 1) for axis in (1, 0))
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        added[part] -= (1 - factor[part][..., None]) * moved[part]
    return np.asarray(cv2.add(moved, added, dtype=cv2.CV_8U), np.uint8)


def _moved(picture: Picture, flow: Plane, first: int, method: int) -> Picture:
    """A picture's rows from a first one on, each pixel fetched from where the flow leads."""
    x = flow[..., 0] + np.arange(flow.shape[1], dtype=np.float32)
    y = flow[..., 1] + np.arange(first, first + flow.shape[0], dtype=np.float32)[:, None]
    found = cv2.remap(picture, x, y, method, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.uint8)
