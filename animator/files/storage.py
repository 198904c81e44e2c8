"""Files by URL: a folder on this machine or in an object store, behind one small interface.

A file is written whole or not at all on every back end, and an operation that a store refuses for a
moment is tried again. URLs are read and written only where the settings allow it
(`ANIMATOR_ALLOWED_URLS`, `ANIMATOR_STORAGE`): a manifest or a job that a stranger wrote must not
make a worker reach what only the worker can reach.
"""

from __future__ import annotations

import os
import posixpath
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from animator.errors import AnimatorError
from animator.files.output import coded_errors, replacing, write_whole
from animator.files.private import private_folder
from animator.files.remote import file_system, refused, try_remote
from animator.files.urls import check_name, check_url
from animator.settings import Settings
from animator.values import is_url, plain_location

_WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
"""Stores in which an object appears whole; in others a file is renamed when it is complete."""
_PART_BYTES = 32 * 1024**2
"""Parts of a large upload, one of which is in memory."""
_PIECE_BYTES = 4 * 1024**2
"""What comes in one request at least, if the store can be asked for pieces."""
_AT_ONCE = 8
"""Files that are removed at the same time."""


@dataclass(frozen=True)
class Info:
    """What a store says of a file."""

    size: int | None
    """Bytes; None if the store does not say."""
    version: str
    """Another text whenever the content is another, as far as the store can tell; empty if it
    cannot."""
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

    def __init__(self, url: str, settings: Settings) -> None:
        """Use `Storage.open`, which checks that the URL is allowed."""
        self.url = url.rstrip("/") or "/"
        self.local = None if is_url(url) else Path(url)
        # What is kept in the state folder is nobody else's.
        self._private = self.local is not None and self.local.is_relative_to(settings.state_dir)
        self._fs: Any = None
        self._root = url
        if self.local is None:
            self._scheme = urlsplit(url).scheme
            self._fs, self._root = file_system(self.url, settings)
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
        return cls(url, settings)

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
            with coded_reading(where):
                return Path(where).read_bytes()
        return bytes(try_remote(where, lambda: self._fs.cat_file(self._remote(name))))

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """The bytes of a file from `start` to before `stop`."""
        where = self.location(name)
        if self.local is not None:
            with coded_reading(where), open(where, "rb") as file:
                file.seek(start)
                return file.read(stop - start)
        remote = self._remote(name)
        return bytes(try_remote(where, lambda: self._fs.cat_file(remote, start=start, end=stop)))

    def info(self, name: str) -> Info | None:
        """Size and version of a file; None if there is none."""
        where = self.location(name)
        if self.local is not None:
            return _local_info(where)
        try:
            found = try_remote(where, lambda: self._fs.info(self._remote(name)))
        except AnimatorError as error:
            if error.code == "no_such_file":
                return None
            raise
        return None if found.get("type") == "directory" else info_of(found)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return self.info(name) is not None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; folders are made."""
        where = self.location(name)
        if self.local is not None:
            self._make_parent(Path(where))
            write_whole(where, content, private=self._private)
            return
        options = self._upload_options()
        self._put(
            *(name, where, len(content)),
            lambda target: self._fs.pipe_file(target, content, **options),
        )

    def put(self, name: str, path: Path) -> None:
        """Write a file with the content of a local one, whole or not at all."""
        where = self.location(name)
        if self.local is not None:
            self._make_parent(Path(where))
            _copy_whole(path, Path(where), private=self._private)
            return
        with coded_reading(str(path)):
            size = path.stat().st_size
        options = self._upload_options()
        self._put(
            *(name, where, size),
            lambda target: self._fs.put_file(str(path), target, **options),
        )

    def get(self, name: str, path: Path) -> None:
        """Fetch a file; `path` is whole or not there. Its folder must exist."""
        where = self.location(name)
        if self.local is not None:
            _make_parent(path)
            _copy_whole(Path(where), path)
            return
        remote = self._remote(name)

        def fetch(part: Path) -> None:
            before = info_of(self._fs.info(remote))
            self._fs.get_file(remote, str(part))
            size = part.stat().st_size
            if before.size is not None and size != before.size:
                raise OSError(f"{size} of {before.size} bytes came")
            # Large files come in pieces, which would be of two files if it was replaced meanwhile.
            if size > _PIECE_BYTES and info_of(self._fs.info(remote)).version != before.version:
                raise OSError("it changed while it was fetched")

        with replacing(path) as part:
            try_remote(where, lambda: fetch(part))

    def names(self, folder: str = "") -> dict[str, int]:
        """Names and sizes of the files in a folder, without those in folders of it.

        Names are relative to this folder. A folder that is not there has no files; hidden files,
        which are not complete, are left out.
        """
        where = self.location(folder) if folder else self.url
        prefix = f"{folder}/" if folder else ""
        if self.local is not None:
            return {prefix + name: size for name, size in _local_files(where)}
        self._require_store(where)
        remote = self._remote(folder) if folder else self._root
        try:
            # fsspec answers out of its cache unless it is told to look again.
            found = try_remote(where, lambda: self._fs.ls(remote, detail=True, refresh=True))
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
        found = list(names)
        if self.local is not None:
            for name in found:
                path = Path(self.location(name))
                with coded_errors(path), suppress(NotADirectoryError):
                    path.unlink(missing_ok=True)
            return
        self._require_store(self.url)
        if len(found) == 1:
            self._delete(found[0])
        elif found:
            # One by one: not every store that speaks S3 can remove many at once.
            with ThreadPoolExecutor(min(_AT_ONCE, len(found))) as pool:
                list(pool.map(self._delete, found))

    def remove_folder(self, folder: str) -> None:
        """Remove a folder if it is empty; object stores have none."""
        if self.local is not None:
            with suppress(OSError):
                os.rmdir(self.location(folder))

    def close_folder(self, folder: str) -> None:
        """Make a folder that only this user may enter, if it is on this machine's file systems."""
        if self.local is not None:
            path = Path(self.location(folder))
            _make_parent(path)
            with coded_errors(path):
                private_folder(path)

    def _make_parent(self, path: Path) -> None:
        if not self._private:
            _make_parent(path)
            return
        with coded_errors(path):
            private_folder(path.parent)

    def _remote(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _delete(self, name: str) -> None:
        where, remote = self.location(name), self._remote(name)

        def remove() -> None:
            with suppress(FileNotFoundError):
                self._fs.rm_file(remote)

        try_remote(where, remove, writing=True)

    def _require_store(self, where: str) -> None:
        if self._scheme in ("http", "https"):
            message = f"{where!r} is on a web server: single files are read there, and no more."
            raise AnimatorError("output_not_writable", message)

    def _upload_options(self) -> dict[str, int]:
        """How a large file is cut up, where that can be said.

        Part after part: should one fail, none is on its way while the upload is given up, which
        would keep it, invisible but paid for.
        """
        if self._scheme not in ("s3", "s3a"):
            return {}
        return {"chunksize": _PART_BYTES, "max_concurrency": 1}

    def _put(self, name: str, where: str, size: int, write: Callable[[str], object]) -> None:
        self._require_store(where)
        target = self._remote(name)

        def put() -> None:
            if self._scheme in _WHOLE:
                write(target)
            else:
                self._write_and_rename(target, write)
            # A store may take an upload that broke off for a whole one.
            there = self._fs.info(target).get("size")
            if there is not None and there != size:
                raise OSError(f"{there} of {size} bytes arrived")

        try_remote(where, put, writing=True)

    def _write_and_rename(self, target: str, write: Callable[[str], object]) -> None:
        folder, _, last = target.rpartition("/")
        self._fs.makedirs(folder, exist_ok=True)
        # Hidden, so that `names` leaves it out.
        part = f"{folder}/.{last[:40]}.{secrets.token_hex(4)}.part"
        try:
            write(part)
            self._fs.mv(part, target)
        except BaseException:
            with suppress(Exception):
                self._fs.rm_file(part)
            raise


def _local_info(where: str) -> Info | None:
    with coded_reading(where), suppress(FileNotFoundError, NotADirectoryError):
        status = os.stat(where)
        if not stat.S_ISREG(status.st_mode):
            return None
        version = f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
        return Info(status.st_size, version, status.st_mtime)
    return None


def _local_files(folder: str) -> Iterator[tuple[str, int]]:
    with coded_reading(folder), suppress(FileNotFoundError, NotADirectoryError):
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file():
                    yield entry.name, entry.stat().st_size


def info_of(found: dict[str, Any]) -> Info:
    """What a file system of fsspec says of a file, in our terms."""
    # Every back end has names of its own for the same.
    times = (found.get(name) for name in ("LastModified", "mtime", "updated", "created"))
    modified: Any = next((time for time in times if time is not None), None)
    names = ("ETag", "etag", "md5Hash", "content_md5")
    tag = next((found[name] for name in names if found.get(name)), modified)
    seconds = modified.timestamp() if hasattr(modified, "timestamp") else modified
    return Info(
        found.get("size"),
        str(tag) if tag is not modified else f"{found.get('size')}-{tag}" if tag else "",
        float(seconds) if isinstance(seconds, (int, float)) else None,
    )


@contextmanager
def coded_reading(where: str) -> Iterator[None]:
    """Raise the coded error for what the system says while a local file is read."""
    try:
        yield
    except OSError as error:
        raise refused(where, error) from error


def _hidden(name: str) -> bool:
    return posixpath.basename(name).startswith(".")


def _make_parent(path: Path) -> None:
    with coded_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)


def _copy_whole(source: Path, target: Path, *, private: bool = False) -> None:
    """Copy a file under a temporary name and rename it."""
    with coded_reading(str(source)):
        content = open(source, "rb")
    with content:
        with replacing(target, private=private) as part, open(part, "wb") as copy:
            shutil.copyfileobj(content, copy, 1 << 20)
