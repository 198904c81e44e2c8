"""The server's folder: private, written to in one step, with results and their stills."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from animator.errors import AnimatorError
from animator.files.eviction import Room
from animator.files.output import write_whole
from animator.files.private import private_folder
from animator.web.files.names import new_id, safe_stem
from gfla.files import DISK_FULL

STILLS_BYTES = 256 * 1024**2
"""Most that is kept of stills of results."""
_FRESH_SECONDS = 24 * 3600
"""How long a result's folder is left alone in any case: its job may be recorded any moment."""
_DAY = 24 * 3600


class ResultFolder:
    """Where videos are written that were asked for from the server.

    Each has a folder of its own, of a name that cannot be guessed, for what lies beside it.

    Args:
        folder: the server's; made private to this user.

    Raises:
        AnimatorError: `storage_unavailable`, `disk_full`.
    """

    def __init__(self, folder: Path) -> None:
        self._root, self._stills = folder / "results", folder / "stills"
        for each in (folder, self._root, self._stills):
            with disk_errors():
                private_folder(each)
        self._room = Room(self._stills)

    def new(self, *names: str, suffix: str = ".mp4") -> Path:
        """The path of a new video, whose folder is made.

        Args:
            names: what the inputs are called; the video is named after them.
            suffix: what its name ends in.

        Raises:
            AnimatorError: `storage_unavailable`, `disk_full`.
        """
        folder = self._root / new_id()
        with disk_errors():
            folder.mkdir(mode=0o700)
        return folder / f"{safe_stem(*names)}{suffix}"

    def owns(self, path: Path) -> bool:
        """Whether a file lies in a result's folder, and not just by way of a link."""
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError):
            return False
        root = Path(os.path.realpath(self._root))
        return real.parent.parent == root and real.name == path.name

    def remove(self, path: Path) -> None:
        """Remove a result with all that lies beside it; one that is elsewhere stays."""
        if self.owns(path):
            shutil.rmtree(self._root / path.parent.name, ignore_errors=True)

    def still(self, path: Path, make: Callable[[], bytes]) -> bytes:
        """A picture of a video, made anew only if there is none, or the file is another one.

        Raises:
            AnimatorError: `no_result`, and those of `make`.
        """
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            message = "The job's video is no longer where it was written."
            raise AnimatorError("no_result", message) from None
        key = f"{path}\n{found.st_mtime_ns}\n{found.st_size}\n{found.st_ino}"
        kept = self._stills / f"{hashlib.sha256(os.fsencode(key)).hexdigest()}.jpg"
        with suppress(OSError):
            content = kept.read_bytes()
            os.utime(kept)
            return content
        content = make()
        # What cannot be kept is made again.
        with suppress(AnimatorError):
            write_private(kept, content)
            self._room.added(len(content), STILLS_BYTES)
        return content

    def sweep(self, known: Callable[[], Iterable[str | Path]], days: float) -> int:
        """Remove results that no job has any more, once nothing in them was changed for so long.

        Args:
            known: tells the outputs of all jobs; asked only if there is something old.
            days: how long a result is kept in any case.

        Returns:
            How many were removed.
        """
        before = time.time() - max(days * _DAY, _FRESH_SECONDS)
        folders = [Path(entry.path) for entry in folders_in(self._root)]
        old = [folder for folder in folders if _last_change(folder) < before]
        kept = {Path(path).parent.name for path in known()} if old else set()
        gone = [folder for folder in old if folder.name not in kept]
        for folder in gone:
            shutil.rmtree(folder, ignore_errors=True)
        return len(gone)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that appears whole under its name, or not at all, for this user alone.

    Raises:
        AnimatorError: `disk_full`, `storage_unavailable`.
    """
    with disk_errors():
        try:
            write_whole(path, content, private=True)
        except AnimatorError as error:
            # Its sentence names the path, which is no caller's business.
            raise error.__cause__ or error from None


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise the coded error for what the system says while the server's folder is written.

    Raises:
        AnimatorError: `disk_full`, `storage_unavailable`; neither names a path.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            message = "The server's disk is full."
            raise AnimatorError("disk_full", message, retryable=True) from error
        message = f"The server's folder cannot be used: {error.strerror or 'unknown'}."
        raise AnimatorError("storage_unavailable", message, retryable=True) from error


def open_private(path: str | Path, flags: int) -> int:
    """An opener of files that are this user's alone."""
    return os.open(path, flags, 0o600)


def folders_in(root: Path) -> list[os.DirEntry[str]]:
    """The folders in a folder, without links; none if it is gone."""
    with suppress(OSError), os.scandir(root) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _last_change(folder: Path) -> float:
    """When something in a folder was changed last; now if that cannot be told."""
    try:
        with os.scandir(folder) as entries:
            times = [entry.stat(follow_symlinks=False).st_mtime for entry in entries]
        return max([folder.stat().st_mtime, *times])
    except OSError:
        return time.time()
