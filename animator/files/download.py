"""Downloads from a store or a web server, whatever happens to connections."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from urllib.parse import urlsplit

from animator.errors import AnimatorError
from animator.files.remote import try_remote
from animator.files.storage import Info, Storage, info_of
from animator.files.web import CHUNK, HttpFiles, file_info
from animator.settings import Settings
from animator.values import split_location

PIECE_BYTES = 8 * 1024**2
"""What is asked for in one request to a store."""


class RemoteFile:
    """A file at a URL, which has been checked.

    Args:
        url: of an object or of a file on a web server.
        settings: which URLs are allowed; web servers may lead to others.

    Attributes:
        url: as given.
        web: the web server; None for a store.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.web: HttpFiles | None = None
        if urlsplit(url).scheme in ("http", "https"):
            self.web = HttpFiles(settings)
        else:
            folder, self._name = split_location(url)
            self._store = Storage(folder, settings)

    def info(self) -> Info:
        """Size and version.

        Raises:
            AnimatorError: `no_such_file` and as `animator.files.remote.try_remote`.
        """
        if self.web is not None:
            web = self.web
            return info_of(try_remote(self.url, lambda: web.info(self.url)))
        info = self._store.info(self._name)
        if info is None:
            raise AnimatorError("no_such_file", f"There is no file {self.url!r}.")
        return info

    def read_range(self, start: int, stop: int) -> bytes:
        """A part of an object of a store."""
        return self._store.read_range(self._name, start, stop)


@dataclass(frozen=True)
class Fetched:
    """What came."""

    version: str
    """As the store called it; empty if it does not say."""
    sha256: str
    size: int


class Transfer:
    """Fetches a file, once.

    Args:
        source: what is fetched.
        target: where it goes, from its beginning; it is closed at the end.
        limit: the most bytes that are taken.
    """

    def __init__(self, source: RemoteFile, target: FileIO, limit: int) -> None:
        self._source, self._target, self._limit = source, target, limit
        self._stop = threading.Event()
        self._digest, self._size, self._validator = hashlib.sha256(), 0, ""

    def stop(self) -> None:
        """Let `run` end soon, in whichever thread it is."""
        self._stop.set()

    def run(self) -> Fetched:
        """Fetch it.

        Raises:
            AnimatorError: `too_large`, `disk_full`, and as `animator.files.remote.try_remote`.
        """
        with self._target:
            fetch = self._from_store if self._source.web is None else self._from_web
            version = try_remote(self._source.url, fetch)
            return Fetched(version, self._digest.hexdigest(), self._size)

    def _from_store(self) -> str:
        """Fetch an object in pieces; one that fails is all that is fetched again."""
        source = self._source
        before = source.info()
        self._require(before.size)
        self._restart()
        # Until all is there, or, if the size is not known, until no more comes.
        whole = before.size is not None and self._size == before.size
        while not whole:
            start, stop = self._size, self._size + PIECE_BYTES
            self._take(source.read_range(start, stop))
            whole = self._size in (start, before.size)
        if before.size is not None and self._size != before.size:
            raise OSError(f"{self._size} of {before.size} bytes came")
        # A single piece is of one version anyway.
        if self._size > PIECE_BYTES and source.info().version != before.version:
            raise OSError("it changed while it was fetched")
        return before.version

    def _from_web(self) -> str:
        """Fetch in one stream, or what is lacking of it if the file is still the same."""
        web = self._source.web
        assert web is not None
        # On a second try: only what is lacking, if it is still the same file.
        headers = {}
        if self._size and self._validator:
            headers = {"Range": f"bytes={self._size}-", "If-Range": self._validator}
        with web.answer("GET", self._source.url, headers) as answer:
            goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {self._size}-")
            # The server sends all of it, or another part than was asked for.
            if not (answer.status_code == 206 and headers and goes_on):
                self._restart()
            # A part of the file although its beginning is lacking.
            if answer.status_code != 200 and not self._size:
                raise OSError("the server does not go on where it was cut off")
            info = info_of(file_info(answer.headers))
            self._validator = _strong_validator(answer.headers)
            self._require(info.size)
            for data in answer.iter_raw(CHUNK):
                self._take(data)
        if info.size is not None and self._size != info.size:
            raise OSError(f"{self._size} of {info.size} bytes came")
        return info.version

    def _restart(self) -> None:
        self._target.seek(0)
        self._target.truncate()
        self._digest, self._size, self._validator = hashlib.sha256(), 0, ""

    def _take(self, data: bytes) -> None:
        """Write what came."""
        if self._stop.is_set():
            raise Stopped
        self._require(self._size + len(data))
        # An unbuffered file may take less than it is given.
        left = memoryview(data)
        while left:
            left = left[self._target.write(left) :]
        self._digest.update(data)
        self._size += len(data)

    def _require(self, size: int | None) -> None:
        if self._stop.is_set():
            raise Stopped
        if size is not None and size > self._limit:
            message = f"{self._source.url!r} has {size} bytes or more; {self._limit} are allowed."
            raise AnimatorError("too_large", message)


class Stopped(BaseException):
    """The transfer is no longer wanted; no reason to try again."""


def _strong_validator(headers: Mapping[str, str]) -> str:
    """What says that the rest is the rest of the same file; a weak tag does not."""
    # `W/` marks a tag that files of the same meaning share, whatever their bytes.
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else ""
