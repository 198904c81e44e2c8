"""An output file that appears whole under its name or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.files.private import ordinary_mode
from animator.formats import format_of
from gfla.files import DISK_FULL, sync_folder

_NUMBERED = re.compile(r"\d{5,}\.png", re.ASCII)  # what pictures in a folder are called


class OutputFile:
    """A temporary file in the output's folder, as libav writes it, until it is renamed.

    On its way it is for this user alone; under its name it has the mode of any new file. A failure
    is kept for `check` and not raised into libav, which would go on writing and meet it again and
    again.

    Args:
        output: the file to be; its folder must exist. A symbolic link is followed.
        private: whether it stays this user's alone.

    Raises:
        AnimatorError: output_exists_as_folder, output_not_writable, disk_full.
    """

    name = "output.mp4"  # for libav, which never opens a file itself; of no meaning

    def __init__(self, output: str | Path, *, private: bool = False) -> None:
        with coded_errors(Path(output)):
            if "\0" in os.fspath(output):
                raise OSError(errno.EINVAL, "the name has a zero byte")
            # A link stays one: what it points to is replaced.
            self.path = Path(os.path.realpath(output))
            _refuse_what_is_no_file(self.path)
            self._part = _part_of(self.path)
            self._file = open(self._part, "xb", buffering=0, opener=_open_private)
        self._private = private
        self._failure: OSError | None = None
        self._abandoned = False
        self.seek, self.tell = self._file.seek, self._file.tell

    def write(self, data: bytes) -> int:
        """Write at the current position; a failure shows in `check`."""
        # An unbuffered file may take less than it is given.
        left = memoryview(data)
        while left and self._failure is None and not self._abandoned:
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                self._failure = error
        return len(data)

    def reopened(self, url: str, flags: int, options: dict[str, str]) -> io.FileIO:
        """The file for reading: libav moves the index to its front at the end."""
        return io.FileIO(self._part, "rb")

    def check(self) -> None:
        """Raise the OSError that writing met, if it did."""
        if self._failure is not None:
            raise self._failure

    def publish(self) -> None:
        """Put the file on disk under its name.

        Raises:
            OSError: if that, or writing before, failed; the temporary file is still there.
        """
        self.check()
        if not self._private:
            _publish_mode(self._file.fileno())
        # First the content, then the name, then the folder that holds the name.
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self.path)
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Write nothing more from here on."""
        self._abandoned = True

    def remove(self) -> None:
        """Remove the temporary file."""
        self._file.close()
        with suppress(OSError):
            os.unlink(self._part)


def write_whole(output: str | Path, content: bytes, *, private: bool = False) -> None:
    """Write a file at once: whole, or not at all; a private one stays this user's alone.

    Raises:
        AnimatorError: output_exists_as_folder, output_not_writable, disk_full.
    """
    file = OutputFile(output, private=private)
    try:
        with coded_errors(Path(output)):
            file.write(content)
            file.publish()
    finally:
        file.remove()


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it takes its name when the block ends well.

    After an error nothing is left of it, and what was at `path` stays. The file is on disk before
    it takes the name. The folder must exist. Until then it is for this user alone, and a private
    one from then on, too.

    Raises:
        AnimatorError: output_not_writable, disk_full for what the system says, also in the block.
    """
    # Beside the file, since a rename cannot go to another file system.
    part = _part_of(path)
    try:
        with coded_errors(path):
            # It is there, and empty: whoever writes to it by its name leaves its mode.
            os.close(_open_private(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
            yield part
            with open(part, "rb+") as file:
                if not private:
                    _publish_mode(file.fileno())
                os.fsync(file.fileno())
            os.replace(part, path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            part.unlink()


def check_output(output: str | Path) -> None:
    """Find out whether the output could be created, before any work is done for it.

    Raises:
        AnimatorError: output_exists_as_folder, output_not_writable, disk_full.
    """
    OutputFile(output).remove()


def check_result(output: str) -> None:
    """Find out whether a job's result could be created, also where it is a folder of pictures.

    Raises:
        AnimatorError: as `check_output`.
    """
    kind = format_of(output)
    if kind is None or kind.kind != "pictures":
        check_output(output)
        return
    path = Path(output)
    if output.endswith("/"):
        refuse_other_files(path)
    check_output(path.parent / f".{secrets.token_hex(8)}.png")


def refuse_other_files(folder: Path) -> None:
    """Refuse a folder that holds anything but numbered pictures: it is not ours to replace.

    Raises:
        AnimatorError: output_exists_as_folder, output_not_writable.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        message = f"{quoted(folder)} cannot be written: {error.strerror or error}."
        raise AnimatorError("output_not_writable", message) from error
    for name in names:
        if not _NUMBERED.fullmatch(name):
            message = (
                f"{quoted(folder)} is a folder that holds {quoted(name)}; pictures go into a new "
                "one, or replace one that holds numbered pictures alone."
            )
            raise AnimatorError("output_exists_as_folder", message)


@contextmanager
def coded_errors(output: Path) -> Iterator[None]:
    """Raise the coded error for what libav or the system says while the output is written."""
    try:
        yield
    except Exception as error:
        coded = _coded(error, output)
        if coded is None:
            raise
        raise coded from error


def _coded(error: Exception, output: Path) -> AnimatorError | None:
    """The coded error for one that came while the output was written; None for any other."""
    # Not imported for this: what it has not been, has not raised anything.
    av: Any = sys.modules.get("av")
    if isinstance(error, MemoryError):
        message = f"Writing {quoted(output)} needs more memory than there is."
        return AnimatorError("out_of_memory", message, retryable=True)
    if av is not None and isinstance(error, av.codec.codec.UnknownCodecError):
        return AnimatorError("encoding_failed", f"There is no encoder {error}.")
    if av is not None and isinstance(error, av.FFmpegError):
        message = f"{quoted(output)} cannot be encoded: {error.strerror}."
        return AnimatorError("encoding_failed", message)
    if isinstance(error, OSError):
        code = "disk_full" if error.errno in DISK_FULL else "output_not_writable"
        message = f"{quoted(output)} cannot be written: {error.strerror or error}."
        return AnimatorError(code, message, retryable=code == "disk_full")
    return None


def _open_private(path: str | Path, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _publish_mode(descriptor: int) -> None:
    # Some file systems know no modes.
    with suppress(OSError):
        os.fchmod(descriptor, ordinary_mode())


def _part_of(path: Path) -> Path:
    """A temporary name: hidden, of its own for each call, and hardly longer than the file's."""
    return path.parent / f".{path.name[:40]}.{secrets.token_hex(4)}.part"


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # the name is free, or creating a file beside it says what is wrong
    if stat.S_ISDIR(mode):
        message = f"{quoted(path)} is a folder; give the name of a file in it."
        raise AnimatorError("output_exists_as_folder", message)
    if not stat.S_ISREG(mode):
        message = f"{quoted(path)} is not a regular file and is not replaced."
        raise AnimatorError("output_not_writable", message)
