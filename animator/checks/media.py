"""Measures of a job's two inputs, taken in the child process of a check.

The detector is dlib whatever the job uses: it needs no graphics card and little memory.
"""

from __future__ import annotations

import resource
import time
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.animation.faces.moving import as_driving, moves
from animator.animation.faces.moving_plan import check_moving
from animator.animation.motion.input import is_motion
from animator.checks.faces import around, measure_pose
from animator.checks.motion import look_at_motion
from animator.checks.objects import look_at_object
from animator.checks.persons import look_at_person, look_at_still_driving
from animator.checks.report import DrivingFacts, Face, SampledFrame, SourceFacts
from animator.errors import AnimatorError
from animator.faces.crop import Square, crop_square, face_square, in_units
from animator.faces.detectors.dlib import DlibDetector
from animator.faces.landmarks import FaceBox, FaceChoice, LandmarkDetector, Landmarks
from animator.faces.measures import sharpness
from animator.faces.shots import ShotDetector
from animator.faces.tracking import SURE, FaceTracker, find_face
from animator.media.decode import MediaLimits, VideoReader, read_picture
from animator.media.sampling import Sampler, Timing, read_timing
from animator.media.sound_choice import SoundChoice, choose_sound
from animator.sandbox import Message, Send
from animator.spec import JobSpec

_SIDE = 256  # of the crop in which sharpness is measured
_LOOK_AROUND = 3  # samples between two looks at who else is there
_SAME_PLACE = 0.3  # overlap of two boxes of one face
_TIMING_SHARE = 0.15  # of the time for the driving video


def look(task: Message, send: Send) -> None:
    """Measure the inputs that the task names, and send an answer for each.

    An answer has "about", the input, and either "facts" or "code" and "message".
    """
    spec = JobSpec.from_json(task["spec"])
    limits = MediaLimits(**task["limits"])
    cv2.setNumThreads(1)
    for subject in task["subjects"]:
        try:
            if task.get("kind", "face") != "face":
                if task["kind"] == "object":
                    facts: Any = look_at_object(subject, spec, limits)
                else:
                    facts = _look_for_person(subject, spec, limits, task["seconds"])
                send({"about": subject, "facts": asdict(facts)})
                continue
            detector = DlibDetector()
            if subject == "source" and moves(spec, limits):
                facts = look_at_source_video(
                    spec, detector, limits, task["frames"], task["seconds"]
                )
            elif subject == "source":
                facts = look_at_source(spec, detector, limits)
            elif is_motion(spec.driving, limits):
                facts = look_at_motion(spec, limits, task["frames"])
            else:
                facts = look_at_driving(spec, detector, limits, task["frames"], task["seconds"])
        except AnimatorError as error:
            send({"about": subject, "code": error.code, "message": error.message})
        except cv2.error as error:
            if error.code != cv2.Error.StsNoMem:
                raise
            raise MemoryError from error
        else:
            send({"about": subject, "facts": asdict(facts)})


def _look_for_person(
    subject: str, spec: JobSpec, limits: MediaLimits, seconds: float
) -> SourceFacts | DrivingFacts:
    """What can be told of an input of a person without looking for bodies."""
    if subject == "source":
        return look_at_person(spec, limits)
    still = look_at_still_driving(spec, limits)
    return still or look_at_driving(spec, None, limits, 0, seconds)


def look_at_source(spec: JobSpec, detector: LandmarkDetector, limits: MediaLimits) -> SourceFacts:
    """Measure the picture and its face.

    Raises:
        AnimatorError: those of `read_picture` and `find_face`.
    """
    still = read_picture(spec.source, limits)
    picture = still.pixels
    found, faces = find_face(picture, detector, spec.face_of("source"))
    height, width = picture.shape[:2]
    face = measure_face(picture, found.points[0])
    return SourceFacts(width, height, faces, face, still.notes)


def look_at_source_video(
    spec: JobSpec, detector: LandmarkDetector, limits: MediaLimits, frames: int, seconds: float
) -> SourceFacts:
    """Measure a video that is the portrait, and its face in the first frame that shows it.

    Arguments as of `look_at_driving`.

    Raises:
        AnimatorError: those of `check_moving` and `look_at_driving`, and no_face.
    """
    check_moving(spec)
    video = look_at_driving(as_driving(spec), detector, limits, frames, seconds)
    if not video.seen:
        message = "No face was found in the frames of the source video that were looked at."
        raise AnimatorError("no_face", message)
    most = max(sample.faces for sample in video.samples)
    return SourceFacts(
        video.width,
        video.height,
        most,
        video.seen[0],
        video.notes,
        video=True,
        frames=video.frames,
        duration=video.duration,
        frame_seconds=video.decode_seconds + (video.landmark_seconds or 0.0),
    )


def look_at_driving(
    spec: JobSpec,
    detector: LandmarkDetector | None,
    limits: MediaLimits,
    frames: int,
    seconds: float,
) -> DrivingFacts:
    """Measure the part of the driving video that the job uses.

    Args:
        spec: the job.
        detector: finds the faces; None where no frame is looked at for them.
        limits: what is refused.
        frames: how many frames to look at; twice as many if none of them shows a face.
        seconds: that this may take, but for what one frame takes.

    Raises:
        AnimatorError: those of `VideoReader`.
    """
    deadline = time.monotonic() + seconds
    path, start, end = Path(spec.driving), spec.start_seconds or Fraction(0), spec.end_seconds
    picture_rate = spec.driving_rate
    # What the header says, and the times of packets, as far as there is time to read them.
    with VideoReader(
        path, start=spec.start_seconds, end=end, limits=limits, forgiving=True, rate=picture_rate
    ) as reader:
        info, estimated, faults = reader.info, reader.frames, reader.faults
    share = _TIMING_SHARE * seconds
    timing = read_timing(path, limits, start, end, share, forgiving=True, rate=picture_rate)
    # An animated picture is read by a library that the search for sound knows nothing of.
    sound = choose_sound(path, limits) if info.has_audio else SoundChoice(None)
    length = _length(timing, info.duration, start, end)
    rate = _rate(timing, info.average_rate)
    # Frames from all over the part that is used; a second round looks between the first's.
    watcher = _Watcher(detector, spec.face_of("driving"))
    count = timing.frames or estimated
    wanted = frames if count is None else min(frames, count)
    # From the middle of each part; where all frames are looked at, at the time of each.
    for offset in (0.0 if wanted == count else 0.5, 0.0):
        times = _spread(float(start), length, rate, wanted, offset)
        left = (deadline - time.monotonic()) / (1.5 if offset else 1)
        sampler = Sampler(path, limits, times, left, forgiving=True, rate=picture_rate)
        for moment, picture in sampler:
            watcher.look(moment, picture)
        faults = sampler.faults or faults
        if watcher.squares or (count is not None and wanted == count):
            break
    return DrivingFacts(
        width=info.width,
        height=info.height,
        format=info.format,
        codec=info.codec,
        rotation=info.rotation,
        has_audio=sound.index is not None,
        duration=length,
        frames=count,
        counted=timing.frames is not None,
        rate=rate,
        variable_rate=timing.variable,
        wanted=wanted,
        samples=tuple(sorted(watcher.samples, key=lambda sample: sample.seconds)),
        crop=around(watcher.squares),
        decode_seconds=sampler.busy / max(sampler.decoded, 1),
        landmark_seconds=watcher.follow_seconds,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        notes=info.notes,
        faults=tuple(faults),
        sound_note=sound.note,
    )


def _length(
    timing: Timing, duration: Fraction | None, start: Fraction, end: Fraction | None
) -> float | None:
    """Seconds of the part that is used."""
    if timing.seconds is not None:
        return timing.seconds
    if duration is None:
        return None if end is None else float(end - start)
    return max(float(min(duration, end or duration) - start), 0.0)


def _rate(timing: Timing, average: Fraction | None) -> float | None:
    if timing.frames and timing.seconds:
        return timing.frames / timing.seconds
    return None if average is None else float(average)


def _spread(
    start: float, length: float | None, rate: float | None, count: int, offset: float
) -> list[float]:
    """Times all over a part of a video; every second from its start if its length is unknown."""
    if length is None:
        step = 1.0
    else:
        last = max(length - 1 / rate, 0.0) if rate else length  # when the last frame begins
        step = last / max(count, 1)
    return [start + (number + offset) * step for number in range(count)]


class _Watcher:
    """Looks for the face in frames that are far apart.

    As in the pipeline, a face is first looked for where the last one was: that keeps one that is
    turned too far to be found anew, and keeps to one person where there are several.
    """

    def __init__(self, detector: LandmarkDetector | None, face: FaceChoice) -> None:
        self._detector, self._face = detector, face
        self._last: Landmarks | None = None
        self._shots = ShotDetector()
        self.samples: list[SampledFrame] = []
        self.squares: list[Square] = []
        self._follow_seconds: list[float] = []

    @property
    def follow_seconds(self) -> float | None:
        """Mean time to follow a face into the next frame, None if there was none."""
        return mean(self._follow_seconds) if self._follow_seconds else None

    def look(self, seconds: float, picture: NDArray[np.uint8]) -> None:
        """Note what a frame shows."""
        assert self._detector is not None
        if self.samples and seconds < self.samples[-1].seconds:
            self._shots = ShotDetector()  # a second round
        cut = self._shots.changed(picture)
        found, faces = self._follow(picture), 1
        if found is None or len(self.samples) % _LOOK_AROUND == 0:
            tracker = FaceTracker(self._detector, self._face)
            anew = tracker.track(picture[None])
            found, faces = found or anew, tracker.faces
        face = None
        if found.found[0]:
            self._last = found
            self.squares.append(face_square(found.points[0]))
            face = measure_face(picture, found.points[0])
            faces = max(faces, 1)
        self.samples.append(SampledFrame(round(seconds, 3), faces, face, cut))

    def _follow(self, picture: NDArray[np.uint8]) -> Landmarks | None:
        """The face at the place of the last one, if there is one."""
        if self._last is None or self._detector is None:
            return None
        boxes, rolls = self._detector.boxes_of(self._last.points)
        began = time.monotonic()
        points, confidence = self._detector.landmarks(picture[None], boxes, rolls)
        self._follow_seconds.append(time.monotonic() - began)
        place, _ = self._detector.boxes_of(points)
        # Landmarks can be drawn off the face to something else; the box then leaves its place.
        if confidence[0] < SURE or _box(boxes).overlap(_box(place)) < _SAME_PLACE:
            return None
        return Landmarks(points, place, confidence)


def _box(edges: NDArray[np.floating]) -> FaceBox:
    x0, y0, x1, y1 = (float(edge) for edge in edges[0])
    return FaceBox(x0, y0, x1, y1, 1.0)


def measure_face(picture: NDArray[np.uint8], points: NDArray[np.floating]) -> Face:
    """What a check wants to know of a face; picture H W 3 RGB, points 68 2 in its pixels."""
    square = face_square(points)
    crop = crop_square(picture, square, _SIDE)
    units = in_units(points, square)
    # Light from the brows to the nose, where there is neither background nor an open mouth.
    upright = units[17:48].min(0), units[17:48].max(0)
    low, high = (np.clip(edge * _SIDE, 0, _SIDE).astype(int) for edge in upright)
    part = crop[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)]
    luma = part.reshape(-1, 3).mean(0) @ np.array([0.299, 0.587, 0.114])
    height, width = picture.shape[:2]
    return replace(
        measure_pose(points, width, height),
        sharpness=round(sharpness(crop, units), 1),
        brightness=round(float(luma), 1),
    )
