"""Heads in three dimensions with known angles and expressions, as a camera sees their landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animator.faces.detectors.mean_face import MIRRORED
from animator.faces.mean_head import MEAN_HEAD

Floats = NDArray[np.float64]

SCALE = 30.0
"""Pixels for half the distance of the outer eye corners, as in a crop of 256 pixels."""


def person(seed: int) -> Floats:
    """A head 68 x 3 of other proportions (by 4.5 %) and features than the mean one, symmetric."""
    rng = np.random.default_rng(seed)
    head = MEAN_HEAD * (1 + rng.normal(0, 0.045, 3))
    for _ in range(6):
        place = MEAN_HEAD[rng.integers(68)]
        near = np.exp(-((MEAN_HEAD - place) ** 2).sum(1) / 0.8)
        head = head + near[:, None] * rng.normal(0, 0.035, 3)
    head = head + rng.normal(0, 0.015, head.shape)
    return (head + head[MIRRORED] * [-1, 1, 1]) / 2


def expressions(jaw: Floats, smile: Floats, brows: Floats, lids: Floats) -> Floats:
    """What faces do, T x 68 x 3, for T strengths of each from 0 to 1."""
    jaw, smile, brows, lids = (values[:, None] for values in (jaw, smile, brows, lids))
    face = np.zeros((len(jaw), 68, 3))
    opened = np.zeros(68)
    opened[3:14] = np.sin(np.linspace(0, np.pi, 11))
    opened[[55, 56, 57, 58, 59, 65, 66, 67]] = 1
    opened[[48, 54, 60, 64]] = 0.4
    face[:, :, 1] += 0.6 * jaw * opened
    face[:, :, 2] += 0.2 * jaw * opened
    face[:, [48, 60], 0] -= 0.25 * smile
    face[:, [54, 64], 0] += 0.25 * smile
    face[:, [48, 54, 60, 64], 1] -= 0.15 * smile
    face[:, [31, 35], 0] += 0.03 * smile * [-1, 1]
    face[:, 17:27, 1] -= 0.25 * brows
    face[:, [37, 38, 43, 44], 1] += 0.16 * lids
    return face


def waves(seed: int, frames: int, most: float, axes: tuple[int, ...] = (0, 1, 2)) -> Floats:
    """Yaw, pitch and roll that go to and fro up to ``most`` degrees, T x 3; 0 in other axes."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, frames)[:, None]
    angles = most * np.sin(2 * np.pi * (time * [1, 1.7, 2.4] + rng.random(3)))
    return angles * np.isin(np.arange(3), axes)


def talk(seed: int, frames: int) -> Floats:
    """A lively face, T x 68 x 3."""
    rng = np.random.default_rng(seed + 1000)
    time = np.linspace(0, 1, frames)
    jaw, smile, brows, lids = (
        0.5 - 0.5 * np.cos(2 * np.pi * (time * rng.uniform(2, 6) + rng.random())) for _ in range(4)
    )
    return expressions(jaw, smile, brows, lids**4)


def matrix(angles: Floats) -> Floats:
    """Rotations ... x 3 x 3 by yaw, pitch and roll in degrees, written out one by one."""
    yaw, pitch, roll = np.moveaxis(np.radians(angles), -1, 0)
    one, none = np.ones_like(yaw), np.zeros_like(yaw)

    def rows(*values: Floats) -> Floats:
        return np.stack(values, -1).reshape(*yaw.shape, 3, 3)

    about_x = rows(
        *(one, none, none), *(none, np.cos(pitch), -np.sin(pitch)),
        *(none, np.sin(pitch), np.cos(pitch)),
    )  # fmt: skip
    about_y = rows(
        *(np.cos(yaw), none, -np.sin(yaw)), *(none, one, none), *(np.sin(yaw), none, np.cos(yaw))
    )
    about_z = rows(
        *(np.cos(roll), -np.sin(roll), none), *(np.sin(roll), np.cos(roll), none),
        *(none, none, one),
    )  # fmt: skip
    return about_z @ about_y @ about_x


def seen(
    head: Floats,
    angles: Floats,
    face: Floats | float = 0.0,
    *,
    scale: float = SCALE,
    place: tuple[float, float] = (128.0, 105.0),
    noise: float = 0.0,
    seed: int = 0,
) -> Floats:
    """Landmarks T x 68 x 2 in pixels of a head that stands at T x 3 angles."""
    points = (head + face) @ np.swapaxes(matrix(angles), -1, -2)
    flat = scale * points[..., :2] + np.array(place)
    return flat + np.random.default_rng(seed).normal(0, noise, flat.shape)
