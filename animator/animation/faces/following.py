"""The faces of a job's files: that of the portrait, and that of the driving video as it moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animator.animation.ahead import ahead
from animator.animation.driving import Driving
from animator.animation.faces.moving import Moving, as_driving, moving_of, picture_at
from animator.animation.landmark_cache import LandmarkCache
from animator.animation.motion.input import is_motion, motion_of, stick_figures
from animator.faces.crop import Square, face_square, in_units
from animator.faces.detectors import make_detector
from animator.faces.landmarks import Landmarks
from animator.faces.packing import settle
from animator.faces.shots import ShotDetector
from animator.faces.tracking import FaceTracker, find_face
from animator.media.decode import MediaLimits, VideoReader, probe, read_picture
from animator.media.sound_choice import sound_faults
from animator.spec import JobSpec
from animator.watch import Watch


@dataclass(frozen=True, eq=False)
class Source:
    """The portrait and its face.

    Attributes:
        picture: uint8 H W 3; of a video, the first that shows the face.
        points: 68 x 2 pixels.
        square: the part of the picture that is animated.
        faces: how many the picture shows.
        notes: codes of `animator.media.notes.NOTES`.
        moving: of a video, its face in every frame.
    """

    picture: NDArray[np.uint8]
    points: NDArray[np.float32]
    square: Square
    faces: int
    notes: tuple[str, ...] = ()
    moving: Moving | None = None

    def crop_units(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Pixels of the picture as units of the square, 0..1 from edge to edge."""
        return in_units(points, self.square)


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


def find_moving_source(
    spec: JobSpec,
    cache: LandmarkCache,
    sha256: str,
    limits: MediaLimits,
    watch: Watch,
    check: Callable[[], None],
) -> tuple[Source, bool]:
    """Follow the face of a portrait that is a video; also whether that had been done before.

    ``cache`` is that of `animator.animation.faces.moving.as_driving`; ``check`` is called once the
    file was read.
    """
    track, known = find_driving(as_driving(spec), cache, sha256, limits, watch, check)
    moving = moving_of(spec, track)
    return moving_source(spec, moving, limits), known


def moving_source(spec: JobSpec, moving: Moving, limits: MediaLimits) -> Source:
    """The portrait, of what was found of it."""
    first = moving.first
    return Source(
        picture_at(spec.source, moving, first, limits),
        moving.points[first],
        moving.square(first),
        moving.track.faces,
        probe(spec.source, limits).notes,
        moving,
    )


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

    A frame that is kept more than once comes as often; where ``kept`` falls, the video begins
    again. Of a motion file, which has no pictures, they are stick figures.
    """
    for rising in np.split(kept, np.flatnonzero(np.diff(kept) < 0) + 1):
        if driving.pictures:
            yield from rising_frames(spec, rising, limits)
        else:
            yield from stick_figures(driving, rising)


def rising_frames(
    spec: JobSpec, kept: NDArray[np.intp], limits: MediaLimits
) -> Generator[NDArray[np.uint8], None, None]:
    """The pictures of frames of the driving video, none of which is before the one before it."""
    wanted = Counter(kept.tolist())
    index = 0
    with open_driving(spec, limits) as reader:
        for batch in reader:
            for picture in batch.pixels:
                yield from repeat(picture, wanted[index])
                if (index := index + 1) > kept[-1]:
                    return
