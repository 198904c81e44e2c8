"""Landmarks that are found once and used by every job, process and machine that needs them.

    landmarks/ab/ab12...npz    of a driving video's part, or of a portrait

in the storage that machines share, or in this machine's cache folder. A name is a hash of all that
the landmarks depend on, so what is there is right whoever wrote it; what is damaged counts as not
there. The cache saves work and never fails a job: without it the landmarks are found anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import (
    Driving,
    Followed,
    Tracked,
    driving_arrays,
    driving_of,
)
from animator.animation.persons.dance import Dance, dance_arrays, dance_of
from animator.broker.locks import held, lock_of
from animator.errors import AnimatorError
from animator.faces.detectors import detector_version
from animator.faces.landmarks import POINTS
from animator.files.arrays import DAMAGED, from_text, pack, to_text, unpack
from animator.files.eviction import Room
from animator.files.sequence import is_sequence
from animator.files.storage import Storage
from animator.media.decode import MediaLimits
from animator.persons.track import BodyTrack
from animator.settings import Settings
from animator.spec import Face, JobSpec
from animator.watch import Watch
from gfla.joints import Joints

FORMAT = 2
"""Of the entries, and of how faces are followed and found; to be raised with every change that
may give other landmarks."""
FOLDER = "landmarks"
WAITING = "waiting for landmarks"
"""The stage of a job that waits for another to find what it needs."""
_POLL_SECONDS = 0.2

# One for each cache folder of this process: it counts what was added since its last look.
_rooms: dict[Path, Room] = {}

Found = tuple[NDArray[np.float32], int]
"""The 68 x 2 landmarks of a portrait's face in pixels, and how many faces it shows."""
FoundBody = tuple[Joints, int]
"""The 18 x 2 joints of a picture's person in pixels, and how many persons it shows."""
T = TypeVar("T")
_log = logging.getLogger(__name__)


class NothingKept(Exception):
    """Landmarks cannot be kept at the moment, and nothing else was wanted."""


class LandmarkCache:
    """The landmarks that are kept, as one job sees them.

    Args:
        spec: the job.
        settings: where they are kept, and how much of them.
        detector: name and version of what finds them; that of faces if not given.
        only_to_keep: whether landmarks are found for nothing but to be kept here, for others.

    Raises:
        AnimatorError: detector_unavailable; missing_package if the storage needs one.
        NothingKept: by all methods, where they are only to be kept and cannot be.
    """

    def __init__(
        self,
        spec: JobSpec,
        settings: Settings,
        detector: str | None = None,
        *,
        only_to_keep: bool = False,
    ) -> None:
        self._spec, self._settings, self._only_to_keep = spec, settings, only_to_keep
        self._storage = Storage.open(settings.storage or str(settings.cache_dir), settings)
        self._detector = detector or detector_version(spec.detector, spec.device)
        self._usable = True

    def driving(
        self,
        sha256: str,
        limits: MediaLimits,
        watch: Watch,
        extract: Callable[[Callable[[], None]], Driving],
        complete: Callable[[Driving, Callable[[], None]], Driving] = lambda driving, goes_on: (
            driving
        ),
    ) -> tuple[Driving, bool]:
        """What is kept of the job's driving video.

        One that another job is following at the moment is waited for.

        Args:
            sha256: of the file.
            limits: entries of videos that they refuse are passed over.
            watch: shows that the job waits, and may end the wait.
            extract: finds the landmarks; calls what it is given as it goes on.
            complete: finds what an older version has not kept; calls it likewise.

        Returns:
            It, and whether it was kept.
        """
        key = self._driving_key("driving", sha256)
        return self._followed(
            key, sha256, driving_of, driving_arrays, limits, watch, extract, complete
        )

    def dance(
        self,
        sha256: str,
        limits: MediaLimits,
        watch: Watch,
        extract: Callable[[Callable[[], None]], Dance],
    ) -> tuple[Dance, bool]:
        """As `driving`, of the joints of a person."""
        key = self._driving_key("dance", sha256)
        return self._followed(
            key, sha256, dance_of, dance_arrays, limits, watch, extract, lambda dance, _: dance
        )

    def _driving_key(self, kind: str, sha256: str) -> str:
        spec = self._spec
        part = [
            None if time is None else str(time) for time in (spec.start_seconds, spec.end_seconds)
        ]
        if is_sequence(spec.driving):
            part.append(str(spec.driving_rate))  # which no file says
        return self._key(kind, spec.face_of("driving"), sha256, *part)

    def _followed(
        self,
        key: str,
        sha256: str,
        read_arrays: Callable[[dict[str, NDArray[Any]]], Followed[Tracked]],
        arrays_of: Callable[[Followed[Tracked]], dict[str, NDArray[Any]]],
        limits: MediaLimits,
        watch: Watch,
        extract: Callable[[Callable[[], None]], Followed[Tracked]],
        complete: Callable[[Followed[Tracked], Callable[[], None]], Followed[Tracked]],
    ) -> tuple[Followed[Tracked], bool]:
        spec = self._spec

        def read(arrays: dict[str, NDArray[Any]]) -> Followed[Tracked]:
            return _checked(read_arrays(arrays), Path(spec.driving), limits)

        known = self._read(key, read)
        if known is not None and known.cuts is not None:
            return known, True
        if not self._usable:  # nobody could take over what one of them finds
            return extract(lambda: None), False
        # One job extracts and the others wait for it; it is looked again once the lock is held, as
        # whoever had it before may have written.
        lock = lock_of(_hash(key), self._settings)
        with held(lock, lambda: _waiting(watch)):
            known = self._read(key, read)
            if known is not None and known.cuts is not None:
                return known, True
            if known is not None:
                driving = complete(known, lock.keep)
                self._write(key, arrays_of(driving))
                return driving, True
            driving = extract(lock.keep)
            if driving.landmarks.found.any():  # else the job fails
                self._write(key, arrays_of(driving))
                frames = len(driving.pts)
                _log.info("landmarks of driving %s extracted: %d frames", sha256[:12], frames)
        return driving, False

    def source(self, sha256: str, find: Callable[[], Found]) -> tuple[Found, bool]:
        """The landmarks of the job's portrait, and whether they were kept.

        Args:
            sha256: of the file.
            find: finds them. Nobody waits for another who does: it takes less than a second.
        """
        key = self._key("source", self._spec.face_of("source"), sha256)
        if (known := self._read(key, _found)) is not None:
            return known, True
        points, faces = find()
        self._write(key, {"source": points, "faces": np.array(faces)})
        return (points, faces), False

    def body(self, sha256: str, find: Callable[[], FoundBody]) -> tuple[FoundBody, bool]:
        """As `source`, of the joints of a person."""
        key = self._key("body", self._spec.face_of("source"), sha256)
        if (known := self._read(key, _found_body)) is not None:
            return known, True
        joints, bodies = find()
        self._write(key, {"joints": joints, "bodies": np.array(bodies)})
        return (joints, bodies), False

    def sources(
        self, sha256: str, find: Callable[[], list[NDArray[np.float32]]]
    ) -> tuple[list[NDArray[np.float32]], bool]:
        """The landmarks of each face of the job's portrait, and whether they were kept.

        Args:
            sha256: of the file.
            find: finds them, 68 x 2 each, in the order of their numbers.
        """
        key = json.dumps(["source", sha256, "all", self._detector, FORMAT])
        if (known := self._read(key, _found_all)) is not None:
            return known, True
        faces = find()
        self._write(key, {"sources": np.array(faces, np.float32).reshape(-1, POINTS, 2)})
        return faces, False

    def _key(self, kind: str, face: Face, *about: str | None) -> str:
        return json.dumps([kind, *about, face, self._detector, FORMAT])

    def _read(self, key: str, make: Callable[[dict[str, NDArray[Any]]], T]) -> T | None:
        """What is kept under a key; None if there is nothing that can be used."""
        name = _name(key)
        if not self._usable:
            return None
        try:
            content = self._storage.read(name)
        except AnimatorError as error:
            if error.code != "no_such_file":
                self._give_up(error)
            return None
        with suppress(*DAMAGED):
            # The whole key is in the file as well, so a clash of names cannot pass for a hit.
            arrays = unpack(content)
            if to_text(arrays["key"]) == key:
                made = make(arrays)
                self._touch(name)
                return made
        return None

    def _write(self, key: str, arrays: dict[str, NDArray[Any]]) -> None:
        if not self._usable:
            return
        content = pack({"key": from_text(key), **arrays})
        try:
            self._storage.write(_name(key), content)
        except AnimatorError as error:
            self._give_up(error)
            return
        if self._settings.storage is None:
            folder, most = self._settings.cache_dir / FOLDER, self._settings.cache_bytes
            _rooms.setdefault(folder, Room(folder)).added(len(content), most)

    def _give_up(self, error: AnimatorError) -> None:
        """Ask the storage no more in this job: every try at one that is away takes long."""
        if self._only_to_keep:
            raise NothingKept from error
        self._usable = False
        _log.warning("landmarks are not kept: %s", error)

    def _touch(self, name: str) -> None:
        if self._storage.local is not None:
            # Eviction goes by the time of last use.
            with suppress(OSError):
                os.utime(self._storage.local / name)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _name(key: str) -> str:
    name = _hash(key)
    return f"{FOLDER}/{name[:2]}/{name}.npz"


def _checked(driving: Followed[Tracked], path: Path, limits: MediaLimits) -> Followed[Tracked]:
    """A driving video that is within the limits; ValueError if decoding would refuse it."""
    width, height = driving.size
    # From the first frame to the last; the limit is in seconds of the part that is used.
    seconds = (driving.pts[-1] - driving.pts[0]) * driving.time_base
    small = width * height <= limits.max_frame_pixels and len(driving.pts) <= limits.max_frames
    if not small or seconds > limits.max_seconds or path.stat().st_size > limits.max_bytes:
        raise ValueError("the video is larger or longer than is allowed here")
    return driving


def _found(arrays: dict[str, NDArray[Any]]) -> Found:
    points = arrays["source"]
    if points.shape != (POINTS, 2) or points.dtype != np.float32 or not np.isfinite(points).all():
        raise ValueError("these are not the landmarks of a face")
    return points, int(arrays["faces"])


def _found_body(arrays: dict[str, NDArray[Any]]) -> FoundBody:
    return BodyTrack(arrays["joints"][None]).joints[0], int(arrays["bodies"])


def _found_all(arrays: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    points = arrays["sources"]
    if points.shape[1:] != (POINTS, 2) or points.dtype != np.float32:
        raise ValueError("these are not the landmarks of faces")
    if not np.isfinite(points).all():
        raise ValueError("these are not the landmarks of faces")
    return list(points)


def _waiting(watch: Watch) -> Generator[None, None, None]:
    with watch.stage(WAITING):
        while True:
            yield
            time.sleep(_POLL_SECONDS)
            watch.advance(1)  # its count shows the worker that the job has not stalled
