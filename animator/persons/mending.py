"""Detectors' mistakes of a moment, mended: sides that are swapped, and joints that jump and return.

Only what cannot be motion is touched: a jump there and back within a few frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animator.persons import skeleton
from gfla.joints import JOINTS, Joints, found

SHORT = 0.3
"""Seconds for which a joint may be elsewhere."""
CROSSED = 1.0
"""Seconds for which sides may be swapped."""
SWAPPED = 0.6
"""Sides count as swapped where swapping them back shortens their way to this part of it."""
AWAY = 0.15
"""Least shortening, and least height of a jump, in torsos."""
SPEED = 10.0
"""Of a joint that jumps, in torsos a second; a dancer's wrist reaches 5."""
BOTH = 4.0
"""Of two joints that are swapped, in the mean."""
BACK = 0.3
"""A joint has returned if it lies as near to where it was as this part of the jump."""
_PAIRS = [
    (JOINTS.index(name), JOINTS.index(name.replace("right", "left")))
    for name in JOINTS
    if name.startswith("right")
]


def mend(joints: Joints, seconds: NDArray[np.floating]) -> Joints:
    """Swap back what was swapped, and put joints that jumped away onto the straight way between.

    Args:
        joints: T x 18 x 2 pixels, -1 where missing.
        seconds: T times, increasing.
    """
    mended, times = np.array(joints, np.float64), np.asarray(seconds, np.float64)
    if len(mended) < 3:
        return mended
    torso, there = skeleton.sizes(mended), found(mended)
    for right, left in _PAIRS:
        _swap_back(mended, (right, left), there, times, torso)
    for joint in range(len(JOINTS)):
        _pull_back(mended[:, joint], there[:, joint], times, torso)
    return mended


def _swap_back(
    joints: Joints,
    pair: tuple[int, int],
    there: NDArray[np.bool_],
    seconds: NDArray[np.float64],
    torso: float,
) -> None:
    """Undo swaps of one pair of joints, in place."""
    right, left = (joints[:, joint] for joint in pair)
    both = np.asarray(there[:, list(pair)].all(-1))
    straight = _steps(right, right) + _steps(left, left)
    crossed = _steps(left, right) + _steps(right, left)
    swaps = (crossed < SWAPPED * straight) & (straight - crossed > AWAY * torso)
    swaps &= straight / 2 > BOTH * torso * np.diff(seconds)
    places = np.flatnonzero(swaps & (both[1:] & both[:-1])) + 1
    # A swap and the one that ends it.
    index = 0
    while index + 1 < len(places):
        first, end = places[index], places[index + 1]
        if seconds[end] - seconds[first] <= CROSSED:
            joints[first:end, list(pair)] = joints[first:end, list(pair[::-1])]
            index += 2
        else:
            index += 1


def _steps(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far one joint in each frame is from another in the frame before: T - 1."""
    return np.asarray(np.linalg.norm(after[1:] - before[:-1], axis=-1))


def _pull_back(
    places: NDArray[np.float64],
    there: NDArray[np.bool_],
    seconds: NDArray[np.float64],
    torso: float,
) -> None:
    """Undo the jumps of one joint, in place."""
    steps = _steps(places, places)
    spans = np.maximum(np.diff(seconds), 1e-4)
    fast = (steps > SPEED * torso * spans) & (steps > AWAY * torso) & there[1:] & there[:-1]
    jumps = np.flatnonzero(fast) + 1
    index = 0
    while index + 1 < len(jumps):
        first, end = jumps[index], jumps[index + 1]
        before, after = places[first - 1], places[end]
        height = min(steps[first - 1], steps[end - 1])
        returned = np.linalg.norm(after - before) < BACK * height
        if not (returned and there[first:end].all() and seconds[end] - seconds[first] <= SHORT):
            index += 1
            continue
        span = seconds[end] - seconds[first - 1]
        share = ((seconds[first:end] - seconds[first - 1]) / span)[:, None]
        places[first:end] = (1 - share) * before + share * after
        index += 2
