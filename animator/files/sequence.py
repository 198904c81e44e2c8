"""Pictures one by one that stand for a video: a folder of them, or names with a number."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from animator.errors import AnimatorError
from animator.formats import PATTERN
from animator.settings import DEFAULT_LIMITS, MediaLimits

SUFFIXES = frozenset(
    ".png .jpg .jpeg .webp .avif .heic .heif .tif .tiff .bmp .jp2 .ppm .pgm .tga".split()
)
"""Names of files in a folder that count as pictures; all others are passed over."""
_NUMBERS = re.compile(r"(\d+)", re.ASCII)


def is_sequence(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder, or a pattern such as `name-%05d.png` that is no file."""
    text = os.fspath(path)
    if "\0" in text or not text:
        return False
    name = Path(text).name
    picture = Path(name).suffix.lower() in SUFFIXES and bool(PATTERN.search(name))
    return os.path.isdir(text) or (picture and not _exists(text))


def pictures_of(path: str | os.PathLike[str], limits: MediaLimits = DEFAULT_LIMITS) -> list[Path]:
    """The pictures of a sequence in their order.

    Those of a folder are ordered by their names, in which digits count as numbers; those of a
    pattern by their numbers, which follow one another.

    Raises:
        AnimatorError: no_frames if there is none, no_such_file for a number that is left out,
            too_long, unreadable_file.
    """
    folder, pattern = Path(path), None
    if not folder.is_dir():
        folder, pattern = folder.parent, name_expression(folder.name)
    found: list[tuple[list[tuple[int, str]], Path]] = []
    numbers: list[int] = []
    for name in _names(folder):
        if pattern is None:
            if Path(name).suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
        elif match := pattern.fullmatch(name):
            numbers.append(int(match[1]))
        else:
            continue
        found.append((_order(name), folder / name))
        if len(found) > limits.max_frames:
            message = f"{_quoted(path)} has more than {limits.max_frames} pictures."
            raise AnimatorError("too_long", message)
    if not found:
        raise AnimatorError("no_frames", f"{_quoted(path)} holds no picture.")
    _refuse_gaps(path, numbers)
    return [picture for _, picture in sorted(found)]


def files_of(path: str | os.PathLike[str], limits: MediaLimits = DEFAULT_LIMITS) -> list[Path]:
    """All files that a sequence may be read from: JSON files of joints, and its pictures.

    Raises:
        AnimatorError: as `pictures_of`.
    """
    poses = files_in(Path(path), (".json",)) if os.path.isdir(path) else []
    if len(poses) > limits.max_frames:
        message = f"{_quoted(path)} has more than {limits.max_frames} files of joints."
        raise AnimatorError("too_long", message)
    try:
        return poses + pictures_of(path, limits)
    except AnimatorError as error:
        if error.code == "no_frames" and poses:
            return poses
        raise


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a folder whose names end so, by their names, in which digits are numbers."""
    names = [name for name in _names(folder) if name.lower().endswith(suffixes)]
    return [folder / name for name in sorted(names, key=_order)]


def _refuse_gaps(path: str | os.PathLike[str], numbers: list[int]) -> None:
    for number, following in zip(sorted(numbers), sorted(numbers)[1:], strict=False):
        if following == number:
            message = f"{_quoted(path)} has the number {number} twice, written in two ways."
            raise AnimatorError("unreadable_video", message)
        if following > number + 1:
            message = (
                f"{_quoted(path)} lacks a picture: after number {number} comes {following}. "
                "Give the folder if the pictures follow one another all the same."
            )
            raise AnimatorError("no_such_file", message)


def _names(folder: Path) -> Iterator[str]:
    with _told(folder), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                yield entry.name


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        message = f"{_quoted(folder)} may not be read by this user."
        raise AnimatorError("unreadable_file", message) from None
    except OSError as error:
        message = f"{_quoted(folder)} cannot be read: {error.strerror}."
        raise AnimatorError("no_such_file", message) from None


def name_expression(name: str) -> re.Pattern[str]:
    """What the names of a pattern look like; the number is its group."""
    place = PATTERN.search(name)
    assert place is not None
    digits = rf"\d{{{place[1]},18}}" if place[1] else r"\d{1,18}"
    before, after = map(re.escape, (name[: place.start()], name[place.end() :]))
    return re.compile(f"{before}({digits}){after}", re.ASCII)


def _order(name: str) -> list[tuple[int, str]]:
    """A key that sorts `frame2` before `frame10`."""
    parts = _NUMBERS.split(name)
    return [(int(part[:18]), part) if part.isdigit() else (-1, part) for part in parts]


def _exists(text: str) -> bool:
    try:
        return os.path.lexists(text)
    except (OSError, ValueError):
        return False


def _quoted(path: str | os.PathLike[str]) -> str:
    return repr(os.fspath(path))
