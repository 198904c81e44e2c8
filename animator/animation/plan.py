"""Job plans: the faces and how they move, known before the first frame is rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animator.animation.ahead import ahead
from animator.animation.driving import Driving
from animator.animation.landmark_cache import LandmarkCache
from animator.animation.loading import PortraitModel, load_portrait
from animator.animation.motion_input import is_motion, motion_of, stick_figures
from animator.animation.portrait import PortraitGenerator
from animator.animation.resampling import duration, resample, result_times, shortest
from animator.animation.result_time import ResultTime, result_time
from animator.errors import AnimatorError
from animator.faces.blinks import blink_seed, close_eyes, closures
from animator.faces.control import Controls, retarget_controlled
from animator.faces.crop import Square, crop_square, face_square, in_units
from animator.faces.detectors import make_detector
from animator.faces.landmarks import Landmarks
from animator.faces.motion import choose_anchor, fill_missing, keep_inside, smooth
from animator.faces.packing import settle
from animator.faces.shots import ShotDetector, spans
from animator.faces.tracking import FaceTracker, find_face
from animator.files.unchanged import Stamp, Unchanged, check_unchanged
from animator.formats import format_of
from animator.media.animation import GIF_RATE
from animator.media.decode import MediaLimits, VideoReader, content_hash, read_picture
from animator.media.sound_choice import sound_faults
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla.models.rollout import RolloutState

_STILL = 1e-6
"""Units of the crop, by which landmarks differ that were moved by nothing."""


@dataclass(frozen=True, eq=False)
class Source:
    """The portrait and its face.

    Attributes:
        picture: uint8 H W 3.
        points: 68 x 2 pixels.
        square: the part of the picture that is animated.
        faces: how many the picture shows.
        notes: codes of `animator.media.notes.NOTES`.
    """

    picture: NDArray[np.uint8]
    points: NDArray[np.float32]
    square: Square
    faces: int
    notes: tuple[str, ...] = ()

    def crop_units(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Pixels of the picture as units of the square, 0..1 from edge to edge."""
        return in_units(points, self.square)


@dataclass(frozen=True, eq=False)
class Resampled:
    """A result with times of its own.

    Attributes:
        rate: frames a second.
        kept: the driving frames that it would show at the driving video's own times.
    """

    rate: Fraction
    kept: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class JobPlan:
    """All that a job needs to know before its first frame is rendered.

    Attributes:
        model: the loaded networks, and the engine that steps them.
        source: the portrait.
        driving: what is kept of the driving video.
        targets: T' x 68 x 2, the landmarks of every frame of the result in units of the crop.
        kept: T', the driving frame of each.
        missing: the runs of driving frames that showed no face.
        hashes: SHA-256 of the inputs, by name.
        cached: the inputs whose landmarks had been found before, by name.
        beyond: frames whose head would turn out of the range that the networks know.
        resampled: how the result got times of its own; None for those of the driving video.
    """

    model: PortraitModel
    source: Source
    driving: Driving
    targets: NDArray[np.float32]
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]
    hashes: dict[str, str]
    cached: tuple[str, ...] = ()
    beyond: int = 0
    resampled: Resampled | None = None

    @property
    def generator(self) -> PortraitGenerator:
        """The loaded networks."""
        return self.model.generator

    @property
    def still(self) -> bool:
        """Whether the portrait never moves: all landmarks are the source's own."""
        own = self.source.crop_units(self.source.points)
        return bool(np.abs(self.targets - own).max() < _STILL)

    @property
    def time(self) -> ResultTime:
        """When the frames of the result are shown, and which sound goes with them."""
        if self.resampled is None:
            return result_time(self.driving, self.kept)
        own = result_time(self.driving, self.resampled.kept)
        time = result_times(own, self.resampled.rate)
        # Of a part of a plan, as many frames as it has.
        return replace(time, pts=time.pts[: len(self.targets)])

    @property
    def pts(self) -> list[int]:
        """T' timestamps of the result from 0, in units of its time base."""
        return self.time.pts

    def start(self, size: int) -> RolloutState:
        """The state before the first frame, for results of ``size`` pixels."""
        source = self.source
        side = self.generator.inner_size(size)
        picture = crop_square(source.picture, source.square, side)
        return self.generator.start(picture, source.crop_units(source.points))


@dataclass(frozen=True, eq=False)
class JobInputs:
    """What a job begins with.

    Attributes:
        model: the loaded networks, and the engine that steps them.
        hashes: SHA-256 of the files, by name.
        files: those that somebody may change meanwhile.
    """

    model: PortraitModel
    hashes: dict[str, str]
    files: tuple[Unchanged, ...] = ()


def open_inputs(spec: JobSpec, settings: Settings) -> JobInputs:
    """Load a job's model and read its files; equal inputs have equal plans.

    Raises:
        AnimatorError: those of `load_portrait` and `content_hash`.
    """
    model = load_portrait(spec.weights, spec.device, spec.precision, settings)
    limits = settings.limits()
    hashes, files = {}, []
    inputs = {"source": spec.source, "driving": spec.driving}
    if spec.audio_file is not None:
        inputs["audio"] = spec.audio_file
    for name, path in inputs.items():
        # The stamp first: what happens from then on shows.
        before = Stamp.of(path, limits)
        hashes[name] = content_hash(path, limits)
        # What the cache keeps is never written again, only touched when it was used.
        if not Path(path).is_relative_to(settings.cache_dir):
            files.append(Unchanged(path, before, hashes[name], limits))
    return JobInputs(model, hashes, tuple(files))


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
    targets, kept = motion.targets, motion.kept
    resampled, time = None, result_time(driving, kept)
    if (rate := _own_rate(spec, time)) is not None:
        _refuse_too_many(round(duration(time) * rate), limits)
        resampled = Resampled(rate, kept)
        targets, kept = resample(targets, kept, time, rate, driving.cuts or ())
    return JobPlan(
        inputs.model,
        source,
        driving,
        targets,
        kept,
        motion.missing,
        hashes,
        cached,
        motion.beyond,
        resampled,
    )


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


def find_source(
    spec: JobSpec,
    cache: LandmarkCache,
    sha256: str,
    limits: MediaLimits,
    check: Callable[[], None],
) -> tuple[Source, bool]:
    """Read the portrait and find its face; also whether it had been found before.

    ``check`` is called once the file was read.
    """
    still = read_picture(spec.source, limits)
    picture = still.pixels
    check()

    def find() -> tuple[NDArray[np.float32], int]:
        found, faces = find_face(
            picture, make_detector(spec.detector, spec.device), spec.face_of("source")
        )
        return found.points[0], faces

    (points, faces), known = cache.source(sha256, find)
    return Source(picture, points, face_square(points), faces, still.notes), known


def find_driving(
    spec: JobSpec,
    cache: LandmarkCache,
    sha256: str,
    limits: MediaLimits,
    watch: Watch,
    check: Callable[[], None],
) -> tuple[Driving, bool]:
    """What moves the portrait, on a grid; also whether it had been found before.

    ``check`` is called once the file was read.
    """
    if is_motion(spec.driving, limits):
        driving = motion_of(spec.driving, spec.start_seconds, spec.end_seconds, limits)
        check()
        return driving, False
    # The driving landmarks are made once for all jobs, so this may be a wait for another one.
    extract = partial(track_driving, spec, limits, watch, check)
    complete = partial(with_cuts, spec, limits, watch, check)
    driving, known = cache.driving(sha256, limits, watch, extract, complete)
    # As in a motion file, so that the result does not depend on which of the two is given.
    return replace(driving, landmarks=settle(driving.landmarks)), known


def track_driving(
    spec: JobSpec,
    limits: MediaLimits,
    watch: Watch,
    check: Callable[[], None],
    goes_on: Callable[[], None],
) -> Driving:
    """Follow the face through the driving video.

    ``goes_on`` is called after every few frames, and ``check`` once the file was read.
    """
    tracker = FaceTracker(make_detector(spec.detector, spec.device), spec.face_of("driving"))
    parts: list[Landmarks] = []
    pts: list[int] = []
    with (
        open_driving(spec, limits) as reader,
        watch.stage("landmarks", reader.frames),
        ahead(reader, 1, watch.check) as batches,
    ):
        # Decoded one batch ahead in a thread, while the detector works on this one.
        for batch in batches:
            parts.append(tracker.track(batch.pixels))
            pts.extend(batch.pts)
            goes_on()
            watch.advance(len(batch))
        check()
        return Driving(
            Landmarks.concatenate(parts),
            pts,
            reader.info.time_base,
            reader.info.average_rate,
            (reader.info.width, reader.info.height),
            (reader.audio_start, reader.audio_end),
            tracker.faces,
            tuple(tracker.shots.cuts),
            (*reader.faults, *sound_faults(Path(spec.driving), limits)),
        )


def with_cuts(
    spec: JobSpec,
    limits: MediaLimits,
    watch: Watch,
    check: Callable[[], None],
    driving: Driving,
    goes_on: Callable[[], None],
) -> Driving:
    """The same driving video with its cuts, which an older version has not kept.

    ``goes_on`` and ``check`` are called as by `track_driving`.
    """
    shots = ShotDetector()
    with (
        open_driving(spec, limits) as reader,
        watch.stage("shots", reader.frames),
        ahead(reader, 1, watch.check) as batches,
    ):
        for batch in batches:
            for picture in batch.pixels:
                shots.changed(picture)
            goes_on()
            watch.advance(len(batch))
    check()
    return replace(driving, cuts=tuple(shots.cuts))


class PlannedMotion(NamedTuple):
    """How the portrait moves; what it holds is described in `JobPlan`."""

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


def open_driving(spec: JobSpec, limits: MediaLimits) -> VideoReader:
    """The driving video's part that is asked for."""
    return VideoReader(
        spec.driving,
        start=spec.start_seconds,
        end=spec.end_seconds,
        limits=limits,
        forgiving=True,
        rate=spec.driving_rate,
    )


def driving_frames(
    spec: JobSpec, driving: Driving, kept: NDArray[np.intp], limits: MediaLimits
) -> Generator[NDArray[np.uint8], None, None]:
    """The driving pictures of the frames that are kept, H W 3 each.

    ``kept`` rises; a frame that is in it more than once comes as often. Of a motion file, which has
    no pictures, they are stick figures.
    """
    if not driving.pictures:
        yield from stick_figures(driving, kept)
        return
    wanted = Counter(kept.tolist())
    index = 0
    with open_driving(spec, limits) as reader:
        for batch in reader:
            for picture in batch.pixels:
                yield from repeat(picture, wanted[index])
                index += 1
