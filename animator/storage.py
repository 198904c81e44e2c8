"""Files by URL: a folder on this machine or in an object store, behind one small interface.

A file is written whole or not at all on every back end, and an operation that a store refuses for a
moment is tried again. URLs are read and written only where the settings allow it
(`ANIMATOR_ALLOWED_URLS`, `ANIMATOR_STORAGE`): a manifest or a job that a stranger wrote must not
make a worker reach what only the worker can reach.
"""

from __future__ import annotations

import os
import posixpath
import random
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import fsspec

from animator.errors import AnimatorError
from animator.output_file import coded_errors, write_whole
from animator.settings import Settings
from animator.urls import check_name, check_url, plain_location
from animator.values import is_url

T = TypeVar("T")
TRIES = 6
"""How often an operation on a remote store is tried, over some ten seconds."""
_FIRST_WAIT = 0.2
_WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
"""Stores in which an object appears whole; in others a file is renamed when it is complete."""
_PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30}},
}


@dataclass(frozen=True)
class Info:
    """What a store says of a file."""

    size: int | None
    """Bytes; None if the store does not say."""
    version: str
    """Another text whenever the content is another, as far as the store can tell."""
    modified: float | None = None
    """When it was written, in seconds since 1970; None if the store does not say."""


class Storage:
    """The files under one folder or URL.

    Names are relative to it, with `/` between folders; one that would lead out of it is refused.
    Every method raises `AnimatorError` with `storage_unavailable` if a remote store keeps failing,
    and with `no_such_file`, `unreadable_file`, `output_not_writable` or `disk_full` as it fits.

    Attributes:
        url: of the folder: an absolute path, or a URL without a slash at its end.
        local: the folder, if it is on this machine; else None.
    """

    def __init__(self, url: str) -> None:
        """Use `Storage.open`, which checks that the URL is allowed."""
        self.url = url.rstrip("/") or "/"
        self.local = None if is_url(url) else Path(url)
        self._fs: Any = None
        self._root = url
        if self.local is None:
            self._scheme = urlsplit(url).scheme
            self._fs, self._root = _file_system(self.url)
            self._root = self._root.rstrip("/")

    @classmethod
    def open(cls, url: str, settings: Settings) -> Storage:
        """The files under a folder or URL.

        Args:
            url: an absolute path, or a URL such as `s3://bucket/folder` or `file:///folder`.
            settings: which URLs are allowed.

        Raises:
            AnimatorError: `url_refused`, `missing_package`, `invalid_option`.
        """
        url = plain_location(url)
        if is_url(url):
            check_url(url, settings)
        return cls(url)

    def location(self, name: str) -> str:
        """Where a file is: an absolute path or a URL.

        Raises:
            AnimatorError: `invalid_option` for a name that leads out of the folder.
        """
        check_name(name)
        return f"{self.url.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes:
        """The content of a file."""
        where = self.location(name)
        if self.local is not None:
            with _coded_reading(where):
                return Path(where).read_bytes()
        return bytes(self._try(where, lambda: self._fs.cat_file(self._remote(name))))

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """The bytes of a file from `start` to before `stop`."""
        where = self.location(name)
        if self.local is not None:
            with _coded_reading(where), open(where, "rb") as file:
                file.seek(start)
                return file.read(stop - start)
        remote = self._remote(name)
        return bytes(self._try(where, lambda: self._fs.cat_file(remote, start=start, end=stop)))

    def info(self, name: str) -> Info | None:
        """Size and version of a file; None if there is none."""
        where = self.location(name)
        if self.local is not None:
            return _local_info(where)
        try:
            found = self._try(where, lambda: self._fs.info(self._remote(name)))
        except AnimatorError as error:
            if error.code == "no_such_file":
                return None
            raise
        return _info(found)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return self.info(name) is not None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; folders are made."""
        where = self.location(name)
        if self.local is not None:
            _make_parent(Path(where))
            write_whole(where, content)
            return
        self._put(name, where, lambda target: self._fs.pipe_file(target, content), len(content))

    def put(self, name: str, path: Path) -> None:
        """Write a file with the content of a local one, whole or not at all."""
        where = self.location(name)
        if self.local is not None:
            _copy_whole(path, Path(where))
            return
        size = path.stat().st_size
        self._put(name, where, lambda target: self._fs.put_file(str(path), target), size)

    def get(self, name: str, path: Path) -> None:
        """Fetch a file; `path` is whole or not there. Its folder must exist."""
        where = self.location(name)
        if self.local is not None:
            with _coded_reading(where):
                _copy_whole(Path(where), path)
            return
        part = path.parent / f".{path.name[:40]}.{secrets.token_hex(4)}.part"

        def fetch() -> None:
            size = self._fs.info(self._remote(name)).get("size")
            self._fs.get_file(self._remote(name), str(part))
            if size is not None and part.stat().st_size != size:
                raise OSError(f"{part.stat().st_size} of {size} bytes came")

        try:
            self._try(where, fetch)
            with coded_errors(path):
                os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def names(self, folder: str = "") -> dict[str, int]:
        """Names and sizes of the files in a folder, without those in folders of it.

        Names are relative to this folder. A folder that is not there has no files; hidden files,
        which are not complete, are left out.
        """
        where = self.location(folder) if folder else self.url
        prefix = f"{folder}/" if folder else ""
        if self.local is not None:
            return {prefix + name: size for name, size in _local_files(where)}
        remote = self._remote(folder) if folder else self._root
        try:
            found = self._try(where, lambda: self._fs.ls(remote, detail=True, refresh=True))
        except AnimatorError as error:
            if error.code == "no_such_file":
                return {}
            raise
        files = {
            prefix + posixpath.basename(entry["name"]): entry.get("size") or 0
            for entry in found
            if entry["type"] == "file" and entry["name"] != remote
        }
        return {name: size for name, size in files.items() if not _hidden(name)}

    def delete(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there do not matter."""
        for name in names:
            where = self.location(name)
            if self.local is not None:
                with coded_errors(Path(where)):
                    Path(where).unlink(missing_ok=True)
                continue
            try:
                self._try(where, partial(self._fs.rm_file, self._remote(name)))
            except AnimatorError as error:
                if error.code != "no_such_file":
                    raise

    def remove_folder(self, folder: str) -> None:
        """Remove a folder if it is empty; object stores have none."""
        if self.local is not None:
            with suppress(OSError):
                os.rmdir(self.location(folder))

    def _remote(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _put(self, name: str, where: str, write: Callable[[str], object], size: int) -> None:
        target = self._remote(name)
        folder, _, last = target.rpartition("/")

        def put() -> None:
            if self._scheme in _WHOLE:
                write(target)
            else:
                self._fs.makedirs(folder, exist_ok=True)
                part = f"{folder}/.{last[:40]}.{secrets.token_hex(4)}.part"
                write(part)
                self._fs.mv(part, target)
            there = self._fs.info(target).get("size")
            if there is not None and there != size:
                raise OSError(f"{there} of {size} bytes arrived")

        self._try(where, put)

    def _try(self, where: str, operation: Callable[[], T]) -> T:
        """Try an operation on a remote store until it succeeds or has failed often enough."""
        for attempt in range(1, TRIES + 1):
            try:
                return operation()
            except _PERMANENT as error:
                raise _refused(where, error) from error
            except Exception as error:  # noqa: BLE001 - every back end has errors of its own
                if attempt == TRIES:
                    message = f"{where!r} cannot be reached: {_say(error)}."
                    raise AnimatorError("storage_unavailable", message, retryable=True) from error
            time.sleep(_FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1))
        raise AssertionError("the last try returns or raises")


def _file_system(url: str) -> tuple[Any, str]:
    scheme = urlsplit(url).scheme
    options = {} if scheme == "memory" else {"use_listings_cache": False}
    try:
        return fsspec.core.url_to_fs(url, **options, **_OPTIONS.get(scheme, {}))
    except ImportError as error:
        message = f"{scheme}:// needs a package that is not installed: {error}."
        raise AnimatorError("missing_package", message) from error
    except ValueError as error:
        raise AnimatorError("invalid_option", f"{url!r} cannot be used: {error}.") from error


def _local_info(where: str) -> Info | None:
    with _coded_reading(where), suppress(FileNotFoundError, NotADirectoryError):
        status = os.stat(where)
        version = f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
        return Info(status.st_size, version, status.st_mtime)
    return None


def _local_files(folder: str) -> Iterator[tuple[str, int]]:
    with _coded_reading(folder), suppress(FileNotFoundError, NotADirectoryError):
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file():
                    yield entry.name, entry.stat().st_size


def _info(found: dict[str, Any]) -> Info:
    times = (found.get(name) for name in ("LastModified", "mtime", "updated", "created"))
    modified: Any = next((time for time in times if time is not None), None)
    tag = found.get("ETag") or found.get("etag") or found.get("md5Hash") or modified
    seconds = modified.timestamp() if hasattr(modified, "timestamp") else modified
    return Info(
        found.get("size"),
        f"{found.get('size')}-{tag}",
        float(seconds) if isinstance(seconds, (int, float)) else None,
    )


@contextmanager
def _coded_reading(where: str) -> Iterator[None]:
    """Raise the coded error for what the system says while a local file is read."""
    try:
        yield
    except OSError as error:
        raise _refused(where, error) from error


def _refused(where: str, error: OSError) -> AnimatorError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return AnimatorError("no_such_file", f"There is no file {where!r}.")
    return AnimatorError("unreadable_file", f"{where!r} may not be used: {_say(error)}.")


def _say(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else type(error).__name__


def _hidden(name: str) -> bool:
    return posixpath.basename(name).startswith(".")


def _make_parent(path: Path) -> None:
    with coded_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a file under a temporary name and rename it."""
    _make_parent(target)
    part = target.parent / f".{target.name[:40]}.{secrets.token_hex(4)}.part"
    try:
        with coded_errors(target):
            with open(source, "rb") as content, open(part, "xb") as copy:
                shutil.copyfileobj(content, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
