"""A raster of cells over the part of a frame that a face's motion reaches."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.animation.composing.reach import GRID, PAD, Plane
from gfla.arrays import Picture

SIDE = 320
"""About how many cells lie along a face's square: no more pixels than it has, and no more than show
all that the networks draw anew."""


class Cells(NamedTuple):
    """Square cells of whole pixels, which begin where the face's square does.

    Attributes:
        left: of the part in pixels of the frame; it may begin and end beyond it.
        top: likewise.
        columns: how many cells.
        rows: likewise.
        pixels: side of a cell.
        square: left and top edge of the face's square in the part, and its side, in pixels.
    """

    left: int
    top: int
    columns: int
    rows: int
    pixels: int
    square: tuple[int, int, int]

    @classmethod
    def under(cls, frame: Picture, place: tuple[int, int, int], reach: Plane) -> Cells | None:
        """The cells that a reach covers, or None where it lies outside of the frame."""
        left, top, side = place
        height, width = frame.shape[:2]
        pixels = max(round(side / SIDE), 1)
        spans = []
        for axis, start, length in ((0, left, width), (1, top, height)):
            found = np.flatnonzero(reach.any(axis)) - PAD
            if not found.size:
                return None
            # From the end of the cell before to that of the cell after, where all is zero.
            low = max(start + (int(found[0]) - 1) * side // GRID, 0)
            high = min(start - (-(int(found[-1]) + 2) * side // GRID), length)
            if low >= high:
                return None
            first = (low - start) // pixels
            spans.append((start + first * pixels, -((start - high) // pixels) - first))
        (x, columns), (y, rows) = spans
        return cls(x, y, columns, rows, pixels, (left - x, top - y, side))

    def cut(self, frame: Picture) -> Picture:
        """A copy of the part, with the frame's border repeated where it goes beyond."""
        height, width = frame.shape[:2]
        right, bottom = self.left + self.columns * self.pixels, self.top + self.rows * self.pixels
        part = frame[max(self.top, 0) : bottom, max(self.left, 0) : right]
        above, before = max(-self.top, 0), max(-self.left, 0)
        below, after = max(bottom - height, 0), max(right - width, 0)
        around = cv2.copyMakeBorder(part, above, below, before, after, cv2.BORDER_REPLICATE)
        return np.asarray(around, np.uint8)

    def put(self, frame: Picture, band: slice, part: Picture) -> None:
        """Write the part's rows of some rows of cells into the frame."""
        top = self.top + band.start * self.pixels
        y0, y1 = max(top, 0), min(top + part.shape[0], frame.shape[0])
        x0, x1 = max(self.left, 0), min(self.left + part.shape[1], frame.shape[1])
        if y0 < y1:
            frame[y0:y1, x0:x1] = part[y0 - top : y1 - top, x0 - self.left : x1 - self.left]

    def laid(self, planes: Plane) -> Plane:
        """Planes of GRID cells a side, `PAD` around them included, on these cells."""
        left, top, side = self.square
        step = GRID * self.pixels / side
        x, y = ((0.5 - start / self.pixels) * step - 0.5 + PAD for start in (left, top))
        return picked(planes, (x, y), step, (self.columns, self.rows))

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of the cells under the face's square, as far as they are there."""
        left, top, side = self.square
        spans = []
        for start, count in ((top, self.rows), (left, self.columns)):
            low, high = start // self.pixels, -(-(start + side) // self.pixels)
            spans.append(slice(min(max(low, 0), count), min(max(high, 0), count)))
        return spans[0], spans[1]

    def enlarged(self, planes: Plane, band: slice, method: int) -> Plane:
        """Rows of cells as pixels by an OpenCV filter, the same whichever rows are asked for."""
        if self.pixels == 1:
            return planes[band].copy()
        # With the neighbours that interpolation looks at.
        low, high = max(band.start - 2, 0), min(band.stop + 2, len(planes))
        part = planes[low:high]
        size = part.shape[1] * self.pixels, part.shape[0] * self.pixels
        large = cv2.resize(part, size, interpolation=method)
        begin, end = (band.start - low) * self.pixels, (band.stop - low) * self.pixels
        return np.asarray(large[begin:end], np.float32)


def picked(
    planes: NDArray[np.generic], first: tuple[float, float], step: float, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Planes at columns and rows `step` apart from a first place on, as floats.

    Args:
        planes: h x w x any.
        first: x and y in pixels of the planes.
        step: likewise.
        size: columns and rows of the result.
    """
    matrix = np.array([[step, 0, first[0]], [0, step, first[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(
        np.asarray(planes), matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(found, np.float32)
