"""The cache of inputs that lie elsewhere: each is fetched once, however many jobs use it.

    inputs/blobs/SHA256   contents, under the hash of their bytes
           notes/URL      what was last found at a URL, under the hash of its text: the store's word
                          for the version, and the content
           parts/URL      being fetched; whoever does so holds an exclusive lock on it, and renames
                          it when it is whole

A file whose version is the one of its note is not fetched again. What was not used for longest goes
first when there is more than `Settings.cache_bytes`; a file in use by any process stays.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

from animator.errors import AnimatorError
from animator.files.download import Fetched, RemoteFile, Transfer
from animator.files.eviction import Room, evict, hold, is_at, lock, remove_unused
from animator.files.output import coded_errors, write_whole
from animator.files.private import private_folder
from animator.files.remote import polled
from animator.files.storage import Info
from animator.files.urls import check_url
from animator.settings import Settings
from animator.values import load_fields

_POLL_SECONDS = 0.05
_LARGE = 100
"""Room is made before a download of more than a hundredth of the cache; for others, after it."""
_LEAST_NOTES = 1 << 20
_NOTES_SHARE = 50
"""Notes may take a fiftieth of what contents may."""

Check = Callable[[], object]

_rooms: dict[Path, Room] = {}


@dataclass(frozen=True)
class _Note:
    """What was last found at a URL."""

    version: str
    sha256: str
    size: int
    fetched: float = 0.0
    """When, in seconds since 1970."""


@contextmanager
def cached_input(url: str, settings: Settings, check: Check = lambda: None) -> Iterator[Path]:
    """The file at a URL, on this machine for as long as the block runs.

    Its name is the SHA-256 of its content.

    Args:
        url: what is fetched, unless it is here and has not changed.
        settings: which URLs are allowed, how large an input may be, and where it is kept.
        check: called a few times a second while the file is fetched, or while somebody else does
            that; it may raise, such as `JobCancelled`.

    Raises:
        AnimatorError: `url_refused`, `no_such_file`, `unreadable_file`, `storage_unavailable`,
            `too_large`, `disk_full`.
    """
    check_url(url, settings)
    with InputCache(settings).held(url, check) as path:
        yield path


class InputCache:
    """The files that this machine keeps of what lies elsewhere.

    Args:
        settings: as in `cached_input`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        folder = settings.cache_dir / "inputs"
        self._blobs, self._notes, self._parts = (
            folder / name for name in ("blobs", "notes", "parts")
        )
        self._limit = settings.limits().max_bytes

    @contextmanager
    def held(self, url: str, check: Check) -> Iterator[Path]:
        """The file at a URL; it is not removed while the block runs."""
        with coded_errors(self._blobs):
            for folder in (self._blobs, self._notes, self._parts):
                private_folder(folder)
        # Asked before the answer: what is fetched from here on is new enough.
        source, asked = RemoteFile(url, self._settings), time.time()
        info = polled(source.info, check)
        self._require_size(url, info.size)
        # A blob is locked from here on, so that nobody evicts it.
        blob = self._find(url, info, asked, check) or self._fetch(source, info, asked, check)
        path = self._blobs / blob.sha256
        try:
            yield path
        finally:
            with suppress(OSError):
                os.utime(path)
            blob.file.close()
            if blob.size > self._settings.cache_bytes:
                remove_unused(path)

    def _find(self, url: str, info: Info, asked: float, check: Check) -> _Blob | None:
        """What was kept of a URL, if it is still what is there."""
        note_path = self._notes / _name(url)
        try:
            note = _Note(**load_fields(_Note, note_path.read_bytes(), "note"))
        except (OSError, AnimatorError, TypeError):
            return None
        # Where a server does not tell versions, what came since it was asked for is new enough.
        if not (note.version == info.version if info.version else note.fetched >= asked):
            return None
        file = hold(self._blobs / note.sha256, check)
        if file is None:
            return None
        # A crash of the machine may have cut it off.
        if os.fstat(file.fileno()).st_size != note.size:
            file.close()
            return None
        with suppress(OSError):
            os.utime(note_path)
        return _Blob(file, note.sha256, note.size)

    def _fetch(self, source: RemoteFile, info: Info, asked: float, check: Check) -> _Blob:
        """Fetch a file, unless somebody else has done so meanwhile."""
        part = self._parts / _name(source.url)
        # Until it is there: a blob may be evicted between its fetch and its lock.
        while True:
            with self._lock_part(part, check) as file:
                try:
                    # Whoever held the lock before has most likely fetched it.
                    if blob := self._find(source.url, info, asked, check):
                        return blob
                    if blob := self._download(source, info, part, file, check):
                        return blob
                finally:
                    # It may have become a blob; then the name is free or somebody else's.
                    if is_at(file, part):
                        part.unlink(missing_ok=True)

    @contextmanager
    def _lock_part(self, part: Path, check: Check) -> Iterator[FileIO]:
        """The file that is being fetched, locked; empty."""
        while (file := self._try_part(part)) is None:
            check()
            time.sleep(_POLL_SECONDS)
        with file:
            yield file

    def _try_part(self, part: Path) -> FileIO | None:
        """As `_lock_part`; None if somebody else has it.

        Whoever holds the lock renames or removes the file in the end, so it is opened anew for each
        look.
        """
        with coded_errors(part):
            file = FileIO(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        if not is_at(file, part):
            file.close()
            return None
        # What a process has left that was killed.
        file.truncate(0)
        return file

    def _download(
        self, source: RemoteFile, info: Info, part: Path, file: FileIO, check: Check
    ) -> _Blob | None:
        """Fetch a file and hold it; None if that has to be tried again."""
        if _LARGE * (info.size or 0) > self._settings.cache_bytes:
            evict(self._blobs, max(self._settings.cache_bytes - (info.size or 0), 0))
        # The thread has a file of its own: it may outlast this call by a moment if `check` raises.
        transfer = Transfer(source, FileIO(os.dup(file.fileno()), "r+"), self._limit)
        try:
            fetched = polled(transfer.run, check)
        except AnimatorError as error:
            if error.code == "disk_full" and evict(self._blobs, 0):
                return None  # the disk is smaller than the cache may be; there is room now
            raise
        except BaseException:
            transfer.stop()
            raise
        # Before the part gets its name: whoever locks the next part then finds what there is.
        note = _Note(fetched.version, fetched.sha256, fetched.size, time.time())
        with suppress(AnimatorError):  # it only spares the next fetch
            write_whole(
                self._notes / _name(source.url), json.dumps(asdict(note)).encode(), private=True
            )
        held = self._publish(part, file, fetched, check)
        if held is None:
            return None
        self._added(fetched.size)
        return _Blob(held, fetched.sha256, fetched.size)

    def _publish(self, part: Path, file: FileIO, fetched: Fetched, check: Check) -> FileIO | None:
        """Put what was fetched among the contents and hold it; None if it was removed again."""
        path = self._blobs / fetched.sha256
        held = hold(path, check)
        # Another URL had the same content. The part is then left to be removed.
        if held is not None:
            if os.fstat(held.fileno()).st_size == fetched.size:
                return held
            held.close()
        with coded_errors(part):
            os.fsync(file.fileno())
            os.replace(part, path)
            held = FileIO(path)
        # While the lock becomes a shared one, the file may be taken for unused.
        fcntl.flock(file, fcntl.LOCK_UN)
        lock(held, fcntl.LOCK_SH, check)
        if is_at(held, path):
            return held
        held.close()
        return None

    def _added(self, size: int) -> None:
        """Make room for what comes next."""
        limit = self._settings.cache_bytes
        if _rooms.setdefault(self._blobs, Room(self._blobs)).added(size, limit):
            evict(self._notes, max(limit // _NOTES_SHARE, _LEAST_NOTES))
            evict(self._parts, 0)  # those of processes that were killed; the others are locked

    def _require_size(self, url: str, size: int | None) -> None:
        if size is not None and size > self._limit:
            message = f"{url!r} has {size} bytes; {self._limit} are allowed."
            raise AnimatorError("too_large", message)


@dataclass(frozen=True)
class _Blob:
    """A kept file that is in use."""

    file: FileIO
    """Holds the lock."""
    sha256: str
    size: int


def _name(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()
