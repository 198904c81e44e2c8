"""The persons of a job's files: that of the source, and the joints that move that one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from animator.animation.ahead import ahead
from animator.animation.driving import Followed
from animator.animation.faces.following import open_driving
from animator.animation.landmark_cache import FoundBody, LandmarkCache
from animator.animation.persons.dance import Dance
from animator.animation.persons.inputs import still_driving
from animator.errors import AnimatorError
from animator.faces.shots import ShotDetector
from animator.files.local import quoted
from animator.files.poses import are_poses
from animator.media.decode import MediaLimits
from animator.media.sound_choice import sound_faults
from animator.media.stills import Still
from animator.persons.bodies import body_detector_version, make_body_detector
from animator.persons.body import BodyDetector
from animator.persons.following import PersonFollower, choose_body
from animator.persons.targets import Target, source_joints, table_canvas
from animator.persons.track import BodyTrack
from animator.persons.windows import Window
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla.joints import MISSING, Joints, extent, found

Check = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Bodies:
    """What finds the persons of a job, loaded once it is needed: joints in files need none.

    Attributes:
        make: loads the detector.
        cache: keeps what it finds; None keeps nothing.
    """

    make: Callable[[], BodyDetector]
    cache: Callable[[], LandmarkCache] | None = None

    @classmethod
    def of(cls, spec: JobSpec, settings: Settings, detector: str) -> Bodies:
        """Those that a job asks for, of which the detector is known by name."""
        return cls(
            lambda: make_body_detector(detector, spec.device, settings.state_dir),
            lambda: LandmarkCache(
                spec, settings, body_detector_version(detector, settings.state_dir)
            ),
        )


def find_body(
    spec: JobSpec, still: Still, bodies: Bodies, sha256: str
) -> tuple[FoundBody, bool, tuple[str, ...]]:
    """The joints of the source's person, how many it shows, whether that was known, and notes.

    Raises:
        AnimatorError: no_body, invalid_pose, and those of the detector.
    """
    picture = still.pixels
    size = (picture.shape[0], picture.shape[1])
    if spec.pose_file is not None:
        joints, canvas = source_joints(
            spec.pose_file.plain, spec.source.plain, spec.face_of("source")
        )
        if not found(joints).any():
            message = f"{quoted(spec.pose_file)} has no joint of the source."
            raise AnimatorError("invalid_pose", message)
        published = None if canvas else table_canvas(spec.pose_file.plain, joints, size)
        canvas = canvas or published
        if canvas is not None and canvas != size:
            joints = Window.whole(canvas).place(joints, size)
        return (joints, 1), False, ("published_joints",) * (published is not None)

    def find() -> FoundBody:
        there = bodies.make().find(picture)
        body = choose_body(there, spec.face_of("source"))
        if body is None:
            raise AnimatorError("no_body", _nobody(spec, len(there)))
        return np.asarray(body.joints, np.float64), len(there)

    if bodies.cache is None:
        return find(), False, ()
    return *bodies.cache().body(sha256, find), ()


def _nobody(spec: JobSpec, there: int) -> str:
    if not there:
        return f"No person was found in {quoted(spec.source)}."
    persons = "1 person" if there == 1 else f"{there} persons"
    return f"{quoted(spec.source)} shows {persons}; there is no number {spec.face_of('source')}."


def find_dance(
    spec: JobSpec,
    bodies: Bodies,
    sha256: str,
    limits: MediaLimits,
    watch: Watch,
    check: Check,
) -> tuple[Dance, tuple[str, ...], bool]:
    """What moves the person, what its frames are called, and whether it had been found before.

    Raises:
        AnimatorError: no_body, invalid_pose, and those of reading files.
    """
    path = spec.driving.plain
    if are_poses(path):
        dance, names = _read_dance(spec, limits, watch)
        check()
        return dance, names, False
    if (still := still_driving(spec, limits)) is not None:
        return _of_picture(spec, still, bodies.make(), check), (Path(path).stem,), False

    def extract(goes_on: Check) -> Dance:
        return track_dance(spec, bodies.make(), limits, watch, check, goes_on)

    if bodies.cache is None:
        return extract(lambda: None), (), False
    dance, known = bodies.cache().dance(sha256, limits, watch, extract)
    return dance, (), known


def _read_dance(spec: JobSpec, limits: MediaLimits, watch: Watch) -> tuple[Dance, tuple[str, ...]]:
    """Joints of files, which say no times: they come at the driving rate."""
    poses = Target(spec.driving.plain, limits, spec.face_of("driving")).read(_no_detector, watch)
    joints = np.asarray(poses.joints, np.float64)
    if poses.there is not None:
        joints = np.where(poses.there[:, None, None], joints, MISSING)
    rate = spec.driving_rate
    whole = _dance(joints, poses.canvas, rate)
    dance = whole.part(spec.start_seconds, spec.end_seconds)
    first = 0 if spec.start_seconds is None else -(-spec.start_seconds // (1 / rate))
    seconds = dance.pts[-1] * dance.time_base
    if len(dance.pts) > limits.max_frames or seconds > limits.max_seconds:
        message = f"{quoted(spec.driving)} has {len(dance.pts)} poses, which is too many."
        raise AnimatorError("too_long", message)
    return dance, poses.names[int(first) : int(first) + len(dance.pts)]


def _no_detector() -> BodyDetector:
    raise AssertionError("joints in files need no detector")


def _of_picture(spec: JobSpec, still: Still, detector: BodyDetector, check: Check) -> Dance:
    """One pose, that of a picture."""
    there = detector.find(still.pixels)
    check()
    body = choose_body(there, spec.face_of("driving"))
    if body is None:
        raise AnimatorError("no_body", f"No person was found in {quoted(spec.driving)}.")
    joints = np.asarray(body.joints, np.float64)[None]
    size = (still.pixels.shape[0], still.pixels.shape[1])
    return _dance(joints, size, spec.driving_rate, len(there))


def _dance(
    joints: Joints, canvas: tuple[int, int] | None, rate: Fraction, persons: int = 1
) -> Dance:
    """Joints at a rate, without pictures."""
    if not found(joints).any():
        raise AnimatorError("no_body", "No person was found in any frame of the driving joints.")
    if canvas is None:
        left, top, right, bottom = extent(joints)
        size = (max(round(right + max(left, 0)), 16), max(round(bottom + max(top, 0)), 16))
    else:
        size = (canvas[1], canvas[0])
    pts = [number * rate.denominator for number in range(len(joints))]
    return Followed(
        BodyTrack(joints, canvas), pts, Fraction(1, rate.numerator), rate, size, (None, None),
        persons, (), pictures=False,
    )  # fmt: skip


def track_dance(
    spec: JobSpec,
    detector: BodyDetector,
    limits: MediaLimits,
    watch: Watch,
    check: Check,
    goes_on: Check,
) -> Dance:
    """Follow the person through the driving video.

    ``goes_on`` is called after every few frames, and ``check`` once the file was read.
    """
    follower, shots = PersonFollower(spec.face_of("driving")), ShotDetector()
    found_joints: list[Joints] = []
    pts: list[int] = []
    with (
        open_driving(spec, limits) as reader,
        watch.stage("poses", reader.frames),
        ahead(reader, 1, watch.check) as batches,
    ):
        for batch in batches:
            for picture in batch.pixels:
                if shots.changed(picture):
                    follower.new_shot()
                body = follower.look(picture, detector)
                found_joints.append(np.full((18, 2), MISSING) if body is None else body.joints)
                watch.advance(1)
            pts.extend(batch.pts)
            goes_on()
        check()
        return Followed(
            BodyTrack(np.stack(found_joints), (reader.info.height, reader.info.width)),
            pts,
            reader.info.time_base,
            reader.info.average_rate,
            (reader.info.width, reader.info.height),
            (reader.audio_start, reader.audio_end),
            follower.persons,
            tuple(shots.cuts),
            (*reader.faults, *sound_faults(Path(spec.driving), limits)),
        )
