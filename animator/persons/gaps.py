"""Joints that were not found in some frames, filled from the frames around."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gfla.joints import Joints, found

GapPolicy = Literal["hold", "interpolate", "skip", "fail"]


def fill_gaps(joints: Joints, seconds: NDArray[np.floating], policy: GapPolicy) -> Joints:
    """Joints without gaps; those that are never seen stay missing.

    Args:
        joints: T x 18 x 2 pixels, -1 where missing.
        seconds: T times, increasing.
        policy: "interpolate" moves a joint evenly to its next place; any other holds it.
    """
    filled, seen = joints.copy(), found(joints)
    frames = np.arange(len(joints))
    for joint in range(joints.shape[1]):
        known = np.flatnonzero(seen[:, joint])
        if not len(known):
            continue
        if policy == "interpolate":
            for axis in (0, 1):
                places = joints[known, joint, axis]
                filled[:, joint, axis] = np.interp(seconds, seconds[known], places)
        else:
            before = np.clip(np.searchsorted(known, frames, "right") - 1, 0, None)
            filled[:, joint] = joints[known[before], joint]
    return filled
