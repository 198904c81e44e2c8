"""Videos of different lengths and rates in one result: what each of them shows at its moments.

One of them, the lead, gives the result its times. What another one shows at each of these is asked
for by time, as `animator.animation.resampling` does for results at a rate of their own. One that is
shorter than the lead holds its last frame, begins again, or ends the result: that is its ending.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from animator.animation.resampling import at_moments, duration, moments_of
from animator.animation.result_time import ResultTime
from animator.options import Ending


def lead_of(times: Sequence[ResultTime]) -> int:
    """The number of the one that lasts longest; of several the first."""
    lengths = [duration(time) for time in times]
    return lengths.index(max(lengths))


def lasting(time: ResultTime, others: Iterable[ResultTime], ending: Ending) -> int:
    """How many of a lead's frames the result has: all, or those that begin before another ends.

    `animator.animation.result_time.result_time` of so many has the sound of just these.

    Args:
        time: of the lead.
        others: of those that go along with it.
        ending: what happens where one of them is shorter.
    """
    if ending != "stop":
        return len(time.pts)
    end = min((duration(other) for other in others), default=duration(time))
    return max(bisect_left(moments_of(time), end), 1)


def along(
    points: NDArray[np.float32],
    kept: NDArray[np.intp],
    time: ResultTime,
    moments: Iterable[Fraction],
    ending: Ending,
    cuts: Collection[int] = (),
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Landmarks on one clock at the moments of another.

    A moment between two frames gets landmarks between theirs, in proportion to the time, though
    never across a cut, across frames that are left out, or from the last frame to the first. At a
    moment that is one of its own, they are its own to the last bit.

    Args:
        points: T' x 68 x 2, at their own times.
        kept: T', the frame of the video that each is of.
        time: their own.
        moments: T, in seconds from the first frame, rising.
        ending: what happens after the last frame: "loop" begins again, the others hold.
        cuts: frames of the video with which a new shot begins.

    Returns:
        T x 68 x 2, and T frames of the video: each is the latest that has begun.
    """
    if ending == "loop":
        length = duration(time)
        moments = (moment % length for moment in moments)
    return at_moments(points, kept, time, moments, cuts)
