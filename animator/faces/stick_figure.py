"""Faces as stick figures: the lines between their landmarks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.faces.landmarks import POINTS
from gfla.arrays import Picture

Colour = tuple[int, int, int]

DARK, PALE = (22, 24, 28), (255, 255, 255)
"""Grounds that figures are drawn on."""
_ON_DARK: dict[str, Colour] = {
    **{"jaw": (150, 156, 166), "brow": (226, 188, 118), "nose": (176, 182, 192)},
    **{"eye": (118, 196, 236), "lips": (240, 128, 128)},
}
_ON_PALE: dict[str, Colour] = {
    **{"jaw": (120, 124, 130), "brow": (150, 104, 20), "nose": (96, 100, 106)},
    **{"eye": (10, 100, 160), "lips": (190, 40, 50)},
}
_PARTS = (
    # name, first and one beyond the last landmark, whether it is closed
    ("jaw", 0, 17, False),
    ("brow", 17, 22, False),
    ("brow", 22, 27, False),
    ("nose", 27, 31, False),
    ("nose", 31, 36, False),
    ("eye", 36, 42, True),
    ("eye", 42, 48, True),
    ("lips", 48, 60, True),
    ("lips", 60, 68, True),
)
_FINE = 4  # bits of a pixel to which OpenCV places lines
_FAR = 1 << 14  # pixels; OpenCV counts lines in 32 bits


def draw_figure(
    points: NDArray[np.floating] | None,
    width: int,
    height: int,
    ground: Colour = DARK,
    thickness: float = 1.0,
) -> Picture:
    """A stick figure, uint8 height x width x 3.

    Args:
        points: 68 x 2 in pixels of the picture, parts of which may lie outside; None draws nobody.
        width: of the picture, in pixels.
        height: likewise.
        ground: colour behind it.
        thickness: of its lines, in hundredths of the face.
    """
    picture = np.full((height, width, 3), ground, np.uint8)
    if points is None:
        return picture
    if points.shape != (POINTS, 2):
        raise ValueError(f"expected {POINTS} x 2 landmarks, got {points.shape}")
    extent = float((points.max(0) - points.min(0)).max())
    wide = int(np.clip(round(thickness * extent / 100), 1, 64))
    colours = _ON_PALE if sum(ground) > 3 * 128 else _ON_DARK
    placed = np.round(np.clip(points, -_FAR, _FAR) * 2**_FINE).astype(np.int32)
    for name, first, last, closed in _PARTS:
        line = [placed[first:last, None]]
        cv2.polylines(picture, line, closed, colours[name], wide, cv2.LINE_AA, _FINE)
    return picture
