"""Estimate of a run: time and space, from the farm's pace or a try on this machine."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from animator.dataset.options import RunOptions
from animator.dataset.run_folder import RunFolder
from animator.dataset.samples import Sample
from animator.errors import AnimatorError
from animator.jobs.history import Rate
from animator.record import Result
from animator.settings import Settings
from animator.values import Location, parse_time

PROBED = 20
"""Driving videos whose headers are read; the others are taken to be like them on average."""
TRIED_SECONDS = Fraction(1)
"""Length of driving video that is animated as a try."""
ENOUGH_JOBS = 5
"""Jobs that tell the farm's pace."""
_Part = tuple[Location, str | None, str | None]
"""A driving video, and where it begins and ends."""


@dataclass(frozen=True)
class RunEstimate:
    """What is left of a run, and what it takes, as far as can be told."""

    samples: int
    """Samples of the plan."""
    left: int
    """Those that have not ended."""
    faults: int
    """Rows that no sample can be made of."""
    sources: int
    """Different pictures among those that are left."""
    drivings: int
    """Different driving videos."""
    frames: int | None = None
    """Frames to render."""
    seconds: float | None = None
    bytes: int | None = None
    """Of the videos that are going to be written."""
    basis: str = ""
    """What time and size are told from, in words."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self)


def remaining(run: RunFolder | None, samples: Sequence[Sample]) -> list[Sample]:
    """Those samples of a plan that have not ended."""
    if run is None:
        return list(samples)
    complete = run.complete()
    left = []
    for shard in run.shards(samples):
        if shard.number not in complete:
            ended = run.ended(shard)
            left += [sample for sample in shard.samples if sample.id not in ended]
    return left


def estimate(
    run: RunFolder | None,
    samples: Sequence[Sample],
    faults: int,
    options: RunOptions,
    settings: Settings,
    rates: Mapping[int, Rate],
    *,
    slots: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunEstimate:
    """What is left of a run and what it takes.

    Time is told from what the farm's workers did in the last minutes, or, where that is too little,
    from one sample that is animated here for a second of its driving video. Size is told from the
    run's complete shards, or from that sample.

    Args:
        run: the run, if it was begun.
        samples: its plan.
        faults: rows that no sample can be made of.
        options: what is the same for all samples.
        settings: of this machine.
        rates: the farm's, by minutes; empty if there is none.
        slots: jobs that run here at the same time, each as fast as the one that is tried.
        should_stop: polled while that sample is animated.

    Raises:
        AnimatorError: as `Storage`, for a run that was begun.
        JobCancelled: if it was told to stop.
    """
    # What is left
    left = remaining(run, samples)
    drivings = Counter((one.driving, one.start, one.end) for one in left)
    told = RunEstimate(
        len(samples),
        len(left),
        faults,
        len({one.source for one in left}),
        len({one.driving for one in left}),
    )
    frames = _frames(drivings, settings)
    if not left or frames is None:
        return told
    # From what was made lately
    pace = _pace(rates)
    size = _bytes_a_frame(run)
    basis = ["the farm's pace"] if pace else []
    seconds = frames / pace if pace else None
    # From a try, as far as that does not tell
    if seconds is None or size is None:
        trial = _try(left, options, settings, should_stop)
        if trial is None:
            basis.append("no sample that could be tried")
        else:
            result, length = trial
            size = size or length / result.frames
            if seconds is None:
                seconds = _seconds(result, frames, len(left), len(drivings))
                seconds /= min(slots, len(left))
            basis.append(f"{result.frames} frames of a sample on this machine")
    return replace(
        told,
        frames=frames,
        seconds=None if seconds is None else round(seconds, 1),
        bytes=None if size is None else round(size * frames),
        basis=" and ".join(basis),
    )


def _frames(drivings: Mapping[_Part, int], settings: Settings) -> int | None:
    """Frames of all samples, from the headers of some of their driving videos."""
    parts = sorted(drivings, key=str)
    step = max(len(parts) // PROBED, 1)
    found: dict[_Part, int] = {}
    for part in parts[::step][:PROBED]:
        if count := _count(part, settings):
            found[part] = count
    if not found:
        return None
    usual = sum(found.values()) / len(found)
    return round(sum(found.get(part, usual) * times for part, times in drivings.items()))


def _count(part: _Part, settings: Settings) -> int | None:
    from animator.files.cache import cached_input

    driving, *span = part
    start, end = (None if text is None else parse_time(text) for text in span)
    try:
        if not driving.is_url:
            return _count_of(driving.path, start, end, settings)
        with cached_input(driving, settings) as path:
            return _count_of(path, start, end, settings)
    except AnimatorError:
        return None


def _count_of(
    path: Path, start: Fraction | None, end: Fraction | None, settings: Settings
) -> int | None:
    from animator.animation.motion.input import is_motion, motion_of
    from animator.media.decode import VideoReader

    limits = settings.limits()
    if is_motion(path, limits):
        return len(motion_of(str(path), start, end, limits).pts)
    with VideoReader(path, start=start, end=end, limits=limits) as reader:
        return reader.frames


def _pace(rates: Mapping[int, Rate]) -> float | None:
    """Frames a second of the farm, if enough has ended lately to tell."""
    told = [rate.frames for minutes, rate in rates.items() if rate.jobs * minutes >= ENOUGH_JOBS]
    return max(told, default=0.0) / 60 or None


def _bytes_a_frame(run: RunFolder | None) -> float | None:
    stats = [] if run is None else run.stats()
    frames = sum(one["frames"] for one in stats)
    return sum(one["bytes"] for one in stats) / frames if frames else None


def _try(
    samples: Sequence[Sample],
    options: RunOptions,
    settings: Settings,
    should_stop: Callable[[], bool],
) -> tuple[Result, int] | None:
    """Animate the beginning of one of the first samples; the result, and the video's size."""
    from animator.animation.pipeline import animate
    from animator.workspace.staging import stage

    for sample in samples[:3]:
        with tempfile.TemporaryDirectory(prefix="animator-") as folder:
            output = Path(folder) / "trial.mp4"
            spec = replace(options.spec(sample, str(output)), keep_result=False)
            end = (spec.start_seconds or 0) + TRIED_SECONDS
            if spec.end_seconds is None or spec.end_seconds > end:
                spec = replace(spec, end=str(end))
            try:
                with stage(settings.apply_to(spec), settings) as staged:
                    result = animate(staged.spec, settings=settings, should_stop=should_stop)
                return result, output.stat().st_size
            except AnimatorError:
                continue
    return None


def _seconds(result: Result, frames: int, jobs: int, drivings: int) -> float:
    """Time for all frames one job after another; landmarks of a driving video are found once."""
    times, mean = result.timings, frames / jobs
    generate = times.get("generate", 0.0) / result.frames
    landmarks = times.get("landmarks", 0.0) / result.frames
    each = times.get("measure", 0.0) + times.get("extras", 0.0)
    return times.get("load", 0.0) + frames * generate + drivings * mean * landmarks + jobs * each
