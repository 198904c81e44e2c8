"""From the landmarks of a driving video to the target landmarks of the animated portrait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Square(NamedTuple):
    """A square of a picture: its centre and side in pixels."""

    cx: float
    cy: float
    side: float


def face_square(points: NDArray[np.floating], margin: float = 1.75) -> Square:
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
