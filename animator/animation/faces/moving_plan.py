"""The motion of a portrait that is a video: its own, and the driving one on top or instead."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Driving
from animator.animation.faces.moving import Moving
from animator.animation.faces.together import along, lasting, moments_of
from animator.animation.resampling import result_times
from animator.animation.result_time import ResultTime, result_time
from animator.errors import AnimatorError
from animator.faces.blinks import close_eyes, closures
from animator.faces.control import Controls, retarget_controlled
from animator.faces.geometry import Similarity, fit_similarity
from animator.faces.head import learn_head, split
from animator.faces.motion import choose_anchor, fill_missing, keep_inside, smooth
from animator.faces.moving_square import in_square_units
from animator.faces.shots import spans
from animator.spec import JobSpec
from gfla.arrays import Points

Frames = NDArray[np.intp]


class MovingMotion(NamedTuple):
    """How a face of a video moves in its result.

    Attributes:
        targets: T' x 68 x 2, its landmarks in units of the square of the frame that is shown.
        shown: T', the frame of the source video that is shown.
        kept: T', the driving frame of each.
        missing: the runs of driving frames that showed no face.
        beyond: frames in which the head would turn out of the range that the networks know.
        time: when the frames of the result are shown.
    """

    targets: NDArray[np.float32]
    shown: Frames
    kept: Frames
    missing: tuple[tuple[int, int], ...]
    beyond: int
    time: ResultTime


class _Follows(NamedTuple):
    """The driving face at the moments of the result: which shot, and which landmarks."""

    points: NDArray[np.float32]
    kept: Frames
    shots: list[NDArray[np.float32]]
    shot: Frames
    missing: tuple[tuple[int, int], ...]


def check_moving(spec: JobSpec) -> None:
    """Refuse what makes no sense, or is not there, where the portrait is a video.

    Raises:
        AnimatorError: invalid_option.
    """
    if spec.missing_face == "skip":
        message = (
            "The source is a video, whose times the result keeps, so that no frame can be skipped; "
            "--missing-face can be hold, interpolate or fail, or give --source-motion still."
        )
        raise AnimatorError("invalid_option", message)
    if spec.faces.several:
        message = (
            "The source is a video, of which one face can be animated; --face can be largest or a "
            "number, or give --source-motion still."
        )
        raise AnimatorError("invalid_option", message)
    for extra in ("structures", "flows"):
        if extra in spec.extras:
            message = f"The source is a video, of which there are no {extra} beside the result."
            raise AnimatorError("invalid_option", message)


def plan_moving(
    spec: JobSpec, moving: Moving, driving: Driving, rate: Fraction | None, seed: int
) -> MovingMotion:
    """Target landmarks of every frame of the result.

    Args:
        spec: the job.
        moving: the portrait.
        driving: what moves it besides.
        rate: frames a second of the result; None for the source video's own times.
        seed: of blinks.

    Raises:
        AnimatorError: those of `check_moving` and `fill_missing`.
    """
    check_moving(spec)
    time, shown = _times(spec, moving, driving, rate)
    follows = _driving_at(spec, driving, time)
    controls = Controls(spec.strength * spec.head, spec.strength * spec.expression, spec.moving)
    points, targets = moving.points[shown], np.empty((len(shown), 68, 2), np.float32)
    beyond = np.zeros(len(shown), np.bool_)
    # Each shot of the source with each of the driving video: other people, other poses to begin at.
    for shot in moving.shots:
        inside = (shown >= shot.start) & (shown < shot.stop)
        if not inside.any():
            continue
        own, there = moving.points[shot], moving.there[shot]
        rest = _rest(own, there, spec)
        base = points[inside]
        if spec.source_motion == "replace":
            base = _riding(base, own[there], rest)
        if not controls.turn and not controls.of_points.any():
            targets[inside] = base
            continue
        of_shot = follows.shot[inside]
        for number in np.unique(of_shot).tolist():
            chosen = of_shot == number
            faces = follows.shots[number]
            anchor = faces[choose_anchor(rest, faces, spec.anchor)]
            found, out = retarget_controlled(
                base[chosen], follows.points[inside][chosen], anchor, spec.motion, controls
            )
            places = np.flatnonzero(inside)[chosen]
            targets[places], beyond[places] = found, out
    # A video blinks by itself, unless its own face is replaced.
    replaced = spec.source_motion == "replace" and not controls.of_region("eyes")
    if spec.blink == "auto" and replaced:
        seconds = np.array([float(moment) for moment in moments_of(time)])
        targets = close_eyes(targets, closures(seconds, seed))
    squares = moving.squares[shown]
    targets = in_square_units(keep_inside(targets, squares), squares)
    count = int((beyond & moving.there[shown]).sum())
    return MovingMotion(targets, shown, follows.kept, follows.missing, count, time)


def _times(
    spec: JobSpec, moving: Moving, driving: Driving, rate: Fraction | None
) -> tuple[ResultTime, Frames]:
    """When the result's frames are shown, and which frame of the source each shows."""
    track, every = moving.track, np.arange(len(moving.points))
    own = result_time(track, every)
    others = [result_time(driving, np.arange(len(driving.pts)))]
    if rate is None:
        count = lasting(own, others, spec.ending)
        return result_time(track, every[:count]), every[:count]
    time = result_times(own, rate)
    pts = time.pts[: lasting(time, others, spec.ending)]
    time = ResultTime(pts, time.rate, time.audio, (), time.time_base, time.average)
    _, shown = along(moving.points, every, own, moments_of(time), "hold")
    return time, shown


def _driving_at(spec: JobSpec, driving: Driving, time: ResultTime) -> _Follows:
    """The driving face without gaps and jitter, at the moments of the result."""
    landmarks, seconds = driving.landmarks, driving.seconds
    policy = spec.missing_face
    whole = fill_missing(landmarks, policy, seconds)
    shots, number = [], np.empty(len(seconds), np.intp)
    for index, shot in enumerate(spans(driving.cuts or (), landmarks.found)):
        filled = fill_missing(landmarks.part(shot), policy, seconds[shot])
        shots.append(smooth(filled.points, seconds[shot], spec.smoothing))
        number[shot] = index
    own = result_time(driving, whole.kept)
    points, kept = along(
        np.concatenate(shots), whole.kept, own, moments_of(time), spec.ending, driving.cuts or ()
    )
    return _Follows(points, kept, shots, number[kept], whole.missing)


def _rest(own: Points, there: NDArray[np.bool_], spec: JobSpec) -> Points:
    """The face of a shot that counts as its own pose: the first, or the most usual one."""
    seen = own[there]
    if spec.anchor == "first":
        return seen[0]
    usual = fit_similarity(seen, seen[0]).apply(seen).mean(0)
    return seen[choose_anchor(usual, seen, "auto")]


def _riding(points: Points, seen: Points, rest: Points) -> NDArray[np.float64]:
    """One face, where the head is in each frame: its place, size and roll are the frame's.

    By the pose in three dimensions: a head that turns is no smaller for it.
    """
    head = learn_head(seen)
    (pose, _), (still, _) = split(points, head), split(rest, head)
    roll = np.radians(pose.angles[..., 2] - still.angles[2])
    linear = pose.scale / still.scale * np.exp(1j * roll)
    at, start = (place[..., 0] + 1j * place[..., 1] for place in (pose.place, still.place))
    return Similarity(linear, at - linear * start).apply(rest)
