"""The child of `animator.dataset.manifest.parquet`, which reads a manifest in Parquet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from animator.dataset.manifest.cells import MAX_CELL
from animator.dataset.manifest.text import MAX_ROW, Ignored, check_columns
from animator.errors import AnimatorError

MAX_CHUNK = 1 << 29
"""Most bytes that one column of one row group may have when it is unpacked."""
_BATCH = 256  # rows
_AT_ONCE = 64  # rows of a message, so that it is never longer than the parent allows
_BUFFER = 1 << 20  # bytes of a column that are read at once
_MAX_METADATA = 1 << 26
_DAMAGE = (pa.ArrowException, OSError, ValueError, LookupError, ArithmeticError, RecursionError)

Cell = str | int | float | bool | dict[str, str] | None
"""A cell; a dictionary has the code and the message of one that cannot be read."""


def send_rows(task: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> None:
    """Send the columns, then all rows, then that there are no more; or else an error.

    Args:
        task: `file` is the descriptor of the file.
        send: sends one message.
    """
    try:
        with open(task["file"], "rb", closefd=False) as file:
            for message in _messages(file):
                send(message)
    except AnimatorError as error:
        send({"error": error.message})
    except _DAMAGE as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        why = ascii(lines[0][:200].rstrip("."))[1:-1]
        send({"error": f"The manifest is not Parquet that can be read: {why}."})


def _messages(file: BinaryIO) -> Iterator[dict[str, Any]]:
    ignored = Ignored()
    table = _open(file, [])
    names = table.schema_arrow.names
    columns = {column: names[place] for column, place in check_columns(names, ignored).items()}
    texts = [name for name in columns.values() if _check_type(table.schema_arrow.field(name))]
    _check_sizes(table.metadata, set(columns.values()))
    yield {"columns": list(columns), "ignored": list(ignored.names)}
    file.seek(0)
    kept = list(columns.values())
    for batch in _open(file, texts).iter_batches(_BATCH, columns=kept, use_threads=False):
        cells = [_cells(batch.column(batch.schema.get_field_index(name))) for name in kept]
        rows = [_row(row) for row in zip(*cells, strict=True)]
        for begin in range(0, len(rows), _AT_ONCE):
            yield {"rows": rows[begin : begin + _AT_ONCE]}
    yield {"end": True}


def _open(file: BinaryIO, texts: list[str]) -> pq.ParquetFile:
    """The file; text is kept as a dictionary.

    A cell that stands in a million rows and takes no room in the file then takes none in memory.
    """
    return pq.ParquetFile(
        file,
        read_dictionary=texts,
        buffer_size=_BUFFER,
        thrift_string_size_limit=_MAX_METADATA,
        thrift_container_size_limit=_MAX_METADATA,
    )


def _check_type(field: pa.Field) -> bool:
    """Refuse columns of types that no cell may have; whether the column is text."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    texts = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
    )
    if any(test(kind) for test in texts):
        return True
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    if any(test(kind) for test in plain):
        return False
    message = f"Column {field.name!r} is of type {str(field.type)[:100]}; allowed is text."
    raise AnimatorError("bad_manifest", message)


def _check_sizes(metadata: pq.FileMetaData, names: set[str]) -> None:
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            size = max(chunk.total_uncompressed_size, chunk.total_compressed_size)
            if chunk.path_in_schema in names and size > MAX_CHUNK:
                message = (
                    f"Column {chunk.path_in_schema!r} has {size} bytes in one row group; "
                    f"{MAX_CHUNK} are allowed. Write the manifest with smaller row groups."
                )
                raise AnimatorError("bad_manifest", message)


def _row(cells: tuple[Cell, ...]) -> list[Cell] | dict[str, str]:
    """A row as it is sent; only the first of its broken cells, if it has any."""
    return next((cell for cell in cells if isinstance(cell, dict)), None) or list(cells)


def _cells(column: pa.Array) -> list[Cell]:
    """The cells of a batch; text that stands in many rows is one object."""
    if not pa.types.is_dictionary(column.type):
        return [_number(value) for value in column.to_pylist()]
    words: dict[int, Cell] = {}
    dictionary, cells = column.dictionary, list[Cell]()
    for place in column.indices.to_pylist():
        if place is not None and place not in words:
            words[place] = _word(dictionary[place])
        cells.append(None if place is None else words[place])
    return cells


def _number(value: Any) -> Cell:
    """A cell of a column that is not text; tables write NaN where there is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)  # JSON has neither
    return value


def _word(scalar: pa.Scalar) -> Cell:
    """A cell of a text column, if it is short enough and is text."""
    if not scalar.is_valid:
        return None
    if not hasattr(scalar, "as_buffer"):  # a dictionary of numbers
        return _number(scalar.as_py())
    buffer = scalar.as_buffer()
    if buffer is None:
        return None
    try:
        text = "" if buffer.size > MAX_ROW else bytes(buffer).decode()
    except UnicodeDecodeError:
        return {"code": "bad_manifest", "message": "The row has a cell that is not UTF-8."}
    if buffer.size > MAX_ROW or len(text) > MAX_CELL:
        code = "row_too_large" if buffer.size > MAX_ROW else "invalid_option"
        message = f"A cell has {buffer.size} bytes; {MAX_CELL} characters are allowed."
        return {"code": code, "message": message}
    return text
