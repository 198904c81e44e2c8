"""The square of a picture that a network sees of a face."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from gfla.arrays import Picture, Points


class Part(Protocol):
    """A rectangle of a picture: the square of a face, or the window of a person."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left and top edge, width and height on whole pixels."""
        ...

    def scaled(self, scale: float) -> Self:
        """The same part of the picture at another size, on whole pixels."""
        ...

    def shifted(self, right: int) -> Self:
        """The part that lies so many pixels farther to the right."""
        ...

    def fit(self, picture: Picture, width: int, height: int) -> Picture:
        """A picture of it, from or for the networks, with so many pixels."""
        ...


class Square(NamedTuple):
    """A square of a picture: its centre and side in pixels."""

    cx: float
    cy: float
    side: float

    @property
    def box(self) -> tuple[int, int, int, int]:
        """See `Part.box`."""
        left, top, side = whole_square(self)
        return left, top, side, side

    def scaled(self, scale: float) -> Square:
        """See `Part.scaled`."""
        return square_at(*whole_square(Square(*(value * scale for value in self))))

    def shifted(self, right: int) -> Square:
        """See `Part.shifted`."""
        return self._replace(cx=self.cx + right)

    def fit(self, picture: Picture, width: int, height: int) -> Picture:
        """See `Part.fit`."""
        return resize(picture, width, height, cv2.INTER_CUBIC)


def square_at(left: int, top: int, side: int) -> Square:
    """The square of whole pixels that `whole_square` gives back."""
    return Square(left + side / 2, top + side / 2, side)


def face_square(points: Points, margin: float = 1.75) -> Square:
    """The crop around a face that the face models are trained on.

    Its centre is the middle of the landmarks' extent, moved up by a tenth of its height to make
    room for the forehead; its side is `margin` times the greater extent.

    Args:
        points: 68 x 2 pixels.
        margin: side of the crop in units of the face.
    """
    low, high = points.min(0), points.max(0)
    width, height = (float(extent) for extent in high - low)
    cx, cy = (float(middle) for middle in (low + high) / 2)
    return Square(cx, cy - 0.10 * height, margin * max(width, height))


def whole_square(square: Square) -> tuple[int, int, int]:
    """The square on whole pixels: left and top edge and side, as `crop_square` takes it."""
    side = max(round(square.side), 1)
    return round(square.cx - side / 2), round(square.cy - side / 2), side


def to_crop(points: NDArray[np.floating], square: Square, size: int) -> NDArray[np.float32]:
    """Points ... x 2 of a picture as pixels of what `crop_square` cuts from it."""
    left, top, side = whole_square(square)
    # From centres of pixels to edges, scaled, and back: half a pixel before, half a pixel after.
    scaled = (points - np.array([left, top]) + 0.5) * (size / side) - 0.5
    return scaled.astype(np.float32)


def in_units(points: NDArray[np.floating], square: Square) -> NDArray[np.float32]:
    """Points ... x 2 of a picture in units of a square of it, as `gfla.arrays` has them."""
    return to_crop(points, square, 1) + np.float32(0.5)


def to_units(points: NDArray[np.floating], size: int) -> NDArray[Any]:
    """Points ... x 2 of a crop with sides of ``size`` in its units; undoes `to_pixels`."""
    return (points + 0.5) / size


def crop_square(image: Picture, square: Square, size: int) -> Picture:
    """Cut a square from a picture and scale it.

    Args:
        image: uint8 H x W x 3.
        square: the part to cut; outside the picture its border is repeated.
        size: side of the result in pixels.

    Returns:
        uint8 size x size x 3.
    """
    left, top, side = whole_square(square)
    height, width = image.shape[:2]
    # Whole rows and columns inside the picture, then as many border pixels as are wanting.
    x0, x1 = min(max(left, 0), width - 1), max(min(left + side, width), 1)
    y0, y1 = min(max(top, 0), height - 1), max(min(top + side, height), 1)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    before_x, before_y = max(min(x0 - left, side - 1), 0), max(min(y0 - top, side - 1), 0)
    after_x, after_y = side - before_x - (x1 - x0), side - before_y - (y1 - y0)
    part = image[y0:y1, x0:x1]
    if before_x or before_y or after_x or after_y:
        around = before_y, after_y, before_x, after_x
        part = np.asarray(cv2.copyMakeBorder(part, *around, cv2.BORDER_REPLICATE), np.uint8)
    return resize(part, size, size)


def resize(image: Picture, width: int, height: int, enlarging: int = cv2.INTER_LANCZOS4) -> Picture:
    """A picture H W 3 scaled to a width and a height in pixels.

    Args:
        image: one that is to be smaller is averaged.
        width: of the result.
        height: of the result.
        enlarging: OpenCV's filter for a larger result; Lanczos keeps most of a photograph.
    """
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    smaller = width * height < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if smaller else enlarging
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def fit_size(picture: Picture, size: int) -> Picture:
    """A square picture of, or for, the networks at another size; the same where it fits already.

    Cubic, as Lanczos would draw rings around the sharp edges that they render.
    """
    return resize(picture, size, size, cv2.INTER_CUBIC)
