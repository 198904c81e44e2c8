"""Measures of a motion file in the place of a driving video, as a check has them."""

from __future__ import annotations

import resource

import numpy as np

from animator.animation.driving import Driving
from animator.animation.motion.input import motion_of
from animator.checks.faces import around, measure_pose
from animator.checks.report import MOTION, DrivingFacts, SampledFrame
from animator.faces.crop import Square, face_square
from animator.settings import MediaLimits
from animator.spec import JobSpec

_EVEN, _FEW = 0.1, 0.01  # share of the usual step by which times may differ, and of such steps
_LOOKED_AT = 200  # frames by which the place of the face is told


def look_at_motion(spec: JobSpec, limits: MediaLimits, frames: int) -> DrivingFacts:
    """Measure the part of a motion file that a job uses.

    Args:
        spec: the job.
        limits: what is refused.
        frames: how many frames to tell of.

    Raises:
        AnimatorError: those of `animator.animation.motion.input.motion_of`.
    """
    driving = motion_of(spec.driving, spec.start_seconds, spec.end_seconds, limits)
    return facts_of(driving, frames, float(spec.start_seconds or 0))


def facts_of(driving: Driving, frames: int, start: float = 0.0) -> DrivingFacts:
    """A motion as a check sees it; what takes pictures to be measured is None.

    Args:
        driving: the motion.
        frames: how many frames to tell of.
        start: seconds in the file at which it begins.
    """
    count = len(driving.landmarks)
    wanted = min(frames, count)
    chosen = np.unique(np.linspace(0, count - 1, wanted).round().astype(int)).tolist()
    return DrivingFacts(
        width=driving.size[0],
        height=driving.size[1],
        format=MOTION,
        codec="landmarks",
        rotation=0,
        has_audio=False,
        duration=round(_length(driving), 6),
        frames=count,
        counted=True,
        rate=None if driving.rate is None else float(driving.rate),
        variable_rate=_is_variable(driving),
        wanted=wanted,
        samples=tuple(
            _sample(driving, frame, before, start)
            for before, frame in zip([0, *chosen], chosen, strict=False)
        ),
        crop=around(_squares(driving)),
        decode_seconds=0.0,
        landmark_seconds=0.0,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        faults=driving.faults,
    )


def _sample(driving: Driving, frame: int, before: int, start: float) -> SampledFrame:
    """A frame, and whether a shot began since the sample before it."""
    face = None
    if driving.landmarks.found[frame]:
        face = measure_pose(driving.landmarks.points[frame], *driving.size)
    cut = any(before < number <= frame for number in driving.cuts or ())
    seconds = start + float(driving.pts[frame] * driving.time_base)
    # How many faces there were beside the one is not known of each frame.
    return SampledFrame(round(seconds, 3), int(face is not None), face, cut)


def _squares(driving: Driving) -> list[Square]:
    points = driving.landmarks.points[driving.landmarks.found]
    return [face_square(one) for one in points[:: max(len(points) // _LOOKED_AT, 1)]]


def _length(driving: Driving) -> float:
    """Seconds to the end of the last frame, which lasts as long as the rate says."""
    last = 0.0 if driving.rate is None else float(1 / driving.rate)
    return float(driving.pts[-1] * driving.time_base) + last


def _is_variable(driving: Driving) -> bool | None:
    """Whether more than a few frames come at uneven times; None of too few frames."""
    steps = np.diff(driving.pts)
    if len(steps) < 1:
        return None
    usual = float(np.median(steps))
    # Times are rounded to the unit of the format.
    uneven = np.abs(steps - usual) > _EVEN * usual + 1.1
    return bool(uneven.mean() > _FEW)
