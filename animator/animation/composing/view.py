"""The view of a source picture that a result shows: which part of it, and in how many pixels."""

from __future__ import annotations

import math
from typing import Protocol, TypeVar

import cv2
import numpy as np
from PIL import Image

from animator.faces.crop import Part, Square, crop_square, resize, square_at, whole_square
from animator.faces.framing import Frame
from animator.faces.framing import even as even
from animator.faces.moving_square import cut_square
from animator.media.notes import LARGEST_SIDE
from gfla.arrays import Picture

Placed = TypeVar("Placed", bound=Part)
_REACH = 4
"""Pixels around a place that a filter looks at, in units of the larger of the two grids."""


class View(Protocol[Placed]):
    """What of the source's pictures a result shows.

    Attributes:
        size: width and height of what is shown, in pixels of the result, both even.
    """

    size: tuple[int, int]

    def picture(self, source: Picture) -> Picture:
        """A picture of the source as it is shown, uint8 height x width x 3."""
        ...

    def place(self, part: Placed, /) -> Placed:
        """Where a part of the source is shown, on whole pixels; it may lie outside to a part."""
        ...


class WholeView:
    """The whole picture.

    One with an odd side loses its last row or column; one beyond `LARGEST_SIDE` is scaled down.

    Args:
        width: of the source's pictures in pixels.
        height: likewise.
    """

    def __init__(self, width: int, height: int) -> None:
        self._scale = min(LARGEST_SIDE / max(height, width), 1.0)
        if self._scale < 1:
            width, height = math.ceil(width * self._scale), math.ceil(height * self._scale)
        self._scaled = max(width, 2), max(height, 2)
        width, height = self._scaled
        self.size = (width - width % 2, height - height % 2)

    def picture(self, source: Picture) -> Picture:
        """See `View.picture`."""
        width, height = self.size
        return np.ascontiguousarray(resize(source, *self._scaled)[:height, :width])

    def place(self, part: Placed) -> Placed:
        """See `View.place`."""
        return part.scaled(self._scale)


class FollowingView:
    """The square around a face that moves through a video, and what is around it.

    The face's square has the same place in all frames of the result, exactly: it is the picture
    that is moved, by parts of pixels, too.

    Args:
        square: of the face, in the source's first picture.
        frame: how much is shown around it.

    Attributes:
        square: that of the picture that is shown next.
    """

    def __init__(self, square: Square, frame: Frame) -> None:
        self.square = square
        self._frame = frame
        self.size = (frame.side, frame.side)

    def picture(self, source: Picture) -> Picture:
        """See `View.picture`."""
        side, face, left, top = self._frame
        cx, cy, own = self.square
        step = own / face
        x = cx - own / 2 + (side / 2 - left) * step
        y = cy - own / 2 + (side / 2 - top) * step
        return cut_square(source, Square(x, y, side * step), side)

    def place(self, square: Square) -> Square:
        """See `View.place`."""
        scale = self._frame.face / self.square.side
        left = square.cx - square.side / 2 - (self.square.cx - self.square.side / 2)
        top = square.cy - square.side / 2 - (self.square.cy - self.square.side / 2)
        return square_at(
            round(left * scale) + self._frame.left,
            round(top * scale) + self._frame.top,
            max(round(square.side * scale), 1),
        )


class SquareView:
    """The square of a face and what is around it; outside the picture its border is repeated.

    Args:
        square: of the face, in the source.
        side: of that square as it is shown, in pixels; the nearest even number is taken.
        frame: how much is shown around it, if not that square alone; its side is then that which
            the frame says.
    """

    def __init__(self, square: Square, side: int, frame: Frame | None = None) -> None:
        self._frame = frame or Frame(even(side), even(side), 0, 0)
        self._square = square
        self.size = (self._frame.side, self._frame.side)

    def picture(self, source: Picture) -> Picture:
        """See `View.picture`."""
        side, face, left, top = self._frame
        if side == face:
            return crop_square(source, self._square, side)
        # The pixels of the face's square in the result are those of its own grid in the source,
        # and so are all others; what is shown then mostly begins between two pixels.
        x, y, own = whole_square(self._square)
        step = own / face
        return _resampled(source, x - left * step, y - top * step, side * step, side)

    def place(self, square: Square) -> Square:
        """See `View.place`."""
        left, top, side = whole_square(self._square)
        scale = self._frame.face / side
        x, y, own = whole_square(square)
        across = round((x - left) * scale) + self._frame.left
        down = round((y - top) * scale) + self._frame.top
        return square_at(across, down, max(round(own * scale), 1))


def _resampled(source: Picture, left: float, top: float, length: float, side: int) -> Picture:
    """A square of a picture, whose edges may lie between pixels, with ``side`` pixels."""
    height, width = source.shape[:2]
    reach = math.ceil(_REACH * max(length / side, 1))
    x0, y0 = math.floor(left) - reach, math.floor(top) - reach
    x1, y1 = math.ceil(left + length) + reach, math.ceil(top + length) + reach
    # The part that is needed, with the border repeated where it leads out of the picture.
    b, d = min(max(x1, 1), width), min(max(y1, 1), height)
    a, c = min(max(x0, 0), b - 1), min(max(y0, 0), d - 1)
    part = source[c:d, a:b]
    above, below, before, after = (max(n, 0) for n in (c - y0, y1 - d, a - x0, x1 - b))
    if above or below or before or after:
        around = above, below, before, after
        part = np.asarray(cv2.copyMakeBorder(part, *around, cv2.BORDER_REPLICATE), np.uint8)
    x0, y0 = min(x0, a), min(y0, c)
    enlarged = length < side
    found = Image.fromarray(part).resize(
        (side, side),
        Image.Resampling.LANCZOS if enlarged else Image.Resampling.HAMMING,
        box=(left - x0, top - y0, left - x0 + length, top - y0 + length),
    )
    return np.ascontiguousarray(found)
