"""Files that appear when they are whole, so that a killed run leaves no half ones."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from gfla.errors import GflaError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The system's numbers for a disk, quota or file size that does not suffice."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes its name when the block ends well.

    After an error nothing is left of it, and what was at ``path`` stays. Temporary files are hidden
    and end in ``.part``; those of a killed run are overwritten by the next. The file is on disk
    before it takes the name.

    Raises:
        GflaError: ``disk_full``, or ``not_writable`` for whatever else the system says.
    """
    partial = path.with_name(f".{path.name}.part")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            # First the content, then the name, then the folder that holds the name.
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
            sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise the coded error for what the system says while ``path`` is written.

    Raises:
        GflaError: ``disk_full``, ``not_writable``.
    """
    try:
        yield
    # Raised within the block by somebody else, with a code of its own.
    except GflaError:
        raise
    except Exception as error:
        cause = _system_error(error)
        if cause is None:
            raise
        code = "disk_full" if cause.errno in DISK_FULL else "not_writable"
        message = f"{path} cannot be written: {cause.strerror or cause}"
        raise GflaError(code, message) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as one step; raises as ``replacing``."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as one step; raises as ``replacing``."""
    write_bytes(path, text.encode())


def sync_folder(folder: Path) -> None:
    """Make the new name durable; some file systems cannot, and then it is not our failure."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _system_error(error: BaseException | None) -> OSError | None:
    """The system's own error behind one: libraries raise theirs on top of it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None
