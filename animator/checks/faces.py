"""Measures of a face by its landmarks alone, as a check has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from animator.checks.report import Crop, Face
from animator.faces.crop import Square, face_square, whole_square
from animator.faces.measures import face_extent, head_lean, head_turn, relative_openings


def measure_pose(points: NDArray[np.floating], width: int, height: int) -> Face:
    """What landmarks tell of a face; its light and sharpness take a picture and are None.

    Args:
        points: 68 x 2 pixels.
        width: of the picture, in pixels.
        height: likewise.
    """
    square = whole_square(face_square(points))
    openings = relative_openings(points)
    return Face(
        pixels=round(float(face_extent(points)), 1),
        crop=Crop(*square),
        turn=round(float(head_turn(points)), 3),
        lean=round(float(head_lean(points)), 1),
        sharpness=None,
        brightness=None,
        eyes=round(float(openings[:2].mean()), 3),
        mouth=round(float(openings[2]), 3),
        inside=round(_inside(square, width, height), 3),
    )


def around(squares: Sequence[Square]) -> Crop | None:
    """The least square that holds all of these."""
    if not squares:
        return None
    values = np.array(squares)
    low = (values[:, :2] - values[:, 2:] / 2).min(0)
    high = (values[:, :2] + values[:, 2:] / 2).max(0)
    cx, cy = (float(middle) for middle in (low + high) / 2)
    return Crop(*whole_square(Square(cx, cy, float((high - low).max()))))


def _inside(square: tuple[int, int, int], width: int, height: int) -> float:
    """The share of a square that lies in a picture."""
    left, top, side = square
    across = min(left + side, width) - max(left, 0)
    down = min(top + side, height) - max(top, 0)
    return max(across, 0) * max(down, 0) / side**2
