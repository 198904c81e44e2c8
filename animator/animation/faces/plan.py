"""Plans of jobs that animate faces: who they are, and where their landmarks go in every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animator.animation.composing.view import FollowingView, SquareView, View, WholeView
from animator.animation.driving import Driving
from animator.animation.faces.figure import FacePlan as FacePlan
from animator.animation.faces.finding import find_faces_of
from animator.animation.faces.following import Source
from animator.animation.faces.moving_plan import plan_moving
from animator.animation.faces.roles import Role
from animator.animation.faces.together import along, lasting, lead_of
from animator.animation.inputs import JobInputs
from animator.animation.plan import JobPlan, own_rate, refuse_too_many
from animator.animation.resampling import duration, moments_of, result_times
from animator.animation.result_time import ResultTime, result_time
from animator.animation.rollout.generator import RolloutGenerator
from animator.faces.blinks import blink_seed, close_eyes, closures
from animator.faces.control import Controls, retarget_controlled
from animator.faces.crop import Square, whole_square
from animator.faces.framing import PLAIN, face_side, frame_around, rendered_side
from animator.faces.motion import choose_anchor, fill_missing, keep_inside, smooth
from animator.faces.moving_square import room_around
from animator.faces.shots import spans
from animator.files.unchanged import check_unchanged
from animator.media.decode import MediaLimits
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch


def make_plan(spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
    """Find the faces, follow the driving ones, and plan the motion.

    Args:
        spec: the job.
        inputs: of the job.
        settings: what inputs may be at most, and where landmarks are kept.
        watch: takes times and progress.

    Raises:
        AnimatorError: input_changed, and those of what it calls.
    """
    hashes = inputs.hashes
    # Before landmarks are kept under the hash: that they are of the file that has it.
    check = partial(check_unchanged, inputs.files)
    roles, drivings, known = find_faces_of(spec, hashes, settings, watch, check)
    cached = tuple(name for name, was_known in known.items() if was_known)
    if roles[0].source.moving is not None:
        return _plan_of_video(spec, inputs, settings, roles[0].source, drivings["driving"], cached)
    limits = settings.limits()
    faces, time, rate = _moved(spec, roles, drivings, hashes["source"], limits)
    # The larger a face, the nearer it is; `lead` is the first of `faces` as they are here.
    order = sorted(range(len(faces)), key=lambda place: faces[place].source.square.side)
    return JobPlan(
        inputs.model,
        tuple(faces[place] for place in order),
        time,
        face_size(spec, faces[0].source, inputs.model.generator),
        hashes,
        cached,
        rate,
        order.index(0),
    )


def _moved(
    spec: JobSpec,
    roles: Sequence[Role],
    drivings: Mapping[str, Driving],
    source_hash: str,
    limits: MediaLimits,
) -> tuple[list[FacePlan], ResultTime, Fraction | None]:
    """The faces at the times of the result, the lead first; these times, and their own rate."""
    motions = [
        plan_motion(spec, role.source, drivings[role.driving], _blinks(role, drivings, source_hash))
        for role in roles
    ]
    times = [
        result_time(drivings[role.driving], motion.kept)
        for role, motion in zip(roles, motions, strict=True)
    ]
    # The lead's time, up to where another one may end the result, at a rate of its own if it is to.
    lead = lead_of(times)
    others = times[:lead] + times[lead + 1 :]
    kept = motions[lead].kept[: lasting(times[lead], others, spec.ending)]
    time = result_time(drivings[roles[lead].driving], kept)
    if (rate := own_rate(spec, time)) is not None:
        refuse_too_many(round(duration(time) * rate), limits)
        time = result_times(time, rate)
    # What each face does then.
    moments, faces = moments_of(time), []
    for role, motion, own in zip(roles, motions, times, strict=True):
        driving = drivings[role.driving]
        targets, kept = along(
            motion.targets, motion.kept, own, moments, spec.ending, driving.cuts or ()
        )
        faces.append(
            FacePlan(
                role.source, driving, targets, kept, motion.missing, motion.beyond,
                role.number, role.driving,
            )
        )  # fmt: skip
    return [faces[lead], *faces[:lead], *faces[lead + 1 :]], time, rate


def _blinks(role: Role, drivings: Mapping[str, Driving], source_hash: str) -> int:
    """The seed of a face's blinks: faces that one video moves do not blink at once."""
    seed = blink_seed(source_hash, drivings[role.driving].landmarks.points)
    return seed + (role.number or 0)


def _plan_of_video(
    spec: JobSpec,
    inputs: JobInputs,
    settings: Settings,
    source: Source,
    driving: Driving,
    cached: tuple[str, ...],
) -> JobPlan:
    """The plan of a portrait that is a video, of what was found; errors as of `make_plan`."""
    limits, hashes = settings.limits(), inputs.hashes
    # At the source video's own times, unless the result has some of its own.
    moving = source.moving
    assert moving is not None
    time = result_time(moving.track, np.arange(len(moving.points)))
    if (rate := own_rate(spec, time)) is not None:
        refuse_too_many(round(duration(time) * rate), limits)
    seed = blink_seed(hashes["source"], driving.landmarks.points)
    motion = plan_moving(spec, moving, driving, rate, seed)
    face = FacePlan(
        source, driving, motion.targets, motion.kept, motion.missing, motion.beyond,
        shown=motion.shown,
    )  # fmt: skip
    size = face_size(spec, source, inputs.model.generator)
    return JobPlan(inputs.model, (face,), motion.time, size, hashes, cached, rate)


def face_size(spec: JobSpec, source: Source, generator: RolloutGenerator) -> int:
    """Side in pixels of a face's square as it is rendered, which the result may show smaller.

    `RolloutGenerator.inner_size` says at which size networks do that.
    """
    height, width = source.picture.shape[:2]
    if spec.shows == "paste-back":
        own = WholeView(width, height).place(_usual_square(source)).side
        size = face_side(spec.size, spec.margin, round(own))
    else:
        size = frame_around(*_room_of(source), spec.size, spec.margin).face
    if spec.size == "auto":
        # Of networks that render at one size alone, what is larger would be enlarged.
        return max(min(size, generator.inner_size(size)), PLAIN)
    return rendered_side(size, spec.margin)


def view_of(spec: JobSpec, plan: JobPlan) -> View[Square]:
    """What of the source the result shows of a face."""
    source = plan.source
    assert isinstance(source, Source) and isinstance(plan.face, FacePlan)
    height, width = source.picture.shape[:2]
    if spec.shows == "paste-back":
        return WholeView(width, height)
    frame = frame_around(*_room_of(source), spec.size, spec.margin, plan.size)
    if source.moving is not None:
        return FollowingView(plan.face.square(0), frame)
    return SquareView(source.square, frame.face, frame)


def _usual_square(source: Source) -> Square:
    if source.moving is None:
        return source.square
    return Square(*np.median(source.moving.squares, 0).tolist())


def _room_of(source: Source) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """The face's square in the picture, and that one's width and height, for `frame_around`."""
    height, width = source.picture.shape[:2]
    if source.moving is None:
        return whole_square(source.square), (width, height)
    return room_around(source.moving.squares[source.moving.there], width, height)


class PlannedMotion(NamedTuple):
    """How a face moves at its driving video's own times; see `FacePlan`."""

    targets: NDArray[np.float32]
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]
    beyond: int


def plan_motion(spec: JobSpec, source: Source, driving: Driving, seed: int = 0) -> PlannedMotion:
    """Target landmarks of every frame of the result.

    Each shot is a video of its own: gaps are filled within it, it is smoothed for itself, and its
    motion begins at a frame of its own. ``seed`` is that of blinks.
    """
    landmarks, policy = driving.landmarks, spec.missing_face
    whole = fill_missing(landmarks, policy, driving.seconds)
    controls = controls_of(spec)
    moved, beyond = [], 0
    for shot in spans(driving.cuts or (), landmarks.found):
        # The driving face without gaps and jitter, and its pose that stands for the source's.
        seconds = driving.seconds[shot]
        filled = fill_missing(landmarks.part(shot), policy, seconds)
        points = smooth(filled.points, seconds[filled.kept], spec.smoothing)
        anchor = points[choose_anchor(source.points, points, spec.anchor)]
        found, out = retarget_controlled(source.points, points, anchor, spec.motion, controls)
        moved.append(found)
        beyond += int(out.sum())
    # That motion on the source's face, none of which may leave the square.
    targets = np.concatenate(moved)
    if spec.blink == "auto" and not controls.of_region("eyes"):
        targets = close_eyes(targets, closures(driving.seconds[whole.kept], seed))
    targets = source.crop_units(keep_inside(targets, source.square))
    return PlannedMotion(targets, whole.kept, whole.missing, beyond)


def controls_of(spec: JobSpec) -> Controls:
    """How much of the driving motion a job asks for."""
    return Controls(spec.strength * spec.head, spec.strength * spec.expression, spec.moving)
