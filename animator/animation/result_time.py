"""Time of a result, made of the driving video's time without the frames that are left out.

A frame lasts as long as in the driving video: until the next driving frame, whether that one is
kept or not. So what is left out takes its time along, and its sound goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Followed


@dataclass(frozen=True)
class ResultTime:
    """When the frames of a result are shown, and which sound goes with them.

    Attributes:
        pts: T' timestamps from 0, in units of `time_base`.
        rate: frames a second, by which the last frame gets its duration; None if unknown.
        audio: where the sound begins and ends in the driving video, in seconds; None for its own
            beginning and end.
        holes: spans between the two, first and last second of each, whose sound is taken out.
        time_base: seconds.
        average: frames a second over all, by which a coder shares out its bits; None if unknown.
    """

    pts: list[int]
    rate: Fraction | None
    audio: tuple[Fraction | None, Fraction | None]
    holes: tuple[tuple[Fraction, Fraction], ...]
    time_base: Fraction
    average: Fraction | None = None


def result_time(driving: Followed[Any], kept: NDArray[np.intp]) -> ResultTime:
    """The time of a result.

    Args:
        driving: of T frames.
        kept: T' >= 1 numbers of the driving frames that are kept, ascending.
    """
    pts, base, frames = driving.pts, driving.time_base, kept.tolist()
    whole = frames[-1] == len(pts) - 1
    # Each frame follows the one before after that one's own duration.
    lengths = (pts[frame + 1] - pts[frame] for frame in frames[:-1])
    # The last driving frame has none; another one that is last keeps its own.
    rate = driving.rate
    if not whole:
        rate = 1 / ((pts[frames[-1] + 1] - pts[frames[-1]]) * base)
    # The sound of what is left out before, after and between.
    start, end = driving.audio
    zero = start or Fraction(0)  # where the first driving frame is
    if not whole:
        end = zero + pts[frames[-1] + 1] * base
    holes = tuple(
        (zero + pts[last + 1] * base, zero + pts[first] * base)
        for last, first in pairwise(frames)
        if first > last + 1
    )
    if holes or frames[0]:
        start = zero + pts[frames[0]] * base
    return ResultTime([0, *accumulate(lengths)], rate, (start, end), holes, base, driving.rate)
