"""Measures of a face in a picture: its extent, how it is held and open, its sharpness."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.geometry import RIGID, fit_similarity, to_complex, to_points
from animator.faces.motion import openings

_SIDE = 256
_CORNERS = ((36, 39), (42, 45), (60, 64))  # of the eyes and of the inner lips
# How far the tip of the nose and the mouth stand out from the eyes, in units of their distance.
_NOSE_DEPTH, _MOUTH_DEPTH = 0.5, 0.2


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


def head_lean(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """How far heads lean to the picture's right, in degrees: ... 68 2 -> ..."""
    return np.degrees(fit_similarity(MEAN_FACE, points, RIGID).angle)


def head_angles(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """About how heads are held, in degrees: ... 68 2 -> ... 3.

    Roll to the picture's right, pitch up, yaw to the picture's right, each from a simple measure:
    by how far the nose is from the eyes' middle, across and down.
    """
    yaw = np.clip(90 * head_turn(points), -90, 90)
    return np.stack([head_lean(points), _head_pitch(points), yaw], -1)


def _head_pitch(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """By how far down the way from the eyes to the mouth the nose's tip is: looking up lifts it.

    With n and m the mean face's nose and mouth below its eyes and d how far they stand out, a
    face that nods by t has its nose at (n cos t - d_n sin t) / (m cos t - d_m sin t) of the way.
    """
    pose = fit_similarity(MEAN_FACE, points, RIGID)
    upright = to_points(to_complex(points) * np.exp(-1j * pose.angle)[..., None])
    nose, mouth = _below_eyes(upright)
    place = nose / np.maximum(mouth, 1e-6)
    distance = np.linalg.norm(MEAN_FACE[42:48].mean(0) - MEAN_FACE[36:42].mean(0))
    nose, mouth = _below_eyes(MEAN_FACE) / distance
    tangent = (nose - place * mouth) / (_NOSE_DEPTH - place * _MOUTH_DEPTH)
    return np.asarray(np.degrees(np.arctan(tangent)))


def _below_eyes(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """How far the tip of the nose and the mouth are below the eyes: ... 68 2 -> 2 ...

    Of the mouth it is the corners, which stay when it opens.
    """
    down = points[..., 1]
    return np.stack([down[..., 30], down[..., [48, 54]].mean(-1)]) - down[..., 36:48].mean(-1)


def relative_openings(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Gap of the lids of each eye and of the inner lips in units of their width: ... 68 2 -> ... 3.

    Of an eye, 0.1 and less is closed.
    """
    widths = [
        np.linalg.norm(points[..., right, :] - points[..., left, :], axis=-1)
        for left, right in _CORNERS
    ]
    return openings(points) / np.maximum(np.stack(widths, -1), 1e-6)


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
