"""Uploads: files that callers have sent, looked at before anything else reads them.

Each has a folder of its own, `uploads/ID/`, with the file under a name of the server's, a
thumbnail, and `about.json`, which is written last: an upload exists once it has that. A file that
is on its way has `incoming.json` instead, which tells whose it is and which process receives it, so
that what a killed server leaves is found. Several servers may share the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from animator.errors import AnimatorError
from animator.files.private import private_folder
from animator.settings import Settings
from animator.web.files.folder import disk_errors, folders_in, open_private, write_private
from animator.web.files.looking import Looked, look_at
from animator.web.files.media_types import MEDIA_TYPES
from animator.web.files.names import clean_name, is_id, new_id
from animator.web.files.upload_files import (
    ABOUT,
    INCOMING,
    PART,
    THUMBNAIL,
    Upload,
    began,
    idle_seconds,
    read_object,
    read_upload,
    remove_if_left,
)
from animator.web.settings import ServerSettings
from gfla.files import sync_folder

__all__ = ["Incoming", "Upload", "UploadStore"]

_DAY = 24 * 3600
MOST_UPLOADS = 10_000
"""How many uploads an owner may have, however small they are."""
_COUNT_SECONDS = 2.0  # for how long a count of what an owner has is believed
_SYNC_BYTES = 64 * 1024**2  # after which written data goes to the disk, so that the end is quick


class UploadStore:
    """The uploads in the server's folder.

    Args:
        settings: of the process, for the look at each file.
        server: where the folder is, and how much is taken.
        look: looks at a file; see `animator.web.files.looking.look_at`.

    Raises:
        AnimatorError: `storage_unavailable`, `disk_full`.
    """

    def __init__(
        self,
        settings: Settings,
        server: ServerSettings,
        look: Callable[[Path, Settings], Looked] = look_at,
    ) -> None:
        self.settings, self.server, self.look = settings, server, look
        self.root = server.folder / "uploads"
        for folder in (server.folder, self.root):
            with disk_errors():
                private_folder(folder)
        self._known: dict[str, Upload] = {}
        self._lock = threading.Lock()
        self._arriving: dict[str, int] = {}  # bytes by owner, of this store
        self._own: set[str] = set()  # ids of what arrives here
        self._counted: dict[str, tuple[float, int]] = {}  # when, and bytes that an owner has

    def begin(self, owner: str, shown_name: str) -> Incoming:
        """Make room for a file that is to come; what is returned is finished or abandoned.

        Raises:
            AnimatorError: `quota_exceeded`, `disk_full`, `storage_unavailable`.
        """
        self.check_quota(owner, 1)
        return Incoming(self, owner, clean_name(shown_name))

    def get(self, file_id: str, may_see: Callable[[str], bool] = lambda owner: True) -> Upload:
        """An upload.

        Args:
            file_id: its id; any text.
            may_see: tells of an owner whether what is theirs may be seen.

        Raises:
            AnimatorError: `no_such_upload`, also where it may not be seen.
        """
        upload = self._read(file_id) if is_id(file_id) else None
        if upload is None or not may_see(upload.owner):
            shown = repr(file_id) if is_id(file_id) else "this"
            raise AnimatorError("no_such_upload", f"No uploaded file has {shown} as its id.")
        return upload

    def list(
        self,
        may_see: Callable[[str], bool] = lambda owner: True,
        *,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[Upload]:
        """Uploads, the newest first.

        Args:
            may_see: tells of an owner whether what is theirs may be seen.
            before: only those that are older than the upload of this id, which may be gone.
            limit: at most so many.
        """
        found = []
        for file_id in sorted(self._ids(), reverse=True):
            if before is not None and file_id >= before:
                continue
            upload = self._read(file_id)
            if upload is not None and may_see(upload.owner):
                found.append(upload)
                if len(found) == limit:
                    break
        return found

    def touch(self, file_id: str) -> None:
        """Note that an upload is used, which keeps it from being expired."""
        if is_id(file_id):
            with suppress(OSError):
                os.utime(self.root / file_id / ABOUT)

    def remove(self, file_id: str) -> None:
        """Remove an upload; one that is not there is none."""
        if not is_id(file_id):
            return
        folder = self.root / file_id
        with suppress(OSError):
            # From here on it does not exist, whatever becomes of the rest.
            (folder / ABOUT).unlink()
        self._forget(file_id)
        shutil.rmtree(folder, ignore_errors=True)

    def expires(self, upload: Upload) -> datetime:
        """When an upload is removed if it is not used until then."""
        try:
            used = os.stat(upload.path.with_name(ABOUT)).st_mtime
        except OSError:
            used = time.time()
        return datetime.fromtimestamp(used + self.server.upload_days * _DAY, UTC)

    def sweep(self, in_use: Iterable[str | Path]) -> int:
        """Remove what was not used for long, and half uploads that nobody goes on with.

        Args:
            in_use: paths of the inputs of jobs that wait or run, which stay.

        Returns:
            How many were removed.
        """
        removed = 0
        used = {Path(path).parent.name for path in in_use}
        for file_id in self._ids():
            folder = self.root / file_id
            if not os.path.lexists(folder / ABOUT):
                removed += remove_if_left(folder)
            elif file_id not in used and idle_seconds(folder) > self.server.upload_days * _DAY:
                self.remove(file_id)
                removed += 1
        return removed

    def check_quota(self, owner: str, more: int) -> None:
        """Refuse what is more than an owner may have.

        Raises:
            AnimatorError: `quota_exceeded`.
        """
        with self._lock:
            when, stored = self._counted.get(owner, (0.0, 0))
            arriving = self._arriving.get(owner, 0)
        if time.monotonic() - when > _COUNT_SECONDS or not when:
            stored = self._stored(owner)
            with self._lock:
                self._counted[owner] = (time.monotonic(), stored)
        if stored + arriving + more > self.server.quota_bytes:
            message = (
                f"Your files may take {self.server.quota_bytes:,} bytes here; remove some that you "
                "no longer need."
            )
            raise AnimatorError("quota_exceeded", message)

    def arriving(self, owner: str, file_id: str, size: int) -> None:
        """Count bytes of a file that arrive."""
        with self._lock:
            self._own.add(file_id)
            self._arriving[owner] = self._arriving.get(owner, 0) + size

    def arrived(self, owner: str, file_id: str, size: int) -> None:
        """Count a file no longer as one that arrives: it is there, or given up."""
        with self._lock:
            self._own.discard(file_id)
            self._counted.pop(owner, None)
            self._arriving[owner] = self._arriving.get(owner, 0) - size
            if self._arriving[owner] <= 0:
                del self._arriving[owner]

    def same(self, owner: str, sha256: str) -> Upload | None:
        """An upload of an owner with this content."""
        for upload in self._known_uploads():
            if upload.owner == owner and upload.sha256 == sha256:
                self.touch(upload.id)
                return self._read(upload.id)
        return None

    def _known_uploads(self) -> Sequence[Upload]:
        return [one for one in map(self._read, self._ids()) if one is not None]

    def _stored(self, owner: str) -> int:
        """Bytes of an owner, with those that other servers receive at this moment.

        Raises:
            AnimatorError: `quota_exceeded` if they are too many files.
        """
        total = files = 0
        for file_id in self._ids():
            upload = self._read(file_id)
            if upload is not None:
                if upload.owner == owner:
                    total, files = total + upload.bytes, files + 1
                continue
            about = read_object(self.root / file_id / INCOMING)
            if about.get("owner") == owner and file_id not in self._own:
                with suppress(OSError):
                    total += os.stat(self.root / file_id / PART).st_size
        if files >= MOST_UPLOADS:
            message = f"You have {files:,} files here; remove some that you no longer need."
            raise AnimatorError("quota_exceeded", message)
        return total

    def _ids(self) -> Sequence[str]:
        ids = [entry.name for entry in folders_in(self.root) if is_id(entry.name)]
        if len(self._known) > len(ids):
            for gone in self._known.keys() - set(ids):
                self._forget(gone)
        return ids

    def _forget(self, file_id: str) -> None:
        with self._lock:
            gone = self._known.pop(file_id, None)
            if gone is not None:
                self._counted.pop(gone.owner, None)

    def _read(self, file_id: str) -> Upload | None:
        """An upload that exists; what was read of it once is kept, as it never changes."""
        folder = self.root / file_id
        known = self._known.get(file_id)
        if known is not None:
            if os.path.lexists(folder / ABOUT):
                return known
            self._forget(file_id)
            return None
        upload = read_upload(folder, read_object(folder / ABOUT))
        if upload is not None:
            with self._lock:
                self._known[file_id] = upload
        return upload


class Incoming:
    """A file on its way: it is written, then finished or abandoned.

    Args:
        store: where it goes.
        owner: whose it is.
        name: what it is called, for people.

    Attributes:
        id: that of the upload to be.
        owner: whose it is.
        size: bytes so far.

    Raises:
        AnimatorError: `disk_full`, `storage_unavailable`.
    """

    def __init__(self, store: UploadStore, owner: str, name: str) -> None:
        self._store, self.owner, self._name = store, owner, name
        self.size = self._unsynced = 0
        self._hash = hashlib.sha256()
        self._ended = False
        self.id = new_id()
        self._folder = store.root / self.id
        with disk_errors():
            self._folder.mkdir(mode=0o700)
        try:
            about = {"owner": owner, "pid": os.getpid(), "began": began(os.getpid())}
            write_private(self._folder / INCOMING, json.dumps(about).encode())
            with disk_errors():
                self._file = open(self._folder / PART, "xb", buffering=0, opener=open_private)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; after an error the file is abandoned.

        Raises:
            AnimatorError: `upload_too_large`, `quota_exceeded`, `disk_full`, `storage_unavailable`.
        """
        if self._ended:
            raise AnimatorError("bad_request", "The upload was given up.")
        try:
            most = self._store.server.max_upload_bytes
            if self.size + len(data) > most:
                message = f"The file has more than {most} bytes."
                raise AnimatorError("upload_too_large", message)
            self._store.check_quota(self.owner, len(data))
            self._store.arriving(self.owner, self.id, len(data))
            self.size += len(data)
            with disk_errors():
                left = memoryview(data)
                while left:
                    left = left[self._file.write(left) :]
                self._unsynced += len(data)
                if self._unsynced >= _SYNC_BYTES:
                    os.fdatasync(self._file.fileno())
                    self._unsynced = 0
        except BaseException:
            self.abandon()
            raise
        self._hash.update(data)

    def finish(self) -> Upload:
        """Look at the file, and make it an upload; whatever is refused is removed.

        Takes seconds. The same content of the same owner is the upload that is there already.

        Raises:
            AnimatorError: those of `animator.web.files.looking.look_at`, `disk_full`,
                `storage_unavailable`.
        """
        if self._ended:
            raise AnimatorError("bad_request", "The upload was given up.")
        try:
            sha256 = self._hash.hexdigest()
            if (earlier := self._store.same(self.owner, sha256)) is not None:
                return earlier
            with disk_errors():
                os.fsync(self._file.fileno())
                os.utime(self._folder / INCOMING)  # nobody has given it up while it is looked at
            looked = self._store.look(self._folder / PART, self._store.settings)
            return self._publish(sha256, looked)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give up what was not finished; more than once is once."""
        if self._ended:
            return
        self._ended = True
        with suppress(OSError):
            self._file.close()
        if not os.path.lexists(self._folder / ABOUT):
            shutil.rmtree(self._folder, ignore_errors=True)
        self._store.arrived(self.owner, self.id, self.size)

    def _publish(self, sha256: str, looked: Looked) -> Upload:
        """Give the file its name, then write what makes it an upload."""
        folder, facts = self._folder, looked.facts
        path = folder / f"file{MEDIA_TYPES[facts.format].suffix}"
        about = {
            "id": self.id,
            "owner": self.owner,
            "name": self._name,
            "sha256": sha256,
            "bytes": self.size,
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "facts": asdict(facts),
        }
        write_private(folder / THUMBNAIL, looked.thumbnail)
        with disk_errors():
            os.rename(folder / PART, path)
            sync_folder(folder)
        write_private(folder / ABOUT, json.dumps(about).encode())
        with disk_errors():
            (folder / INCOMING).unlink()
        sync_folder(self._store.root)
        return self._store.get(self.id)
