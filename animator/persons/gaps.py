"""Joints that a driver hides for a while: held or interpolated, each by itself.

A hidden joint moves with the body. What is held or interpolated is where it lay beside the joint
that it hangs on (the wrist beside the elbow), not its place in the picture, so that somebody who
walks on does not leave a hand behind.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.persons.skeleton import FACE, HIPS, LIMBS
from animator.persons.smoothing import runs
from gfla.joints import MISSING, NECK, SHOULDERS, Joints, found

GapPolicy = Literal["hold", "interpolate", "skip", "fail"]

TURNED = 1.0
"""Seconds after which the nose, an eye or an ear of somebody who is there counts as turned away."""
_TRUNK = (NECK, *SHOULDERS, *HIPS)
_SLACK = 1e-6


def fill_gaps(joints: Joints, seconds: NDArray[np.floating], policy: GapPolicy) -> Joints:
    """Joints without gaps; those that are never seen stay missing.

    "hold" keeps a joint where it was last seen (before the first time: where it will be seen),
    "interpolate" moves it evenly to where it is seen next and holds at both ends. Frames without
    anybody are filled alike. Nose, eyes and ears that are away for longer than ``TURNED`` while the
    body is there stay missing: a turned head has no face.

    Args:
        joints: T x 18 x 2 pixels, -1 where missing.
        seconds: T times, increasing.
        policy: of a job. "skip" and "fail" are about frames without anybody, which are the
            caller's to leave out or to refuse; within the others, joints are held.

    Returns:
        T x 18 x 2.

    Raises:
        AnimatorError: invalid_option for another policy, no_body if no frame has a joint.
        ValueError: if the lengths differ.
    """
    if policy not in get_args(GapPolicy):
        allowed = "hold, interpolate, skip or fail"
        raise AnimatorError("invalid_option", f"missing is {policy!r}; allowed is {allowed}.")
    joints, times = np.array(joints, np.float64), np.asarray(seconds, np.float64)
    if len(times) != len(joints):
        raise ValueError(f"got {len(joints)} frames but {len(times)} times")
    seen = found(joints)
    if not seen.any():
        raise AnimatorError("no_body", "No person was found in any frame of the driving video.")
    # The trunk first, by itself; then outwards, each joint beside the one that it hangs on.
    filled = np.where(seen[..., None], joints, np.nan)
    trunk = filled[:, list(_TRUNK)].copy()
    outer = [(limb.joint, limb.parent) for limb in LIMBS if limb.joint not in _TRUNK]
    evenly = policy == "interpolate"
    for joint in _TRUNK:
        filled[:, joint] = _bridged(filled[:, joint], trunk, times, evenly)
    for joint, parent in outer:
        guide = filled[:, [parent]]
        if not np.isfinite(guide).any():
            guide = filled[:, list(_TRUNK)]
        filled[:, joint] = _bridged(filled[:, joint], guide, times, evenly)
    filled = np.where(filled == MISSING, MISSING + 1e-3, filled)
    away = _turned_away(seen, times)
    kept = np.isfinite(filled).all(-1) & ~away
    result = np.where(kept[..., None], filled, MISSING)
    result[seen] = joints[seen]
    return result


def _bridged(
    places: NDArray[np.float64],
    guide: NDArray[np.float64],
    seconds: NDArray[np.float64],
    evenly: bool,
) -> NDArray[np.float64]:
    """One joint in all frames.

    Args:
        places: T x 2, NaN where missing.
        guide: T x N x 2, joints that it moves with, likewise.
        seconds: T.
        evenly: whether to move to the next place.
    """
    known = np.flatnonzero(np.isfinite(places).all(-1))
    if not len(known) or len(known) == len(places):
        return places
    frames = np.arange(len(places))
    # The frames in which it was seen last and is seen next, at the ends the same one.
    before = known[np.clip(np.searchsorted(known, frames, "right") - 1, 0, len(known) - 1)]
    if not evenly:
        return places[before] + _moved(guide, before)
    after = known[np.clip(np.searchsorted(known, frames, "left"), 0, len(known) - 1)]
    start, end = seconds[before], seconds[after]
    span = np.where(end > start, end - start, 1.0)
    share = np.where(end > start, (seconds - start) / span, 0.0)[:, None]
    return np.asarray(
        (1 - share) * (places[before] + _moved(guide, before))
        + share * (places[after] + _moved(guide, after))
    )


def _moved(guide: NDArray[np.float64], since: NDArray[np.intp]) -> NDArray[np.float64]:
    """How far the guide has moved since other frames, in the mean of what both show: T x 2."""
    change = guide - guide[since]
    known = np.isfinite(change)
    count = np.maximum(known.sum(1), 1)
    return np.asarray(np.where(known, change, 0.0).sum(1) / count)


def _turned_away(seen: NDArray[np.bool_], seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which joints of the face are away for long while the rest is there: T x 18."""
    away = np.zeros(seen.shape, bool)
    somebody = seen.any(-1)
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    for joint in FACE:
        for first, end in runs(somebody & ~seen[:, joint]):
            if (end - first) * step > TURNED + _SLACK:
                away[first:end, joint] = True
    return away
