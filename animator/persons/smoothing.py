"""One-Euro smoothing of joints: bodies that stand still lose their jitter, fast motion passes.

The filter is that of `animator.faces.smoothing`, forwards and backwards, so that dancers do not lag
the music. Speeds are in torsos a second. The joints of the face share one, as a head is stiff.
What cannot be motion is mended before (`animator.persons.mending`), as jumps pass such a filter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.geometry import to_complex, to_points
from animator.faces.smoothing import one_euro
from animator.persons import skeleton
from animator.persons.mending import mend
from gfla.joints import JOINTS, MISSING, Joints, found

CUTOFF = 1.0
"""Cutoff at rest in Hz, at strength 0.5."""
GAIN = 5.0
"""What the cutoff gains, in Hz for a speed of one torso a second, at strength 0.5. A dancer's
wrists reach 5."""

_GROUPS = np.array([0 if n in skeleton.FACE else n + 1 for n in range(len(JOINTS))])


def smooth_joints(joints: Joints, seconds: NDArray[np.floating], smoothing: float) -> Joints:
    """Smooth the joints of one person over time.

    Missing joints stay missing; each run of frames in which a joint is there is smoothed by itself.

    Args:
        joints: T x 18 x 2 pixels, -1 where missing.
        seconds: T times, increasing, one for each frame.
        smoothing: strength from 0 (nothing happens) to 1; the cutoffs scale with (1 - s) / s.

    Returns:
        T x 18 x 2.

    Raises:
        AnimatorError: invalid_option if smoothing is not in 0..1.
        ValueError: if the lengths differ, or numbers are not finite.
    """
    if not 0 <= smoothing <= 1:
        message = f"smoothing is {smoothing}; allowed is a number from 0 to 1."
        raise AnimatorError("invalid_option", message)
    joints, times = np.array(joints, np.float64), np.asarray(seconds, np.float64)
    if len(times) != len(joints):
        raise ValueError(f"got {len(joints)} frames but {len(times)} times")
    if not np.isfinite(joints).all():
        raise ValueError("joints must be finite numbers")
    if smoothing == 0 or len(joints) < 2:
        return joints
    # Joints that come and go together are filtered together.
    factor, size = max((1 - smoothing) / smoothing, 0.02), skeleton.sizes(joints)
    signal = to_complex(mend(joints, times)) / size
    patterns, which = np.unique(found(joints), axis=1, return_inverse=True)
    calm = signal.copy()
    for number, seen in enumerate(patterns.T):
        chosen = np.flatnonzero(which.ravel() == number)
        _, groups = np.unique(_GROUPS[chosen], return_inverse=True)
        for first, end in runs(seen):
            part = signal[first:end, chosen], times[first:end]
            calm[first:end, chosen] = _both_ways(*part, groups, factor)
    result = to_points(calm * size)
    result = np.where(result == MISSING, MISSING + 1e-3, result)
    return np.where(found(joints)[..., None], result, MISSING)


def runs(seen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one beyond the last of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _both_ways(
    signal: NDArray[np.complex128],
    seconds: NDArray[np.float64],
    groups: NDArray[np.intp],
    factor: float,
) -> NDArray[np.complex128]:
    """There and back, as the mean of both has no delay."""
    forwards = one_euro(signal, seconds, groups, CUTOFF * factor, GAIN * factor)
    back = one_euro(signal[::-1], -seconds[::-1], groups, CUTOFF * factor, GAIN * factor)
    return (forwards + back[::-1]) / 2
