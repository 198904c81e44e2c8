"""A few frames from all over a video, in little time."""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from animator.media.display import Display
from animator.media.video_file import open_video
from animator.settings import MediaLimits

_MOST_ENTRIES = 200_000  # of an index; reading a longer one takes more time than it saves
_WORTH_A_JUMP = 5  # seconds; without an index, nearer frames are reached by decoding
_BEFORE = 1  # seconds by which `VideoFile.go_before` jumps short
_PATIENCE = 3  # how many times its share of the time one frame may take


@dataclass(frozen=True)
class Timing:
    """How the frames of a part of a video follow each other, by its packets.

    Attributes:
        frames: how many there are; None if not all packets were read in the time given.
        seconds: from the first to the end of the last, None in the same case.
        variable: whether they come at uneven times; None where too few have a time.
    """

    frames: int | None
    seconds: float | None
    variable: bool | None


def read_timing(
    path: Path,
    limits: MediaLimits,
    start: Fraction,
    end: Fraction | None,
    seconds: float,
    forgiving: bool = False,
    rate: Fraction | None = None,
) -> Timing:
    """Read the times of packets, which takes no decoding, for so many seconds at most.

    Raises:
        AnimatorError: as `VideoFile`.
    """
    file = open_video(path, limits, forgiving, rate)
    times: list[float] = []
    untimed = 0
    complete = True
    try:
        deadline = time.monotonic() + seconds
        for moment in file.moments():
            if time.monotonic() > deadline or len(times) > limits.max_frames:
                complete = False
                break
            untimed += moment is None
            if moment is not None:
                times.append(float(moment * file.time_base))
    except (av.FFmpegError, OSError):
        complete = False  # decoding comes upon the fault, and tells of it better
    finally:
        file.close()
    if untimed or len(times) < 2:
        return Timing(None, None, None)
    times.sort()
    times = [moment - times[0] for moment in times]
    used = [t for t in times if t >= start and (end is None or t < end)]
    steps = [late - early for early, late in pairwise(used) if late > early]
    if not steps:
        return Timing(len(used) if complete else None, None, None)
    usual = median(steps)
    # Times are rounded to the unit of the format, which may be as much as 10 ms.
    jitter = 1.1 * float(file.time_base)
    uneven = sum(abs(step - usual) > 0.1 * usual + jitter for step in steps)
    variable = uneven > 0.01 * len(steps)
    if not complete:
        return Timing(None, None, variable)
    return Timing(len(used), used[-1] - used[0] + usual, variable)


class Sampler:
    """Frames at given times of a video, in order, each once.

    Where it has key frames that are on the way it jumps there; else it decodes what lies between.
    A frame that takes too long to reach is replaced by one that is nearer, so that the time given
    is kept, but for what one frame takes.

    Args:
        path: a local file.
        limits: what is refused.
        times: seconds from the first frame, rising.
        seconds: that reading and what the caller does with the frames may take in all.
        forgiving: as of `animator.media.video_file.VideoFile`.
        rate: pictures a second, where they lie one by one.

    Attributes:
        decoded: how many frames were decoded so far.
        busy: seconds that this took.

    Raises:
        AnimatorError: as `VideoFile`, here and while frames are read.
    """

    def __init__(
        self,
        path: Path,
        limits: MediaLimits,
        times: Sequence[float],
        seconds: float,
        forgiving: bool = False,
        rate: Fraction | None = None,
    ) -> None:
        self._times = times
        self._deadline = time.monotonic() + seconds
        self._file = open_video(path, limits, forgiving, rate)
        self._time_base = float(self._file.time_base)
        self._keys = self._file.key_times(_MOST_ENTRIES)
        self._can_jump = True
        self.decoded, self.busy = 0, 0.0

    def __iter__(self) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        """Yield the time of each frame from the first, in seconds, and the frame."""
        try:
            first = frame = self._next()
            if first is None:
                return
            display = Display(first[1], self._file.facts().pixel_aspect)
            shown: int | None = None
            for index, wanted in enumerate(self._times):
                now = time.monotonic()
                if now > self._deadline and index:
                    return
                # What time is left is shared out among the frames that are left.
                share = (self._deadline - now) / (len(self._times) - index)
                frame = self._reach(frame, first[0], wanted, now + _PATIENCE * share)
                if frame is None:
                    return
                if frame[0] != shown:
                    shown = frame[0]
                    yield (frame[0] - first[0]) * self._time_base, display.rgb(frame[1])
        finally:
            self._file.close()

    @property
    def faults(self) -> list[str]:
        """Sentences about what could not be read so far."""
        return self._file.faults

    def _reach(
        self, frame: tuple[int, VideoFrame] | None, zero: int, wanted: float, until: float
    ) -> tuple[int, VideoFrame] | None:
        """The first frame that is not earlier than `wanted`, or what is reached by `until`."""
        if frame is None:
            return None
        target = zero + wanted / self._time_base
        if self._worth_a_jump(frame[0], target):
            before = frame[0]
            began = time.monotonic()
            frame = self._file.go_before(Fraction(target * self._time_base))
            self._count(began)
            # Where the format does not allow it, the file begins anew.
            self._can_jump = frame is not None and frame[0] >= before
        while frame is not None and frame[0] < target - 0.5 and time.monotonic() < until:
            following = self._next()
            if following is None:
                return frame  # the last one
            frame = following
        return frame

    def _worth_a_jump(self, now: int, target: float) -> bool:
        if not self._can_jump:
            return False
        margin = _BEFORE / self._time_base
        if self._keys:
            nearest = bisect.bisect_right(self._keys, target - margin) - 1
            return nearest >= 0 and self._keys[nearest] > now
        return target - now > _WORTH_A_JUMP / self._time_base

    def _next(self) -> tuple[int, VideoFrame] | None:
        began = time.monotonic()
        frame = self._file.next()
        self._count(began)
        return frame

    def _count(self, began: float) -> None:
        self.busy += time.monotonic() - began
        self.decoded += 1
