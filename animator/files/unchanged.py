"""Inputs that must stay as they were when they were hashed, for as long as they are read.

A job opens its files again and again: for their hash, for faces, for sound, for pictures. What was
made of them is filed under the hash, so all of these must have been of the same content.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from animator.errors import AnimatorError, LeaseLost
from animator.files.local import content_hash, open_file, quoted
from animator.files.poses import file_of
from animator.files.sequence import files_of, is_sequence
from animator.settings import DEFAULT_LIMITS, MediaLimits, Settings

_COARSEST = 2.0  # seconds between two times of change that every file system tells apart


@dataclass(frozen=True)
class Stamp:
    """What the file system says of a file at a moment.

    Attributes:
        size: in bytes.
        modified: when it was written, in nanoseconds.
        identity: device, number, and time of the last change of any kind, also of its rights.
        settled: whether a write after this moment shows in the time.
    """

    size: int
    modified: int
    identity: tuple[int, int, int]
    settled: bool

    @classmethod
    def of(cls, path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> Stamp:
        """The present one; errors as in `open_file`.

        Of pictures that stand for a video, one that differs when any picture's does; errors then
        also as in `animator.files.sequence.pictures_of`.
        """
        if is_sequence(path):
            stamps = [(str(one), cls.of(one, limits)) for one in files_of(path, limits)]
            told = hash(tuple((name, stamp.identity) for name, stamp in stamps))
            return cls(
                sum(stamp.size for _, stamp in stamps),
                hash(tuple((name, stamp.modified) for name, stamp in stamps)),
                (0, len(stamps), told),
                all(stamp.settled for _, stamp in stamps),
            )
        # Of a file that was just opened: on network file systems, that asks the server, while what
        # is known of a name may be some seconds old.
        with open_file(file_of(path), limits) as file:
            found = os.fstat(file.fileno())
        settled = abs(time.time() - found.st_mtime) > _COARSEST
        identity = (found.st_dev, found.st_ino, found.st_ctime_ns)
        return cls(found.st_size, found.st_mtime_ns, identity, settled)


@dataclass
class Unchanged:
    """A file that was hashed.

    Attributes:
        path: of the file.
        before: what the file system said before that.
        sha256: the hash.
    """

    path: str
    before: Stamp
    sha256: str
    limits: MediaLimits = DEFAULT_LIMITS

    def check(self) -> None:
        """Find out whether the file is still the one that was hashed.

        Raises:
            AnimatorError: input_changed.
        """
        try:
            now = Stamp.of(self.path, self.limits)
            same = (now.size, now.modified) == (self.before.size, self.before.modified)
            if same and not (now.identity == self.before.identity and self.before.settled):
                # Rights were changed, a file system without lasting numbers was mounted anew, or
                # the file is so new that its times may not tell: its content does.
                same = content_hash(self.path, self.limits) == self.sha256
                self.before = now
        except AnimatorError as error:
            raise self._changed() from error
        if not same:
            raise self._changed()

    def _changed(self) -> AnimatorError:
        message = f"{quoted(self.path)} was changed or replaced while it was read; run it again."
        return AnimatorError("input_changed", message, retryable=True)


def hashed(
    inputs: Mapping[str, str], settings: Settings
) -> tuple[dict[str, str], tuple[Unchanged, ...]]:
    """SHA-256 of files by their names, and those of them that somebody may change meanwhile.

    Raises:
        AnimatorError: those of `content_hash`.
    """
    limits = settings.limits()
    hashes, files = {}, []
    for name, path in inputs.items():
        # The stamp first: what happens from then on shows.
        before = Stamp.of(path, limits)
        hashes[name] = content_hash(path, limits)
        # What the cache keeps is never written again, only touched when it was used.
        if not Path(path).is_relative_to(settings.cache_dir):
            files.append(Unchanged(path, before, hashes[name], limits))
    return hashes, tuple(files)


@contextmanager
def unchanged(files: tuple[Unchanged, ...]) -> Iterator[None]:
    """Check files at the end of the block; an error in it is laid to their change, if they did.

    Raises:
        AnimatorError: input_changed.
    """
    try:
        yield
    except LeaseLost:
        raise
    except Exception:
        check_unchanged(files)
        raise
    check_unchanged(files)


def check_unchanged(files: tuple[Unchanged, ...]) -> None:
    """Check each file; raises as `Unchanged.check`."""
    for file in files:
        file.check()
