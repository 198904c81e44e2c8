"""One job from its specification to its video: the stages of this package, one after another.

    decode -> landmarks -> motion -> guidance -> rollout -> compose -> encode

Two passes over the driving video. The first keeps its landmarks and timestamps, a few hundred bytes
a frame; the second renders frame by frame, and reads the driving pictures again only if the result
shows them. Nothing else grows with the length of the video.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from animator import __version__
from animator.compose import Composer, crop_square, to_crop
from animator.decode import DEFAULT_LIMITS, MediaLimits, VideoReader, content_hash, read_image
from animator.detectors import make_detector
from animator.encode import VideoWriter, check_output
from animator.errors import AnimatorError, JobCancelled
from animator.faces import LandmarkDetector, Landmarks
from animator.frames import FrameBatch
from animator.generate import PortraitGenerator, fit_size, load_generator
from animator.landmarks import FaceTracker, find_face
from animator.motion import (
    Square,
    choose_anchor,
    face_square,
    fill_missing,
    keep_inside,
    retarget,
    smooth,
)
from animator.segments import Workspace
from animator.spec import JobSpec, Progress, Result
from gfla.models.rollout import RolloutState

Report = Callable[[Progress], None]
REPORT_SECONDS = 0.1
"""Least time between two reports within a stage."""


@dataclass(frozen=True, eq=False)
class Driving:
    """What is kept of a driving video.

    Attributes:
        landmarks: of its T frames.
        pts: T timestamps in units of ``time_base``, those of the result.
        time_base: seconds.
        rate: frames a second on average, None if unknown.
        size: width and height of a frame in pixels.
        audio: where the sound of the result begins and ends in the file, in seconds.
        faces: most faces seen in one frame.
    """

    landmarks: Landmarks
    pts: list[int]
    time_base: Fraction
    rate: Fraction | None
    size: tuple[int, int]
    audio: tuple[Fraction | None, Fraction | None]
    faces: int

    @property
    def seconds(self) -> NDArray[np.float64]:
        """T times in seconds."""
        return np.array([float(pts * self.time_base) for pts in self.pts])


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
        return to_crop(points, self.square, 1) + np.float32(0.5)


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a job needs to know before its first frame is rendered.

    Attributes:
        generator: the loaded networks.
        source: the portrait.
        driving: what is kept of the driving video.
        targets: T' x 68 x 2, the landmarks of every frame of the result in units of the crop.
        kept: T', the driving frame of each.
        missing: the runs of driving frames that showed no face.
        hashes: SHA-256 of the inputs, by name.
    """

    generator: PortraitGenerator
    source: Source
    driving: Driving
    targets: NDArray[np.float32]
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]
    hashes: dict[str, str]

    def start(self, size: int) -> RolloutState:
        """The state before the first frame, for results of ``size`` pixels."""
        source = self.source
        side = self.generator.inner_size(size)
        picture = crop_square(source.picture, source.square, side)
        return self.generator.start(picture, source.crop_units(source.points))


@dataclass
class Watch:
    """Keeps times, reports progress, and stops the job when it is told to."""

    report: Report
    should_stop: Callable[[], bool]
    timings: dict[str, float] = field(default_factory=dict)
    _progress: Progress = field(default_factory=lambda: Progress("start"))
    _began: float = 0.0
    _reported: float = 0.0

    @contextmanager
    def stage(self, name: str, frames: int | None = None) -> Iterator[None]:
        """Time a stage; ``advance`` counts its frames."""
        self._began = time.monotonic()
        self._progress = Progress(name, 0, frames)
        self._tell()
        try:
            yield
        finally:
            self.timings[name] = round(time.monotonic() - self._began, 3)
        self._tell()

    def advance(self, frames: int, *, last_stage: bool = False) -> None:
        """Count frames of the stage.

        Raises:
            JobCancelled: if the job is to stop.
        """
        done = self._progress.frame + frames
        fps = done / max(time.monotonic() - self._began, 1e-6)
        total = self._progress.frames
        eta = (total - done) / fps if last_stage and total is not None else None
        # A container's count of frames is an estimate, and the count may pass it.
        if total is not None and done > total:
            total = done
        self._progress = Progress(self._progress.stage, done, total, fps, eta)
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._tell()
        self.check()

    def check(self) -> None:
        """Raise JobCancelled if the job is to stop."""
        if self.should_stop():
            raise JobCancelled

    def _tell(self) -> None:
        self._reported = time.monotonic()
        self.report(self._progress)


def animate(
    spec: JobSpec,
    *,
    report: Report = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    limits: MediaLimits = DEFAULT_LIMITS,
    workspace: Workspace | None = None,
    priority: int = 0,
    may_publish: Callable[[], bool] = lambda: True,
) -> Result:
    """Animate one portrait with one driving video.

    Args:
        spec: what, with what, to where and how.
        report: called with the progress, about ten times a second.
        should_stop: polled after every frame; once true, nothing of the output is left.
        limits: what inputs may be at most.
        workspace: where segments are kept; what is in it already is not rendered again. It is
            left as it is, whatever happens. None is a folder that is always removed.
        priority: of the job's frames among those of other jobs in this process, higher first.
        may_publish: asked just before the output gets its name.

    Returns:
        What was made. The output is in place, whole.

    Raises:
        AnimatorError: with the code of whatever stood in the way.
        JobCancelled: if ``should_stop`` said so.
        LeaseLost: if the workspace was taken over, or ``may_publish`` said no.
    """
    began = time.monotonic()
    watch = Watch(report, should_stop)
    check_output(spec.output)
    with coded_memory_errors():
        plan = make_plan(spec, limits, watch)
        with watch.stage("generate", len(plan.kept)):
            lacking = render(spec, plan, limits, watch)
    seconds = time.monotonic() - began
    return Result(
        output=spec.output,
        frames=len(plan.kept),
        seconds=round(seconds, 3),
        fps=round(len(plan.kept) / seconds, 2),
        timings=watch.timings,
        warnings=(*_warnings(spec, plan), *lacking),
        missing=plan.missing,
        hashes=plan.hashes | {"weights": plan.generator.sha256},
        weights=plan.generator.name,
    )


@contextmanager
def coded_memory_errors() -> Iterator[None]:
    """Raise the coded error when the device runs out of memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        message = "The device has not enough memory for this job."
        raise AnimatorError("out_of_memory", message, retryable=True) from error


def make_plan(spec: JobSpec, limits: MediaLimits, watch: Watch) -> Plan:
    """Everything up to the first frame: load, find the face, follow the driving face, plan."""
    with watch.stage("load"):
        generator = load_generator(spec.weights, spec.device, spec.precision)
        detector = make_detector(spec.detector, spec.device)
        source = find_source(spec, detector, limits)
        hashes = {name: content_hash(getattr(spec, name)) for name in ("source", "driving")}
    watch.check()
    driving = track_driving(spec, detector, limits, watch)
    targets, kept, missing = plan_motion(spec, source, driving)
    return Plan(generator, source, driving, targets, kept, missing, hashes)


def find_source(spec: JobSpec, detector: LandmarkDetector, limits: MediaLimits) -> Source:
    """Read the portrait and find its face."""
    picture = read_image(spec.source, limits)
    found, faces = find_face(picture, detector, spec.face)
    points = found.points[0]
    return Source(picture, points, face_square(points), faces)


def track_driving(
    spec: JobSpec, detector: LandmarkDetector, limits: MediaLimits, watch: Watch
) -> Driving:
    """Follow the face through the driving video."""
    tracker = FaceTracker(detector, spec.face)
    parts: list[Landmarks] = []
    pts: list[int] = []
    with open_driving(spec, limits) as reader, watch.stage("landmarks", reader.frames):
        for batch in reader:
            parts.append(tracker.track(batch.pixels))
            pts.extend(batch.pts)
            watch.advance(len(batch))
        return Driving(
            Landmarks.concatenate(parts),
            pts,
            reader.info.time_base,
            reader.info.average_rate,
            (reader.info.width, reader.info.height),
            (reader.audio_start, reader.audio_end),
            tracker.faces,
        )


def plan_motion(
    spec: JobSpec, source: Source, driving: Driving
) -> tuple[NDArray[np.float32], NDArray[np.intp], tuple[tuple[int, int], ...]]:
    """Target landmarks of every frame of the result.

    Returns:
        T' x 68 x 2 in units of the crop, the driving frame of each, and the runs of frames that
        showed no face.
    """
    filled = fill_missing(driving.landmarks, spec.missing_face, driving.seconds)
    points = smooth(filled.points, driving.seconds[filled.kept], spec.smoothing)
    anchor = points[choose_anchor(source.points, points, spec.anchor)]
    moved = retarget(source.points, points, anchor, spec.motion)
    targets = source.crop_units(keep_inside(moved, source.square))
    return targets, filled.kept, filled.missing


def render(spec: JobSpec, plan: Plan, limits: MediaLimits, watch: Watch) -> list[str]:
    """Roll out, compose and encode; returns what the file lacks, in sentences."""
    source, driving, generator = plan.source, plan.driving, plan.generator
    composer = Composer(spec.output_mode, source.picture, source.square, spec.size, driving.size)
    width, height = composer.output_size
    state = plan.start(spec.size)
    shows_driving = spec.output_mode == "side-by-side"
    pictures = driving_frames(spec, plan.kept, limits) if shows_driving else None
    with VideoWriter(
        Path(spec.output),
        width=width,
        height=height,
        time_base=driving.time_base,
        rate=driving.rate,
        audio_from=Path(spec.driving),
        audio_start=driving.audio[0],
        audio_end=driving.audio[1],
        metadata=provenance(generator),
    ) as writer:
        for index, landmarks in zip(plan.kept, plan.targets, strict=True):
            state, picture = generator.step(state, landmarks)
            shown = None if pictures is None else next(pictures)[None]
            frames = composer.compose(fit_size(picture, spec.size)[None], shown)
            writer.write(FrameBatch(frames, (driving.pts[index],), driving.time_base))
            watch.advance(1, last_stage=True)
    return writer.warnings


def open_driving(spec: JobSpec, limits: MediaLimits) -> VideoReader:
    """The driving video's part that is asked for."""
    return VideoReader(spec.driving, start=spec.start_seconds, end=spec.end_seconds, limits=limits)


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


def provenance(generator: PortraitGenerator) -> dict[str, str]:
    """Metadata of the result: that it is generated, and by what."""
    return {
        "comment": "AI-generated: a portrait animated with the motion of another video "
        f"(animator {__version__}, weights {generator.name})."
    }


def _warnings(spec: JobSpec, plan: Plan) -> Iterator[str]:
    chosen = "the largest" if spec.face == "largest" else f"number {spec.face} from the left"
    for name, faces in (("picture", plan.source.faces), ("driving video", plan.driving.faces)):
        if faces > 1:
            yield f"The {name} shows {faces} faces; {chosen} was used."
    if plan.missing:
        count = sum(last - first + 1 for first, last in plan.missing)
        done = {"hold": "hold the last pose", "interpolate": "move on evenly"}
        what = done.get(spec.missing_face, "are left out")
        yield f"{count} driving frames show no face; in the result they {what}."
