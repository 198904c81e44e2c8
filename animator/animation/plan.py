"""Job plans: the faces and how they move, known before the first frame is rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Driving
from animator.animation.following import Source, find_driving, find_source
from animator.animation.inputs import JobInputs
from animator.animation.landmark_cache import LandmarkCache
from animator.animation.loading import PortraitModel
from animator.animation.portrait import PortraitGenerator
from animator.animation.resampling import duration, resample, result_times, shortest
from animator.animation.result_time import ResultTime, result_time
from animator.animation.view import SquareView, View, WholeView
from animator.errors import AnimatorError
from animator.faces.blinks import blink_seed, close_eyes, closures
from animator.faces.control import Controls, retarget_controlled
from animator.faces.crop import crop_square, whole_square
from animator.faces.framing import PLAIN, face_side, frame_around, rendered_side
from animator.faces.motion import choose_anchor, fill_missing, keep_inside, smooth
from animator.faces.shots import spans
from animator.files.unchanged import check_unchanged
from animator.formats import format_of
from animator.media.animation import GIF_RATE
from animator.media.decode import MediaLimits
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla.models.rollout import RolloutState

_STILL = 1e-6
"""Units of the crop, by which landmarks differ that were moved by nothing."""


@dataclass(frozen=True, eq=False)
class FacePlan:
    """One face of the portrait, and how it moves.

    Attributes:
        source: the portrait with this face.
        driving: what is kept of the video that moves it.
        targets: T' x 68 x 2, its landmarks in every frame of the result, in units of its square.
        kept: T', the driving frame of each.
        missing: the runs of driving frames that showed no face.
        beyond: frames in which the head would turn out of the range that the networks know.
    """

    source: Source
    driving: Driving
    targets: NDArray[np.float32]
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]
    beyond: int = 0

    @property
    def still(self) -> bool:
        """Whether it never moves: all landmarks are the source's own."""
        own = self.source.crop_units(self.source.points)
        return bool(np.abs(self.targets - own).max() < _STILL)

    def first(self, frames: int) -> FacePlan:
        """The same face in so many frames of the result."""
        return replace(self, targets=self.targets[:frames], kept=self.kept[:frames])


@dataclass(frozen=True, eq=False)
class JobPlan:
    """All that a job needs to know before its first frame is rendered.

    Attributes:
        model: the loaded networks, and the engine that steps them.
        faces: those that move, the farthest first and the nearest last.
        time: when the frames are shown, and which sound goes with them.
        size: side in pixels of a face's square as it is rendered; see `face_size`.
        hashes: SHA-256 of the inputs, by name.
        cached: the inputs whose landmarks had been found before, by name.
        rate: frames a second, where the result has times of its own; None for those of a video.
        lead: the number of the face whose driving video gives the result its time.
    """

    model: PortraitModel
    faces: tuple[FacePlan, ...]
    time: ResultTime
    size: int
    hashes: dict[str, str]
    cached: tuple[str, ...] = ()
    rate: Fraction | None = None
    lead: int = 0

    @property
    def generator(self) -> PortraitGenerator:
        """The loaded networks."""
        return self.model.generator

    @property
    def face(self) -> FacePlan:
        """The face whose driving video gives the result its time."""
        return self.faces[self.lead]

    @property
    def source(self) -> Source:
        """The portrait, with that face."""
        return self.face.source

    @property
    def driving(self) -> Driving:
        """What moves that face."""
        return self.face.driving

    @property
    def targets(self) -> NDArray[np.float32]:
        """Landmarks of that face in every frame, T' x 68 x 2."""
        return self.face.targets

    @property
    def kept(self) -> NDArray[np.intp]:
        """T', the frame of that driving video which each frame of the result is of."""
        return self.face.kept

    @property
    def pts(self) -> list[int]:
        """T' timestamps of the result from 0, in units of its time base."""
        return self.time.pts

    def first(self, frames: int) -> JobPlan:
        """The plan of the first frames alone."""
        faces = tuple(face.first(frames) for face in self.faces)
        return replace(self, faces=faces, time=replace(self.time, pts=self.time.pts[:frames]))

    def start(self, face: FacePlan | None = None) -> RolloutState:
        """The state of a face, of `face` if not given, before the first frame."""
        source = (face or self.face).source
        side = self.generator.inner_size(self.size)
        picture = crop_square(source.picture, source.square, side)
        return self.generator.start(picture, source.crop_units(source.points))


def make_plan(spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
    """Find the face, follow the driving face, and plan the motion.

    Args:
        spec: the job.
        inputs: of the job.
        settings: what inputs may be at most, and where landmarks are kept.
        watch: takes times and progress.

    Raises:
        AnimatorError: input_changed, and those of what it calls.
    """
    limits, hashes = settings.limits(), inputs.hashes
    # Before landmarks are kept under the hash: that they are of the file that has it.
    check = partial(check_unchanged, inputs.files)
    with watch.stage("load"):
        cache = LandmarkCache(spec, settings)
        source, known_source = find_source(spec, cache, hashes["source"], limits, check)
    watch.check()
    driving, known_driving = find_driving(spec, cache, hashes["driving"], limits, watch, check)
    motion = plan_motion(
        spec, source, driving, blink_seed(hashes["source"], driving.landmarks.points)
    )
    known_inputs = (("source", known_source), ("driving", known_driving))
    cached = tuple(name for name, was_known in known_inputs if was_known)
    # At the result's own times, if it has some.
    targets, kept, time = motion.targets, motion.kept, result_time(driving, motion.kept)
    if (rate := _own_rate(spec, time)) is not None:
        _refuse_too_many(round(duration(time) * rate), limits)
        targets, kept = resample(targets, kept, time, rate, driving.cuts or ())
        time = result_times(time, rate)
    face = FacePlan(source, driving, targets, kept, motion.missing, motion.beyond)
    size = face_size(spec, source, inputs.model.generator)
    return JobPlan(inputs.model, (face,), time, size, hashes, cached, rate)


def face_size(spec: JobSpec, source: Source, generator: PortraitGenerator) -> int:
    """Side in pixels of a face's square as it is rendered, which the result may show smaller.

    `PortraitGenerator.inner_size` says at which size networks do that.
    """
    height, width = source.picture.shape[:2]
    if spec.output_mode == "paste-back":
        own = WholeView(width, height).place(source.square).side
        size = face_side(spec.size, spec.margin, round(own))
    else:
        place = whole_square(source.square)
        size = frame_around(place, (width, height), spec.size, spec.margin).face
    if spec.size == "auto":
        # Of networks that render at one size alone, what is larger would be enlarged.
        return max(min(size, generator.inner_size(size)), PLAIN)
    return rendered_side(size, spec.margin)


def view_of(spec: JobSpec, plan: JobPlan) -> View:
    """What of the source the result shows."""
    source = plan.source
    height, width = source.picture.shape[:2]
    if spec.output_mode == "paste-back":
        return WholeView(width, height)
    place = whole_square(source.square)
    frame = frame_around(place, (width, height), spec.size, spec.margin, plan.size)
    return SquareView(source.square, frame.face, frame)


def _refuse_too_many(frames: int, limits: MediaLimits) -> None:
    if frames > limits.max_frames:
        message = f"The result would have {frames} frames; {limits.max_frames} are allowed."
        raise AnimatorError("too_long", message)


def _own_rate(spec: JobSpec, time: ResultTime) -> Fraction | None:
    """Frames a second of a result that has not the driving video's own times."""
    gap = shortest(time) if spec.rate is None else 1 / spec.rate
    kind = format_of(spec.output)
    if kind is not None and kind.name == "gif" and gap < 1 / GIF_RATE:
        return GIF_RATE
    return spec.rate


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
