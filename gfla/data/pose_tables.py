"""Annotation files: where the joints of the persons in pictures are, and which pictures are pairs.

Two layouts of one table, separated by colons with JSON lists in the last two columns: the published
``name:keypoints_y:keypoints_x``, and ``path:frame:width:height:keypoints_y:keypoints_x``, which
also names frames of videos and the size of the picture. -1 is a joint that was not found. Pairs are
a CSV with the columns ``from,to``.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from gfla.errors import GflaError
from gfla.files import replacing, write_text
from gfla.joints import JOINTS, MISSING, Joints

SHORT = ("name", "keypoints_y", "keypoints_x")
"""Columns of the published layout."""
LONG = ("path", "frame", "width", "height", "keypoints_y", "keypoints_x")
"""Columns of the layout that names frames."""
PAIRS = ("from", "to")
SHOWN_SIZE = "shown-size.json"
"""File beside the tables with the height and width that pictures had before they were squeezed."""
MAX_COORDINATE = 1e6
Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Annotation:
    """One person in one picture.

    Attributes:
        name: of the picture, relative to the folder of pictures, with forward slashes.
        joints: 18 x 2 pixels (x, y), -1 where missing.
        frame: of a video, from 0.
        size: height and width of the picture, if the file says.
    """

    name: str
    joints: Joints
    frame: int = 0
    size: tuple[int, int] | None = None


def read_annotations(path: str | Path, skipped: list[str] | None = None) -> list[Annotation]:
    """Read an annotation file in either layout.

    Args:
        path: the file.
        skipped: a list that gets a sentence for every row that is broken, which is then left out;
            None for a reader that stops at the first.

    Raises:
        GflaError: ``invalid_data`` naming file and line if the file cannot be read, has no such
            header, or has a broken row: another number of columns or joints, no JSON lists, a
            number that is not finite, a name that leads out of the folder, a picture twice.
    """
    path = Path(path)
    # The header tells the layout.
    lines = _lines(path)
    columns = tuple(next(lines, (0, ""))[1].split(":"))
    if columns not in (SHORT, LONG):
        raise GflaError(
            "invalid_data",
            f"{path}, line 1: the columns are {':'.join(columns)!r}; allowed are "
            f"{':'.join(SHORT)!r} and {':'.join(LONG)!r}",
        )
    # Rows; a broken one is told with its number, or ends the reading.
    rows, known = [], set()
    for number, line in lines:
        if not line:
            continue
        try:
            row = _short_row(line) if columns == SHORT else _long_row(line)
            if (row.name, row.frame) in known:
                raise ValueError(f"{row.name!r}, frame {row.frame} is there twice")
        except (ValueError, RecursionError) as error:
            _refuse_line(path, number, error, skipped)
            continue
        known.add((row.name, row.frame))
        rows.append(row)
    return rows


def write_annotations(path: str | Path, rows: Iterable[Annotation]) -> None:
    """Write the published layout, whole or not at all; coordinates keep two decimals.

    Raises:
        GflaError: ``invalid_data`` for a name that the layout cannot hold.
    """
    lines = [":".join(SHORT)]
    for row in rows:
        _check_name(row.name, GflaError("invalid_data", f"{row.name!r} cannot be written"))
        # The published order: y before x.
        x, y = (json.dumps([_shortened(value) for value in row.joints[:, axis]]) for axis in (0, 1))
        lines.append(f"{row.name}:{y}:{x}")
    write_text(Path(path), "\n".join([*lines, ""]))


def read_pairs(path: str | Path, skipped: list[str] | None = None) -> list[Pair]:
    """Read the names of source and target of every pair.

    Args:
        path: the file.
        skipped: as in ``read_annotations``.

    Raises:
        GflaError: ``invalid_data`` naming file and line.
    """
    path = Path(path)
    # The header, then pairs; names are checked, as they become paths.
    table = csv.reader(line for _, line in _lines(path))
    pairs: list[Pair] = []
    try:
        columns = tuple(next(table, ()))
        if columns != PAIRS:
            raise GflaError(
                "invalid_data",
                f"{path}, line 1: the columns are {','.join(columns)!r}; allowed is 'from,to'",
            )
        for row in table:
            if not row:
                continue
            try:
                if len(row) != 2:
                    raise ValueError(f"2 columns are needed, got {len(row)}")
                pairs.append((checked_name(row[0]), checked_name(row[1])))
            except ValueError as error:
                _refuse_line(path, table.line_num, error, skipped)
    except csv.Error as error:
        raise GflaError("invalid_data", f"{path}, line {table.line_num}: {error}") from error
    return pairs


def write_pairs(path: str | Path, pairs: Iterable[Pair]) -> None:
    """Write pairs of source and target, whole or not at all."""
    with (
        replacing(Path(path)) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows([PAIRS, *pairs])


def checked_name(name: str) -> str:
    """The name of a picture, if it stays in its folder.

    Raises:
        ValueError: if it is empty, absolute, or has a part ``..``, a backslash or a zero byte.
    """
    _check_name(name, ValueError(f"{name!r} is not a name within the folder of pictures"))
    return name


def _check_name(name: str, error: Exception) -> None:
    parts = PurePosixPath(name).parts
    strange = any(char in name for char in "\\\0\r\n")
    if not parts or strange or name.startswith("/") or ".." in parts or name.strip() != name:
        raise error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers from 1, without their ends."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise GflaError("invalid_data", f"{path} cannot be read: {reason}") from error


def _short_row(line: str) -> Annotation:
    # From the right: a picture's own name may have colons.
    cells = line.rsplit(":", 2)
    if len(cells) != 3:
        raise ValueError(f"3 columns are needed, got {len(cells)}")
    return Annotation(checked_name(cells[0]), _joints(cells[1], cells[2]))


def _long_row(line: str) -> Annotation:
    cells = line.rsplit(":", 5)
    if len(cells) != 6:
        raise ValueError(f"6 columns are needed, got {len(cells)}")
    frame, width, height = (_whole(cell) for cell in cells[1:4])
    if min(width, height) < 1:
        raise ValueError(f"the picture has {width} x {height} pixels")
    return Annotation(checked_name(cells[0]), _joints(cells[4], cells[5]), frame, (height, width))


def _whole(cell: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) < 10):
        raise ValueError(f"{cell!r} is no whole number")
    return int(cell)


def _joints(y: str, x: str) -> Joints:
    axes = []
    for name, cell in (("keypoints_x", x), ("keypoints_y", y)):
        try:
            values = json.loads(cell)
        except ValueError as error:
            raise ValueError(f"{name} is no JSON list: {error}") from None
        if not isinstance(values, list) or len(values) != len(JOINTS):
            got = len(values) if isinstance(values, list) else type(values).__name__
            raise ValueError(f"{name} must be a list of {len(JOINTS)} numbers, got {got}")
        # By ``type``: JSON's true and false would pass for numbers.
        if not all(type(value) in (int, float) for value in values):
            raise ValueError(f"{name} must be numbers")
        # NaN, which Python's JSON reads, is not below anything either.
        if not all(abs(value) <= MAX_COORDINATE for value in values):
            raise ValueError(f"{name} has a number that is not finite or beyond any picture")
        axes.append(values)
    joints = np.array(axes, np.float64).T
    # One coordinate that is missing makes the joint useless; both then say so.
    return np.where((joints == MISSING).any(1, keepdims=True), MISSING, joints)


def _shortened(value: float) -> float | int:
    short = round(float(value), 2)
    return int(short) if math.isfinite(short) and short == int(short) else short


def _refuse_line(path: Path, number: int, error: Exception, skipped: list[str] | None) -> None:
    message = f"{path}, line {number}: {error}"
    if skipped is None:
        raise GflaError("invalid_data", message) from None
    skipped.append(message)
