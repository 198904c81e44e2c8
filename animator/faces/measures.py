"""Measures of a face in a picture: its extent, how far it is turned, its sharpness."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 256


def face_extent(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """The greater extent of landmarks ... 68 2: ... values in their unit."""
    return np.asarray((points.max(-2) - points.min(-2)).max(-1))


def head_turn(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """How far heads are turned to the picture's right, as ``Quality.turn``: ... 68 2 -> ..."""
    left, right = points[..., 36:42, :].mean(-2), points[..., 42:48, :].mean(-2)
    across = right - left
    offset = points[..., 30, :] - (left + right) / 2
    squared = np.maximum((across**2).sum(-1), 1e-12)
    return np.asarray((offset * across).sum(-1) / squared)


def sharpness(crop: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> float:
    """Variance of the Laplacian over a face.

    Args:
        crop: S S 3, RGB.
        landmarks: 68 2, in units of the crop.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    if grey.shape[0] != _SIDE:
        method = cv2.INTER_AREA if grey.shape[0] > _SIDE else cv2.INTER_CUBIC
        grey = cv2.resize(grey, (_SIDE, _SIDE), interpolation=method)
    low = np.clip(np.floor(landmarks.min(0) * _SIDE).astype(int), 0, _SIDE - 1)
    high = np.clip(np.ceil(landmarks.max(0) * _SIDE).astype(int), low + 1, _SIDE)
    face = np.ascontiguousarray(grey[low[1] : high[1], low[0] : high[0]])
    return float(np.asarray(cv2.Laplacian(face, cv2.CV_64F)).var())
