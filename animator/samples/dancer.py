"""Joints of a made-up dancer with limbs of any length, for sheets and trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gfla.joints import JOINTS, Joints


@dataclass(frozen=True)
class Build:
    """How long the parts of a dancer are, in pixels.

    Attributes:
        torso: from the hips to the neck.
        arm: each of its two halves.
        leg: likewise.
        shoulders: from one to the other.
        hips: likewise.
        head: from the neck to the nose.
    """

    torso: float = 100
    arm: float = 50
    leg: float = 72
    shoulders: float = 64
    hips: float = 38
    head: float = 41


TALL = Build(torso=110, arm=62, leg=110, shoulders=66, hips=38, head=40)
SHORT = Build(torso=72, arm=32, leg=38, shoulders=54, hips=34, head=38)


def dance(
    build: Build, seconds: NDArray[np.floating], place: tuple[float, float] = (320, 420)
) -> Joints:
    """A dancer who waves, bends the knees, steps aside and points at the camera.

    Args:
        build: lengths.
        seconds: T times; the dance takes 4 seconds and begins anew.
        place: of the ground between the feet, (x, y) in pixels.

    Returns:
        T x 18 x 2 pixels.
    """
    bodies = np.stack([_pose(build, float(at) % 4 / 4 * 2 * np.pi) for at in seconds])
    return bodies + np.array(place, np.float64)


def _pose(build: Build, phase: float) -> Joints:
    """The dancer at a moment from 0 to 2 pi; the ground is at 0."""
    bend = 0.55 * (1 - np.cos(2 * phase)) / 2
    sway = 0.35 * np.sin(phase) * build.leg
    # Both thighs lean out and the shanks back in, as in a plié.
    rise = 2 * build.leg * np.cos(bend)
    pelvis = np.array([sway, -rise])
    lean = 0.18 * np.sin(phase)
    up = np.array([np.sin(lean), -np.cos(lean)])
    neck = pelvis + build.torso * up
    across = np.array([-up[1], up[0]])
    points: dict[str, NDArray[np.float64]] = {"neck": neck, "nose": neck + build.head * up}
    for side, sign in (("right", -1), ("left", 1)):
        shoulder = neck + sign * build.shoulders / 2 * across
        hip = pelvis + sign * build.hips / 2 * across
        # The right arm waves; the left one turns towards the camera and back.
        wave = 1.1 + 0.9 * np.sin(2 * phase) if sign < 0 else 0.5
        shown = 1.0 if sign < 0 else abs(np.cos(phase / 2 + np.pi / 2 * (phase > np.pi)))
        shown = 0.25 + 0.75 * shown if sign > 0 else shown
        direction = shown * np.array([sign * np.sin(wave), np.cos(wave)])
        points[f"{side} shoulder"], points[f"{side} hip"] = shoulder, hip
        points[f"{side} elbow"] = shoulder + build.arm * direction
        points[f"{side} wrist"] = points[f"{side} elbow"] + build.arm * shown * np.array(
            [sign * np.sin(wave + 0.6), np.cos(wave + 0.6)]
        )
        points[f"{side} knee"] = hip + build.leg * np.array([sign * np.sin(bend), np.cos(bend)])
        points[f"{side} ankle"] = points[f"{side} knee"] + build.leg * np.array(
            [-sign * np.sin(bend), np.cos(bend)]
        )
        eye = points["nose"] + build.head * (0.2 * up + sign * 0.16 * across)
        points[f"{side} eye"] = eye
        points[f"{side} ear"] = eye + build.head * (-0.1 * up + sign * 0.2 * across)
    return np.stack([points[name] for name in JOINTS])
