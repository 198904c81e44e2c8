"""A photo of a face that turns, nods, blinks and talks, by warping it.

Only for the sample video: enough to give every stage real work, no network involved. Coordinates
are pixels of the 512 x 512 picture, x right, y down; angles are in radians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Map = npt.NDArray[Any]
"""Float32, one value a pixel; a picture has a third axis for RGB."""

SIZE = 512
_COARSE = 4  # the head's motion is smooth and is solved on every fourth pixel

# Measured on the photo with a landmark detector: points on lids and lip, places of features.
_LIDS = (
    (
        ((175.3, 209.3), (186.0, 201.3), (199.3, 201.3), (211.3, 211.3)),
        ((175.3, 209.3), (186.0, 213.3), (199.3, 212.7), (211.3, 211.3)),
    ),
    (
        ((262.0, 208.0), (273.3, 197.3), (286.0, 196.7), (297.3, 202.7)),
        ((262.0, 208.0), (274.7, 208.7), (287.3, 208.0), (297.3, 202.7)),
    ),
)
_LOWER_LIP = ((202.0, 284.0), (229.3, 300.0), (241.3, 301.3), (252.7, 299.3), (280.0, 281.3))
_HEAD_CENTRE, _HEAD_RADII, _HEAD_DEPTH = (234.0, 208.0), (118.0, 160.0), 165.0
_NECK = (240.0, 385.0)
_NOSE = (236.0, 252.0)
_BROWS = ((183.0, 186.0), (287.0, 182.0))
_MOUTH = (241.5, 290.0)
_MOUTH_HALF_WIDTH = 41.0
_CHIN = 357.0


@dataclass(frozen=True)
class Pose:
    """One moment; all zero is the photo itself.

    Attributes:
        yaw: to the picture's right.
        pitch: downwards.
        roll: clockwise.
        sway: right and down, pixels.
        jaw: pixels by which the lower lip is lower than in the photo.
        width: by how much the mouth is wider, as a share.
        blink: 0 open to 1 closed.
        brows: pixels upwards.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    sway: tuple[float, float] = (0.0, 0.0)
    jaw: float = 0.0
    width: float = 0.0
    blink: float = 0.0
    brows: float = 0.0


class Puppet:
    """Renders poses of one photo.

    Args:
        photo: uint8 512 512 3 RGB, the one on which the places in this file were measured.
    """

    def __init__(self, photo: npt.NDArray[np.uint8]) -> None:
        self._photo = photo
        rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
        self._x, self._y = columns, rows
        step = slice(_COARSE // 2, None, _COARSE)
        self._head = _Head(columns[step, step], rows[step, step])
        self._lower_lip = _parabola(_LOWER_LIP)
        self._lids = [
            (_parabola(upper), _parabola(lower), upper[0][0], upper[-1][0])
            for upper, lower in _LIDS
        ]

    def render(self, pose: Pose) -> npt.NDArray[np.uint8]:
        """uint8 512 512 3 RGB of one pose."""
        x, y = self._head.inverse(pose)
        base_x, base_y = self._smooth_features(x, y, pose)
        picture = self._sample(base_x, base_y)
        picture = self._blink(picture, base_x, base_y, pose.blink)
        return self._talk(picture, base_x, base_y, pose.jaw).astype(np.uint8)

    def _sample(self, x: Map, y: Map) -> Map:
        return cv2.remap(
            self._photo, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        ).astype(np.float32)

    def _smooth_features(self, x: Map, y: Map, pose: Pose) -> tuple[Map, Map]:
        """Where the photo is sampled for brows and the mouth's width."""
        for centre_x, centre_y in _BROWS:
            y = y + pose.brows * _bump(x - centre_x, y - centre_y, 34, 14)
        mouth = _bump(x - _MOUTH[0], y - _MOUTH[1], 46, 30)
        return x - pose.width * (x - _MOUTH[0]) * mouth, y

    def _blink(self, picture: Map, x: Map, y: Map, closed: float) -> Map:
        """Draw the upper lids down; their skin is stretched from below the brows."""
        if closed <= 0:
            return picture
        for upper, lower, left, right in self._lids:
            middle, half = (left + right) / 2, (right - left) / 2 + 3
            inside = np.clip(1 - ((x - middle) / half) ** 2, 0, 1)
            lash, shut = _curve(upper, x), _curve(lower, x) - 0.5
            edge = lash + closed * np.maximum(shut - lash, 0) * np.minimum(4 * inside, 1)
            # Skin from `fold` to the lashes is stretched; the lashes move and grow thinner.
            fold, thick, thin = lash - 11, 5.0, 5.0 - 2.2 * closed
            skin = np.clip((y - fold) / np.maximum(edge - thin - fold, 1), 0, 1)
            stretched = fold + skin * (lash - thick - fold)
            moved = np.where(y < edge - thin, stretched, lash - (edge - y) * (thick / thin))
            lid = self._sample(x, np.where(y > fold, moved, y))
            # The covered eye bulges: a little light in the middle of the lid, less at its ends.
            lid *= (1 - closed * skin * (0.12 - 0.10 * inside))[..., None]
            cover = _soft_step(edge - y) * (y > fold) * (inside > 0)
            picture = picture + cover[..., None] * (lid - picture)
        return picture

    def _talk(self, picture: Map, x: Map, y: Map, jaw: float) -> Map:
        """Lower the jaw; what opens below the teeth is dark."""
        lip = _curve(self._lower_lip, x)
        depth = np.clip((y - lip) / (_CHIN - 300), 0, 1)
        half = _MOUTH_HALF_WIDTH + 62 * depth * depth * (3 - 2 * depth)
        across = _profile((x - _MOUTH[0]) / half)
        down = 1 - np.clip((y - _CHIN) / 36, 0, 1)
        shift = jaw * across * down * down * (3 - 2 * down)
        edge = lip + jaw * _profile((x - _MOUTH[0]) / _MOUTH_HALF_WIDTH)
        lower = self._sample(x, y - shift)
        below = _soft_step(y - edge)[..., None]
        if jaw > 0:
            height = np.maximum(edge - lip, 1)
            inner = np.clip((y - lip) / height, 0, 1)[..., None]
            tongue = np.array([112, 48, 46], np.float32)
            throat = np.array([34, 12, 12], np.float32)
            open_mouth = throat + inner * inner * (tongue - throat)
            hole = (_soft_step(y - lip) * (edge - lip > 0.3))[..., None]
            picture = picture + hole * (open_mouth - picture)
        return np.clip(picture + below * (lower - picture), 0, 255)


class _Head:
    """The head as a smooth solid before a still background, turned about the neck."""

    def __init__(self, x: Map, y: Map) -> None:
        self._x, self._y = x, y

    def inverse(self, pose: Pose) -> tuple[Map, Map]:
        """Float32 512 512 twice: the place in the photo's head that each pixel shows."""
        x, y = self._x, self._y
        for _ in range(6):  # the motion is a contraction: this is exact to a tenth of a pixel
            right, down = self._displacement(x, y, pose)
            x, y = self._x - right, self._y - down
        right = cv2.resize(self._x - x, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        down = cv2.resize(self._y - y, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
        return columns - right, rows - down

    def _displacement(self, x: Map, y: Map, pose: Pose) -> tuple[Map, Map]:
        across = (x - _HEAD_CENTRE[0]) / _HEAD_RADII[0]
        along = (y - _HEAD_CENTRE[1]) / _HEAD_RADII[1]
        radius = across**2 + along**2
        depth = _HEAD_DEPTH * (1 / (1 + 0.9 * radius) - 0.5)
        depth = depth + 18 * _bump(x - _NOSE[0], y - _NOSE[1], 20, 24)
        # Turn about a point inside the head, then tilt about the neck.
        turned_x = _HEAD_CENTRE[0] + (x - _HEAD_CENTRE[0]) * math.cos(pose.yaw)
        turned_x = turned_x + depth * math.sin(pose.yaw)
        turned_y = _HEAD_CENTRE[1] + 60 + (y - _HEAD_CENTRE[1] - 60) * math.cos(pose.pitch)
        turned_y = turned_y + depth * math.sin(pose.pitch)
        from_neck_x, from_neck_y = turned_x - _NECK[0], turned_y - _NECK[1]
        moved_x = _NECK[0] + from_neck_x * math.cos(pose.roll) - from_neck_y * math.sin(pose.roll)
        moved_y = _NECK[1] + from_neck_x * math.sin(pose.roll) + from_neck_y * math.cos(pose.roll)
        follows = self._follows(x, y)
        return (
            follows * (moved_x + pose.sway[0] - x),
            follows * (moved_y + pose.sway[1] - y),
        )

    @staticmethod
    def _follows(x: Map, y: Map) -> Map:
        """1 on the head, less on the neck and around, 0 on background and shoulders."""
        distance = np.hypot((x - 233) / 158, (y - 195) / 178)
        around = np.clip((1.75 - distance) / 0.75, 0, 1)
        neck = np.clip((412 - y) / 75, 0, 1)
        beside = np.clip(1 - (y - 300) / 60 * np.clip((np.abs(x - 236) - 95) / 40, 0, 1), 0, 1)
        return _ease(around) * _ease(neck) * np.where(y > 300, beside, 1)


def _bump(x: Map, y: Map, width: float, height: float) -> Map:
    return np.exp(-((x / width) ** 2) - (y / height) ** 2)


def _ease(share: Map) -> Map:
    return share * share * (3 - 2 * share)


def _profile(across: Map) -> Map:
    """1 in the middle, 0 from -1 and 1 outwards, flatter in the middle than a parabola."""
    return 1 - np.minimum(np.abs(across), 1) ** 2.6


def _soft_step(pixels: Map) -> Map:
    """0 below, 1 above, over two pixels: an edge without stairs."""
    return np.clip(pixels / 2 + 0.5, 0, 1)


def _parabola(points: Sequence[tuple[float, float]]) -> npt.NDArray[np.float64]:
    """The coefficients a, b, c of the y(x) = a x^2 + b x + c that is nearest to the points."""
    x, y = zip(*points, strict=True)
    return np.polyfit(x, y, 2)


def _curve(coefficients: npt.NDArray[np.float64], x: Map) -> Map:
    a, b, c = (np.float32(value) for value in coefficients)
    return (a * x + b) * x + c
