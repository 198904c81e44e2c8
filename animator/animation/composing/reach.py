"""The reach of a face's motion into the picture around it, and the flow that fades out there."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

GRID = 64
"""Cells along a side of a face's square."""
PAD = GRID // 2
"""Cells around the square into which its motion may reach."""
BORDER = 0.12
"""Share of the side in which what was generated fades out towards the end of the square."""
# The head with its hair is an ellipse, in half extents of its landmarks: axes, and how far up.
_WIDE, _HIGH, _UP = 1.15, 1.75, 0.75
# Radii up to which a change, and a warp, are whole; and in how many more a warp fades at least.
# Behind a head they are so many times its way, as otherwise the picture would be folded there.
_CHANGED, _CARRIED, _FADE = 0.95, 1.15, 0.25
_BEHIND = 1.6
# In units of the square: what is no motion yet, and what surely is one.
_STILL, _MOVING = 0.0008, 0.006
# Around a landmark that moves alone: radius, how much of its way comes to that, and sigma.
_NEAR, _AHEAD, _SPREAD = 0.06, 0.7, 0.035
_UPPER = np.r_[17:48]  # landmarks that move with the head: brows, nose, eyes
_SOFT = 3.0  # sigma in cells of the flow where it is the picture alone that moves
_FINE = 3  # bits of a cell that OpenCV draws


class FaceMotion(NamedTuple):
    """How a generated face has moved, in units of its square (0..1 from edge to edge).

    Attributes:
        flow: 2 x g x g, leads from each place of the frame to the source's.
        own: 68 x 2, landmarks of the source.
        points: 68 x 2, those of the frame.
    """

    flow: NDArray[np.floating]
    own: NDArray[np.floating]
    points: NDArray[np.floating]


def reach_of(motion: FaceMotion) -> Plane:
    """How far the motion of a frame reaches.

    It depends on landmarks alone: what networks say of background that stays is not heeded.

    Returns:
        2 GRID x 2 GRID, the square and `PAD` cells around it: 1 where what was generated is shown,
        down to 0.5 where it is the picture's own, which is moved along, and to 0 where that fades
        out and nothing moves.
    """
    ways = np.linalg.norm(motion.points - motion.own, axis=1)
    shares = smooth(((ways - _STILL) / (_MOVING - _STILL)).astype(np.float32))
    # The head as a whole, as far as those of its landmarks move that nothing else moves.
    moved = float(np.median(shares[_UPPER]))
    reach = moved * _head(motion.points, motion.points - motion.own)
    if moved == 1:
        return reach
    # What moves alone, such as the mouth under a head at rest: discs around its landmarks.
    alone = np.zeros_like(reach)
    for index in np.argsort(ways):
        if shares[index] == 0:
            continue
        radius = round((_NEAR + _AHEAD * float(ways[index])) * GRID * 2**_FINE)
        for point in (motion.points[index], motion.own[index]):
            x, y = np.round((point * GRID + PAD - 0.5) * 2**_FINE).astype(int).tolist()
            share = float(shares[index]) * (1 - moved)
            cv2.circle(alone, (x, y), radius, share, cv2.FILLED, cv2.LINE_8, _FINE)
    alone = cv2.GaussianBlur(alone, (0, 0), _SPREAD * GRID)
    return np.maximum(reach, np.where(alone < 1e-3, 0, alone), dtype=np.float32)


def faded_flow(motion: FaceMotion, reach: Plane) -> Plane:
    """The flow of a frame as far as its motion reaches.

    Returns:
        2 GRID x 2 GRID x 2 in units of the square.
    """
    flow = np.ascontiguousarray(np.moveaxis(motion.flow, 0, -1), np.float32)
    flow = np.asarray(cv2.resize(flow, (GRID, GRID), interpolation=cv2.INTER_AREA))
    wide = cv2.copyMakeBorder(flow, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE)
    # As the networks have it where what they changed is seen; else smoothly: what they say of
    # background, and of the end of their picture, would tear what is not theirs.
    across = edge(np.arange(GRID) + 0.5, GRID)
    seen = smooth(2 * reach - 1) * np.pad(np.outer(across, across), PAD)
    soft = cv2.GaussianBlur(wide, (0, 0), _SOFT)
    mixed = soft + seen[..., None] * (wide - soft)
    return np.asarray(mixed * smooth(2 * reach)[..., None], np.float32)


def smooth(share: Plane) -> Plane:
    """A ramp with soft ends: 0 below 0, 1 above 1."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def edge(at: NDArray[np.floating], side: float) -> Plane:
    """The share of what was generated at distances from the square's one end, by its border."""
    distance = np.minimum(at, side - at).astype(np.float32)
    return smooth(distance / np.float32(BORDER * side))


def _head(points: NDArray[np.floating], ways: NDArray[np.floating]) -> Plane:
    """The reach of a head whose landmarks have gone such ways, 68 x 2."""
    low, high = points.min(0), points.max(0)
    half = np.maximum((high - low) / 2, 1e-3)
    middle, axes = (low + high) / 2 - (0, _UP * half[1]), half * (_WIDE, _HIGH)
    centres = (np.arange(GRID + 2 * PAD) - PAD + 0.5) / GRID
    across, down = ((centres - middle[axis]) / axes[axis] for axis in (0, 1))
    across, down = np.meshgrid(across, down)
    radius = np.hypot(across, down)
    # Before a head the picture is pressed together, which may be sudden; behind it it is drawn out.
    # Some of it turns or grows, rather than goes: that is behind on every side.
    way = np.median(ways[_UPPER], axis=0)
    rest = np.percentile(np.linalg.norm(ways - way, axis=1), 75)
    outwards = (across * way[0] / axes[0] + down * way[1] / axes[1]) / np.maximum(radius, 1e-3)
    fade = _FADE + _BEHIND * np.maximum(rest / axes.min() - outwards, 0)
    # Down to a half between the two radii, then to nothing.
    inner = 1 - 0.5 * (radius - _CHANGED) / (_CARRIED - _CHANGED)
    outer = 0.5 - 0.5 * (radius - _CARRIED) / fade
    return np.clip(np.where(radius < _CARRIED, inner, outer), 0, 1).astype(np.float32)
