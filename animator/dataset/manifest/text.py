"""Rows of text manifests, read so that no row can take more memory than is allowed.

A manifest may come from anywhere. A row that cannot be read is handed on as `Broken`, and reading
goes on with the next one.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from animator.dataset.manifest.cells import known_column
from animator.dataset.samples import COLUMNS, NEEDED
from animator.errors import AnimatorError

MAX_ROW = 1 << 20
"""Most bytes of a row."""
_SKIP = 1 << 20
_BOM = b"\xef\xbb\xbf"
_MAX_NAMES = 20
_MAX_NAME = 50


@dataclass(frozen=True)
class Broken:
    """A row that could not be read.

    Attributes:
        code: one of `animator.errors.CODES`.
        message: a sentence for a person.
    """

    code: str
    message: str


Record = dict[str, object] | Broken
"""The cells of a row by the names of `COLUMNS`, or why there are none."""

_TOO_LARGE = Broken(
    "row_too_large",
    f"The row has more than {MAX_ROW} bytes, or a cell more than {csv.field_size_limit()} "
    "characters.",
)
_OPEN_QUOTE = Broken("bad_manifest", "A quote in the row is not closed.")


class Ignored:
    """Names of columns that mean nothing here; a bounded number of them."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Note a name, unless there are many already."""
        if len(self.names) <= _MAX_NAMES:
            self.names[name[:_MAX_NAME]] = None

    def notes(self) -> list[str]:
        """A sentence, if any was noted."""
        names = [repr(name) for name in self.names]
        if len(names) > _MAX_NAMES:
            names[_MAX_NAMES:] = ["..."]
        return [f"Columns that are ignored: {', '.join(names)}."] if names else []


def csv_records(file: BinaryIO, ignored: Ignored) -> Iterator[Record]:
    """Rows of a CSV file; its header is read at once.

    A cell in quotes may hold line breaks. Where a quote is not closed it would swallow rows up to
    the next one: then the line that it is in is one broken row, and each line after it, as far as
    they had been taken for a part of it, is a row by itself.

    Args:
        file: at its beginning.
        ignored: takes the names of columns that mean nothing.

    Raises:
        AnimatorError: `bad_manifest` if there is no header, or a column that is needed is not
            there, or one is there twice.
    """
    lines = _CountedLines(file)
    reader = csv.reader(lines)
    header = next((row for row in _rows(reader, lines) if row), None)
    if header is None:
        raise AnimatorError("bad_manifest", "The manifest is empty.")
    if isinstance(header, Broken):
        raise AnimatorError("bad_manifest", f"The header cannot be read: {header.message}")
    columns = check_columns(header, ignored)
    return _csv_records(reader, lines, len(header), columns)


def check_columns(names: Sequence[str], ignored: Ignored) -> dict[str, int]:
    """Where the columns are that mean something, by name.

    Raises:
        AnimatorError: `bad_manifest` if one is there twice, or one that is needed is not there.
    """
    columns: dict[str, int] = {}
    for place, name in enumerate(names):
        column = known_column(name)
        if column not in COLUMNS:
            ignored.add(name.strip())
        elif column in columns:
            raise AnimatorError("bad_manifest", f"The manifest has two columns {column!r}.")
        else:
            columns[column] = place
    if missing := [name for name in NEEDED if name not in columns]:
        there = ", ".join(repr(name[:_MAX_NAME]) for name in names[:_MAX_NAMES])
        message = f"The manifest has no column {' and no column '.join(missing)}; it has {there}."
        raise AnimatorError("bad_manifest", message)
    return columns


def jsonl_records(file: BinaryIO, ignored: Ignored) -> Iterator[Record]:
    """Rows of a file with one JSON object a line.

    Args:
        file: at its beginning.
        ignored: takes the names that mean nothing.
    """
    for line in _read_lines(file):
        if line is None:
            yield _TOO_LARGE
        elif not line.isspace():
            yield _json_record(line, ignored)


def _json_record(line: bytes, ignored: Ignored) -> Record:
    try:
        values = json.loads(line.decode())
    except UnicodeDecodeError:
        return Broken("bad_manifest", "The row is not UTF-8.")
    except ValueError as error:
        return Broken("bad_manifest", f"The row is not JSON: {error}.")
    except RecursionError:
        return Broken("bad_manifest", "The row is not JSON that can be read: it is nested deeply.")
    if not isinstance(values, dict):
        return Broken("bad_manifest", "The row is not a JSON object.")
    record: dict[str, object] = {}
    for name, value in values.items():
        column = known_column(name)
        if column not in COLUMNS:
            ignored.add(name)
        elif column in record:
            return Broken("bad_manifest", f"The row names {column} twice.")
        else:
            record[column] = value
    return record


class _Cut(Exception):
    """A row goes on where it may not."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(broken)
        self.broken = broken


class _CountedLines:
    """Lines for `csv.reader`, which takes as many as a row has.

    Attributes:
        taken: the lines of the present row; None stands for one that is too long.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.taken: list[str | None] = []
        self._fresh = _read_lines(file)
        self._again: deque[str | None] = deque()
        self._alone = False
        self._size = 0

    def begin(self) -> None:
        """A new row begins."""
        self.taken.clear()
        self._size = 0

    def give_back(self) -> None:
        """All lines of the present row but its first are read again, each as a row by itself."""
        self._again.extendleft(reversed(self.taken[1:]))

    def __iter__(self) -> _CountedLines:
        return self

    def __next__(self) -> str:
        if self.taken and self._alone:
            raise _Cut(_OPEN_QUOTE)
        line = self._next_line()
        self.taken.append(line)
        if line is None:
            raise _Cut(_TOO_LARGE)
        self._size += len(line)
        if self._size > MAX_ROW:
            raise _Cut(_TOO_LARGE)
        return line

    def _next_line(self) -> str | None:
        self._alone = bool(self._again)
        if self._again:
            return self._again.popleft()
        try:
            line = next(self._fresh)
        except StopIteration:
            if self.taken:
                raise _Cut(_OPEN_QUOTE) from None
            raise
        # Bytes that are no text matter only in columns that do; there they are refused.
        return None if line is None else line.decode(errors="surrogateescape")


def _rows(reader: Iterator[list[str]], lines: _CountedLines) -> Iterator[list[str] | Broken]:
    """The rows as lists of cells, those of blank lines included."""
    while True:
        lines.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except _Cut as cut:
            lines.give_back()
            yield cut.broken
        except csv.Error as error:
            lines.give_back()
            too_large = "field larger" in str(error)
            yield _TOO_LARGE if too_large else Broken("bad_manifest", f"No row of CSV: {error}.")
        else:
            yield row


def _csv_records(
    reader: Iterator[list[str]], lines: _CountedLines, width: int, columns: dict[str, int]
) -> Iterator[Record]:
    for row in _rows(reader, lines):
        if isinstance(row, Broken):
            yield row
        elif len(row) == width:
            record: dict[str, object] = {name: row[place] for name, place in columns.items()}
            if len(lines.taken) > 1 and any("\n" in row[place] for place in columns.values()):
                lines.give_back()
                yield _OPEN_QUOTE
            else:
                yield record
        elif row:
            if len(lines.taken) > 1:
                lines.give_back()
            message = f"The row has {len(row)} cells; the header has {width}."
            yield Broken("bad_manifest", message)


def _read_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """The lines, without a byte order mark; None for one that is too long, which is skipped."""
    first = True
    while line := file.readline(MAX_ROW + 1):
        if first:
            line, first = line.removeprefix(_BOM) or b"\n", False
        if len(line) > MAX_ROW and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(_SKIP)
            yield None
        else:
            yield line
