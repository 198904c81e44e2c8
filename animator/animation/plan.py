"""Job plans: the faces and how they move, known before the first frame is rendered."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animator.animation.ahead import ahead
from animator.animation.driving import Driving
from animator.animation.landmark_cache import LandmarkCache
from animator.animation.loading import PortraitModel, load_portrait
from animator.animation.portrait import PortraitGenerator
from animator.faces.crop import Square, crop_square, face_square, in_units
from animator.faces.detectors import make_detector
from animator.faces.landmarks import Landmarks
from animator.faces.motion import choose_anchor, fill_missing, keep_inside, retarget, smooth
from animator.faces.tracking import FaceTracker, find_face
from animator.media.decode import MediaLimits, VideoReader, content_hash, read_image
from animator.media.sound_choice import sound_faults
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla.models.rollout import RolloutState


@dataclass(frozen=True, eq=False)
class Source:
    """The portrait and its face.

    Attributes:
        picture: uint8 H W 3.
        points: 68 x 2 pixels.
        square: the part of the picture that is animated.
        faces: how many the picture shows.
    """

    picture: NDArray[np.uint8]
    points: NDArray[np.float32]
    square: Square
    faces: int

    def crop_units(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Pixels of the picture as units of the square, 0..1 from edge to edge."""
        return in_units(points, self.square)


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
    """

    model: PortraitModel
    source: Source
    driving: Driving
    targets: NDArray[np.float32]
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]
    hashes: dict[str, str]
    cached: tuple[str, ...] = ()

    @property
    def generator(self) -> PortraitGenerator:
        """The loaded networks."""
        return self.model.generator

    @property
    def pts(self) -> list[int]:
        """T' timestamps of the result from 0, in units of the driving video's time base."""
        pts = self.driving.pts
        return [pts[index] - pts[self.kept[0]] for index in self.kept]

    @property
    def audio(self) -> tuple[Fraction | None, Fraction | None]:
        """Where the result's sound begins and ends in the driving video, in seconds."""
        driving = self.driving
        start, end = driving.audio
        left_out = driving.pts[self.kept[0]] * driving.time_base
        return (start or 0) + left_out if left_out else start, end

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
        hashes: SHA-256 of the two files, by name.
    """

    model: PortraitModel
    hashes: dict[str, str]


def open_inputs(spec: JobSpec, settings: Settings) -> JobInputs:
    """Load a job's model and read its files; equal inputs have equal plans.

    Raises:
        AnimatorError: those of `load_portrait` and `content_hash`.
    """
    model = load_portrait(spec.weights, spec.device, spec.precision, settings)
    files = {"source": spec.source, "driving": spec.driving}
    limits = settings.limits()
    return JobInputs(model, {name: content_hash(path, limits) for name, path in files.items()})


def make_plan(spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
    """Find the face, follow the driving face, and plan the motion.

    Args:
        spec: the job.
        inputs: of the job.
        settings: what inputs may be at most, and where landmarks are kept.
        watch: takes times and progress.
    """
    limits, hashes = settings.limits(), inputs.hashes
    with watch.stage("load"):
        cache = LandmarkCache(spec, settings)
        source, known_source = find_source(spec, cache, hashes["source"], limits)
    watch.check()
    # The driving landmarks are made once for all jobs, so this may be a wait for another one.
    extract = partial(track_driving, spec, limits, watch)
    driving, known_driving = cache.driving(hashes["driving"], limits, watch, extract)
    targets, kept, missing = plan_motion(spec, source, driving)
    known_inputs = (("source", known_source), ("driving", known_driving))
    cached = tuple(name for name, was_known in known_inputs if was_known)
    return JobPlan(inputs.model, source, driving, targets, kept, missing, hashes, cached)


def find_source(
    spec: JobSpec, cache: LandmarkCache, sha256: str, limits: MediaLimits
) -> tuple[Source, bool]:
    """Read the portrait and find its face; also whether it had been found before."""
    picture = read_image(spec.source, limits)

    def find() -> tuple[NDArray[np.float32], int]:
        found, faces = find_face(picture, make_detector(spec.detector, spec.device), spec.face)
        return found.points[0], faces

    (points, faces), known = cache.source(sha256, find)
    return Source(picture, points, face_square(points), faces), known


def track_driving(
    spec: JobSpec, limits: MediaLimits, watch: Watch, goes_on: Callable[[], None]
) -> Driving:
    """Follow the face through the driving video; ``goes_on`` is called after every few frames."""
    tracker = FaceTracker(make_detector(spec.detector, spec.device), spec.face)
    parts: list[Landmarks] = []
    pts: list[int] = []
    with (
        open_driving(spec, limits) as reader,
        watch.stage("landmarks", reader.frames),
        ahead(reader, 1, watch.check) as batches,
    ):
        for batch in batches:
            parts.append(tracker.track(batch.pixels))
            pts.extend(batch.pts)
            goes_on()
            watch.advance(len(batch))
        return Driving(
            Landmarks.concatenate(parts),
            pts,
            reader.info.time_base,
            reader.info.average_rate,
            (reader.info.width, reader.info.height),
            (reader.audio_start, reader.audio_end),
            tracker.faces,
            (*reader.faults, *sound_faults(Path(spec.driving), limits)),
        )


def plan_motion(
    spec: JobSpec, source: Source, driving: Driving
) -> tuple[NDArray[np.float32], NDArray[np.intp], tuple[tuple[int, int], ...]]:
    """Target landmarks of every frame of the result.

    Returns:
        T' x 68 x 2 in units of the crop, the driving frame of each, and the runs of frames that
        showed no face.
    """
    # The driving face without gaps and jitter, and its pose that stands for the source's.
    filled = fill_missing(driving.landmarks, spec.missing_face, driving.seconds)
    points = smooth(filled.points, driving.seconds[filled.kept], spec.smoothing)
    anchor = points[choose_anchor(source.points, points, spec.anchor)]
    # That motion on the source's face, none of which may leave the square.
    moved = retarget(source.points, points, anchor, spec.motion)
    targets = source.crop_units(keep_inside(moved, source.square))
    return targets, filled.kept, filled.missing


def open_driving(spec: JobSpec, limits: MediaLimits) -> VideoReader:
    """The driving video's part that is asked for."""
    return VideoReader(
        spec.driving,
        start=spec.start_seconds,
        end=spec.end_seconds,
        limits=limits,
        forgiving=True,
    )


def driving_frames(
    spec: JobSpec, kept: NDArray[np.intp], limits: MediaLimits
) -> Generator[NDArray[np.uint8], None, None]:
    """The driving pictures of the frames that are kept, H W 3 each."""
    wanted = set(kept.tolist())
    index = 0
    with open_driving(spec, limits) as reader:
        for batch in reader:
            for picture in batch.pixels:
                if index in wanted:
                    yield picture
                index += 1
