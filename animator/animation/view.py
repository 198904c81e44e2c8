"""The view of a source picture that a result shows: which part of it, and in how many pixels."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from animator.faces.crop import Square, crop_square, resize, whole_square
from animator.faces.moving_square import cut_square
from animator.media.notes import LARGEST_SIDE
from gfla.arrays import Picture


def even(length: float) -> int:
    """The nearest even number, at least 2: video encoders halve the colour planes."""
    return max(2 * round(length / 2), 2)


def square_at(left: int, top: int, side: int) -> Square:
    """The square of whole pixels that `whole_square` gives back."""
    return Square(left + side / 2, top + side / 2, side)


class View(Protocol):
    """What of the source's pictures a result shows.

    Attributes:
        size: width and height of what is shown, in pixels of the result, both even.
    """

    size: tuple[int, int]

    def picture(self, source: Picture) -> Picture:
        """A picture of the source as it is shown, uint8 height x width x 3."""
        ...

    def place(self, square: Square) -> Square:
        """Where a square of the source is shown, on whole pixels; it may lie outside in parts."""
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

    def place(self, square: Square) -> Square:
        """See `View.place`."""
        scaled = Square(*(value * self._scale for value in square))
        return square_at(*whole_square(scaled))


class FollowingView:
    """The square around a face that moves through a video; whose turn it is, sets its square.

    Args:
        square: of the source's first picture.
        side: of what is shown, in pixels; the nearest even number is taken.

    Attributes:
        square: of the picture that is shown next.
    """

    def __init__(self, square: Square, side: int) -> None:
        self.square = square
        self.size = (even(side), even(side))

    def picture(self, source: Picture) -> Picture:
        """See `View.picture`."""
        return cut_square(source, self.square, self.size[0])

    def place(self, square: Square) -> Square:
        """See `View.place`."""
        scale = self.size[0] / self.square.side
        left, top = (
            (square.cx - square.side / 2) - (self.square.cx - self.square.side / 2),
            (square.cy - square.side / 2) - (self.square.cy - self.square.side / 2),
        )
        side = max(round(square.side * scale), 1)
        return square_at(round(left * scale), round(top * scale), side)


class SquareView:
    """A square of the picture; outside the picture its border is repeated.

    Args:
        square: of the source.
        side: of what is shown, in pixels; the nearest even number is taken.
    """

    def __init__(self, square: Square, side: int) -> None:
        self._square = square
        self.size = (even(side), even(side))

    def picture(self, source: Picture) -> Picture:
        """See `View.picture`."""
        return crop_square(source, self._square, self.size[0])

    def place(self, square: Square) -> Square:
        """See `View.place`."""
        left, top, side = whole_square(self._square)
        scale = self.size[0] / side
        x, y, own = whole_square(square)
        placed = max(round(own * scale), 1)
        return square_at(round((x - left) * scale), round((y - top) * scale), placed)
