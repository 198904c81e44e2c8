"""The sample portrait and driving video as uploads of whoever asks for them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

from animator.errors import AnimatorError
from animator.files.private import private_folder
from animator.sandbox import SandboxLimits, run_limited
from animator.web.files.folder import disk_errors
from animator.web.files.looking import TURNSTILE, in_a_thread_of_its_own
from animator.web.files.uploads import Upload, UploadStore

TARGET = "animator.samples.child:make"
NAMES = {"source": "sample portrait.png", "driving": "sample driving.mp4"}
_FILES = {"source": "source.png", "driving": "driving.mp4"}
_SECONDS = 180.0
_BATCH = 1 << 20


async def sample_uploads(store: UploadStore, owner: str) -> dict[str, Upload]:
    """Both files as uploads, by "source" and "driving"; they are made at the first time only.

    Raises:
        AnimatorError: `quota_exceeded`, `disk_full`, `storage_unavailable`, `too_many_requests`,
            `check_timeout`, `internal`.
    """
    return await in_a_thread_of_its_own(partial(_uploads, store, owner))


def _uploads(store: UploadStore, owner: str) -> dict[str, Upload]:
    folder = _made(store.server.folder)
    return {which: _upload(store, owner, which, folder / name) for which, name in _FILES.items()}


def _upload(store: UploadStore, owner: str, which: str, path: Path) -> Upload:
    incoming = store.begin(owner, NAMES[which])
    try:
        with disk_errors(), open(path, "rb") as file:
            while block := file.read(_BATCH):
                incoming.write(block)
        return incoming.finish()
    finally:
        incoming.abandon()


def _made(server_folder: Path) -> Path:
    """The folder with both files, which one of several servers makes."""
    folder = server_folder / "sample"
    if folder.is_dir():
        return folder
    with disk_errors():
        private_folder(server_folder)
        lock = os.open(server_folder / ".sample.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with TURNSTILE.turn():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _make(server_folder, folder)
    finally:
        os.close(lock)
    return folder


def _make(server_folder: Path, folder: Path) -> None:
    for left in server_folder.glob(".sample-*"):  # by a server that was killed
        shutil.rmtree(left, ignore_errors=True)
    with disk_errors():
        made = Path(tempfile.mkdtemp(prefix=".sample-", dir=server_folder))
    try:
        limits = SandboxLimits(_SECONDS, None)
        ended = run_limited(TARGET, {"folder": str(made)}, limits, trusted=True)
        if not ended.messages or not all((made / name).is_file() for name in _FILES.values()):
            code = "check_timeout" if ended.how == "timeout" else "internal"
            message = f"The process that makes the sample {ended.reason or 'made none'}."
            raise AnimatorError(code, message, retryable=True)
        with disk_errors():
            os.rename(made, folder)
    finally:
        with suppress(OSError):
            shutil.rmtree(made, ignore_errors=True)
