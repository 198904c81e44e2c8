"""Local files: opened, hashed, and checked before work starts."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from animator.errors import AnimatorError
from animator.files.poses import ROW_MARK, file_of, is_row
from animator.files.sequence import files_of, is_sequence
from animator.files.urls import check_url
from animator.settings import DEFAULT_LIMITS, MediaLimits, Settings
from animator.values import Location


def quoted(path: str | os.PathLike[str]) -> str:
    """The path in quotes for a message: on one line and printable, whatever its bytes are."""
    return repr(os.fspath(path))


@contextmanager
def open_file(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> Iterator[io.FileIO]:
    """Open a regular local file for reading.

    Yields:
        An unbuffered file at position 0.

    Raises:
        AnimatorError: no_such_file, not_a_file, unreadable_file, too_large.
    """
    # O_NONBLOCK: opening a FIFO that nobody writes to would otherwise wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise AnimatorError("no_such_file", f"There is no file {quoted(path)}.") from None
    except PermissionError:
        message = f"{quoted(path)} may not be read by this user."
        raise AnimatorError("unreadable_file", message) from None
    except OSError as error:
        message = f"{quoted(path)} cannot be opened: {error.strerror}."
        raise AnimatorError("no_such_file", message) from None
    # Of the open file, since the name may be given to another one at any time.
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise AnimatorError("not_a_file", f"{quoted(path)} is {kind}.")
    with open(descriptor, "rb", buffering=0) as file:
        if status.st_size > limits.max_bytes:
            message = f"{quoted(path)} has {status.st_size} bytes; {limits.max_bytes} are allowed."
            raise AnimatorError("too_large", message)
        yield file


def content_hash(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> str:
    """The SHA-256 of a file's bytes as 64 hexadecimal digits; errors as in `open_file`.

    Of pictures that stand for a video, or of files of joints, it is that of the hashes of all, in
    their order; errors then also as in `animator.files.sequence.pictures_of`.
    """
    if is_sequence(path):
        hashes = (content_hash(file, limits) for file in files_of(path, limits))
        return hashlib.sha256("\n".join(("pictures", *hashes)).encode()).hexdigest()
    if is_row(path):
        row = os.fspath(path).partition(ROW_MARK)[2]
        text = f"row {row} of {content_hash(file_of(path), limits)}"
        return hashlib.sha256(text.encode()).hexdigest()
    with open_file(path, limits) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


OUTPUT_SUFFIXES = (".mp4", ".m4v", ".mov")
"""What a video of poses may be called: they are what players expect of the MP4 that is written."""
SHEET_SUFFIXES = (".png", ".jpg", ".jpeg")
"""What the sheet of `animator explain` may be called."""
_MAX_NAME = 200  # bytes; file systems allow 255, and a temporary name is a little longer


def check_suffix(output: str, suffixes: tuple[str, ...]) -> None:
    """Refuse an output whose name does not end in one of the suffixes.

    Raises:
        AnimatorError: `invalid_option`.
    """
    path = Path(output)
    if path.suffix.lower() not in suffixes:
        message = f"The output is {path.name!r}; its name must end in {', '.join(suffixes)}."
        raise AnimatorError("invalid_option", message)


def free_names(source: str, driving: str, folder: Path, suffix: str = ".mp4") -> Iterator[Path]:
    """Names in `folder` that no file has: `SOURCE--DRIVING.mp4`, then with -1, -2, ... added."""
    stem = f"{_short(Path(source).stem)}--{_short(Path(driving).stem)}"
    for number in itertools.count():
        path = folder / (f"{stem}-{number}{suffix}" if number else f"{stem}{suffix}")
        if not os.path.lexists(path):
            yield path


def _short(stem: str) -> str:
    # Cut by bytes; a character that was cut through is left out.
    encoded = os.fsencode(stem)
    if len(encoded) <= _MAX_NAME // 2:
        return stem
    return os.fsencode(stem)[: _MAX_NAME // 2].decode(errors="ignore")


def check_location(location: Location, settings: Settings) -> None:
    """Check an input as `check_input` does, or for a URL, whether it may be used.

    Raises:
        AnimatorError: as `check_input`, or `url_refused`.
    """
    if location.is_url:
        check_url(location, settings)
    else:
        check_input(location.plain, pictures=True)


def check_input(path: str, *, pictures: bool = False) -> None:
    """Check that a file is there, is a regular one and may be read.

    Args:
        path: of the file.
        pictures: whether a folder of pictures, or a pattern of their names, will do.

    Raises:
        AnimatorError: `no_such_file`, `not_a_file` or `unreadable_file`; for pictures, those of
            `animator.files.sequence.pictures_of`.
    """
    if pictures and is_sequence(path):
        check_input(str(files_of(path)[0]))
        return
    path = file_of(path)
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        raise AnimatorError("unreadable_file", f"{path!r} may not be read by this user.") from None
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise AnimatorError("no_such_file", f"There is no file {path!r}.") from None
        raise AnimatorError(
            "no_such_file", f"{path!r} cannot be opened: {error.strerror}."
        ) from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise AnimatorError("not_a_file", f"{path!r} is {what}.")
    if not os.access(path, os.R_OK):
        raise AnimatorError("unreadable_file", f"{path!r} may not be read by this user.")
