"""Square, turned parts of pictures, as networks want to see them, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Region:
    """A square in a picture, which may be turned and reach beyond its borders.

    Attributes:
        x: of its middle, in pixels; whole numbers are the centres of pixels.
        y: likewise.
        side: its length in pixels.
        angle: how far its upper edge is turned clockwise, in radians.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def to_picture(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points ... x 2 in parts of the square, 0 to 1 from its upper left, as pixels."""
        cos, sin = math.cos(self.angle) * self.side, math.sin(self.angle) * self.side
        u, v = np.moveaxis(np.asarray(points, np.float64) - 0.5, -1, 0)
        return np.stack([self.x + cos * u - sin * v, self.y + sin * u + cos * v], -1)


def upright_region(centre: NDArray[np.floating], top: NDArray[np.floating], scale: float) -> Region:
    """The square around a middle whose upward direction leads to another point.

    Args:
        centre: x and y of the middle.
        top: x and y of a point above it, on the circle that holds what is looked for.
        scale: side of the square in diameters of that circle.
    """
    dx, dy = (float(value) for value in np.asarray(top, np.float64) - centre)
    side = 2 * math.hypot(dx, dy) * scale
    return Region(float(centre[0]), float(centre[1]), side, math.atan2(dx, -dy))


def cut(
    picture: NDArray[np.uint8], region: Region, size: int, border: int = cv2.BORDER_REPLICATE
) -> NDArray[np.uint8]:
    """The part of a picture in a region, as size x size pixels.

    Args:
        picture: uint8 H W 3.
        region: what is cut out.
        size: side of the result in pixels.
        border: OpenCV's number for what lies beyond the picture.
    """
    height, width = picture.shape[:2]
    reach = region.side * math.sqrt(0.5) + 2
    left, top = max(int(region.x - reach), 0), max(int(region.y - reach), 0)
    right, bottom = max(int(region.x + reach) + 1, 0), max(int(region.y + reach) + 1, 0)
    part = picture[top:bottom, left:right]
    if part.size == 0:
        return np.zeros((size, size, 3), np.uint8)
    ratio_x = ratio_y = 1.0
    if region.side > 1.5 * size:
        # Bilinear sampling alone would skip pixels.
        scale = size / region.side
        small = max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1)
        ratio_x, ratio_y = small[0] / part.shape[1], small[1] / part.shape[0]
        part = np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), np.uint8)
    # From the result's pixels to the part's: centres of pixels are whole numbers in both.
    corners = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]]) / size
    origin, across, down = region.to_picture(corners) - [left - 0.5, top - 0.5]
    matrix = np.stack([across - origin, down - origin, origin], 1)
    matrix *= [[ratio_x], [ratio_y]]
    matrix[:, 2] -= 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(part, matrix, (size, size), flags=flags, borderMode=border)
    return np.asarray(crop, np.uint8)


def whole(picture: NDArray[np.uint8]) -> Region:
    """The square around a whole picture."""
    height, width = picture.shape[:2]
    return Region((width - 1) / 2, (height - 1) / 2, float(max(height, width)))
