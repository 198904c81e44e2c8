"""Results at a rate of their own: what is shown at each of its moments.

The driving video tells where the landmarks are at its own times. A moment of the result that lies
between two of them gets landmarks between theirs, in proportion to the time; none of the driving
video's frames is dropped or repeated for being near. Across a cut, and across frames that are left
out, nothing is in between: there the frame before holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from animator.animation.result_time import ResultTime
from animator.media.mp4 import last_duration


def result_times(time: ResultTime, rate: Fraction) -> ResultTime:
    """The time of a result that is shown at another rate, for as long.

    Args:
        time: at the driving video's own times.
        rate: frames a second.
    """
    seconds = duration(time)
    frames = max(1, round(seconds * rate))
    # The unit is so short that every frame has a whole number of it.
    pts = [number * rate.denominator for number in range(frames)]
    return ResultTime(pts, rate, time.audio, time.holes, Fraction(1, rate.numerator), rate)


def duration(time: ResultTime) -> Fraction:
    """Seconds from the first frame to the end of the last."""
    last = last_duration(time.pts[-2:], time.rate, time.time_base)
    return (time.pts[-1] + last) * time.time_base


def shortest(time: ResultTime) -> Fraction:
    """Seconds for which the frame is shown that is shown for the shortest time."""
    gaps = [late - early for early, late in zip(time.pts, time.pts[1:], strict=False)]
    return min(gaps) * time.time_base if gaps else duration(time)


def resample(
    targets: NDArray[np.float32],
    kept: NDArray[np.intp],
    time: ResultTime,
    rate: Fraction,
    cuts: Collection[int],
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Landmarks, and the driving frame that is shown, at every moment of the result.

    Args:
        targets: T' x 68 x 2, at the driving video's own times.
        kept: T', the driving frame of each.
        time: at the driving video's own times.
        rate: frames a second of the result.
        cuts: driving frames with which a new shot begins.

    Returns:
        T x 68 x 2, and T driving frames: each is the latest that has begun.
    """
    return at_moments(targets, kept, time, moments_of(result_times(time, rate)), cuts)


def moments_of(time: ResultTime) -> list[Fraction]:
    """The seconds from the first frame at which each frame is shown."""
    return [pts * time.time_base for pts in time.pts]


def at_moments(
    targets: NDArray[np.float32],
    kept: NDArray[np.intp],
    time: ResultTime,
    moments: Iterable[Fraction],
    cuts: Collection[int],
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """As `resample`, at any moments: seconds from the first frame; after the last one it holds."""
    held = _held(kept, cuts)
    places, shares = [], []
    for seconds in moments:
        moment = seconds / time.time_base  # in the driving video's unit
        place = max(bisect_right(time.pts, moment) - 1, 0)
        share = 0.0
        if place + 1 < len(kept) and not held[place]:
            start, stop = time.pts[place], time.pts[place + 1]
            share = float((moment - start) / (stop - start))
        places.append(place)
        shares.append(share)
    first = np.array(places)
    second = np.minimum(first + 1, len(kept) - 1)
    between = np.array(shares, np.float32)[:, None, None]
    made = targets[first] * (1 - between) + targets[second] * between
    # Where a moment is one of the driving video's own, so are its landmarks, to the last bit.
    made = np.where(between > 0, made, targets[first])
    return made.astype(np.float32), kept[first]


def _held(kept: NDArray[np.intp], cuts: Collection[int]) -> list[bool]:
    """For each frame, whether there is nothing between it and the next."""
    begins = set(cuts)
    return [
        following != frame + 1 or following in begins
        for frame, following in zip(kept.tolist(), kept[1:].tolist(), strict=False)
    ]
