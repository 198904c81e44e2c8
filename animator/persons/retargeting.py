"""The motion of one body on another: scaled and placed by their torsos."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gfla.joints import JOINTS, MISSING, Joints, found

Motion = Literal["relative", "absolute"]
_TORSO = [JOINTS.index(name) for name in ("neck", "right hip", "left hip")]


def retarget(source: Joints, driving: Joints, anchor: Joints, motion: Motion) -> Joints:
    """The source's joints in each driving frame.

    Args:
        source: 18 x 2 pixels of the source picture, -1 where missing.
        driving: T x 18 x 2 pixels of the driving video, likewise.
        anchor: 18 x 2, the driving body that stands where the source does.
        motion: "relative" or "absolute".

    Returns:
        T x 18 x 2 pixels of the source picture, -1 where missing.
    """
    both = found(source) & found(anchor)
    chosen = [joint for joint in _TORSO if both[joint]]
    use = np.array(chosen if len(chosen) > 1 else np.flatnonzero(both), int)
    if not len(use):
        return driving
    ours, theirs = source[use], anchor[use]
    spread = np.ptp(theirs, 0).max()
    scale = float(np.ptp(ours, 0).max() / spread) if spread > 0 else 1.0
    moved = (driving - theirs.mean(0)) * scale + ours.mean(0)
    return np.where(found(driving)[..., None], moved, MISSING)


def choose_anchor(source: Joints, driving: Joints) -> int:
    """The driving frame that shows most of what the source shows."""
    return int((found(driving) & found(source)).sum(-1).argmax())
