"""Rows of a manifest in Parquet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from animator.dataset.records import MAX_ROW, Broken, Ignored, Record, check_columns
from animator.errors import AnimatorError

MAX_CHUNK = 1 << 29
"""Most bytes that one column of one row group may have when it is unpacked."""
_BATCH = 1024
_BUFFER = 1 << 20  # bytes of a column that are read at once
_MAX_METADATA = 1 << 26
_NOT_TEXT = "The row has a cell that is not UTF-8."


def parquet_records(file: BinaryIO, ignored: Ignored) -> Iterator[Record]:
    """Rows of a Parquet file, of the columns that mean something; its footer is read at once.

    Text is kept as a dictionary while it is read: a cell that stands in a million rows and takes
    no room in the file takes none in memory.

    Args:
        file: a file that can seek.
        ignored: takes the names of columns that mean nothing.

    Raises:
        AnimatorError: `bad_manifest` for a file that is damaged, of other columns or types, or has
            row groups that are too large; while rows are read, too.
    """
    table = _open(file, [])
    names = table.schema_arrow.names
    columns = {column: names[place] for column, place in check_columns(names, ignored).items()}
    texts = [name for name in columns.values() if _check_type(table.schema_arrow.field(name))]
    _check_sizes(table.metadata, set(columns.values()))
    file.seek(0)
    return _records(_open(file, texts), columns)


def _open(file: BinaryIO, texts: list[str]) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            file,
            read_dictionary=texts,
            buffer_size=_BUFFER,
            thrift_string_size_limit=_MAX_METADATA,
            thrift_container_size_limit=_MAX_METADATA,
        )
    except (pa.ArrowException, OSError, ValueError, KeyError, RecursionError) as error:
        raise _damaged(error) from error


def _damaged(error: BaseException) -> AnimatorError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    message = f"The manifest is not Parquet that can be read: {lines[0][:200].rstrip('.')}."
    return AnimatorError("bad_manifest", message)


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


def _records(table: pq.ParquetFile, columns: dict[str, str]) -> Iterator[Record]:
    kept = list(columns.values())
    try:
        for batch in table.iter_batches(_BATCH, columns=kept, use_threads=False):
            cells = [_cells(batch.column(batch.schema.get_field_index(name))) for name in kept]
            for row in zip(*cells, strict=True):
                broken = next((cell for cell in row if isinstance(cell, Broken)), None)
                yield broken or dict(zip(columns, row, strict=True))
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise _damaged(error) from error


def _cells(column: pa.Array) -> list[object]:
    """The cells of a batch; text that stands in many rows is one object."""
    if not pa.types.is_dictionary(column.type):
        return [_number(value) for value in column.to_pylist()]
    words: dict[int, object] = {}
    dictionary, cells = column.dictionary, []
    for place in column.indices.to_pylist():
        if place is not None and place not in words:
            words[place] = _word(dictionary[place])
        cells.append(None if place is None else words[place])
    return cells


def _number(value: object) -> object:
    """A cell of a column that is not text; tables write NaN where there is none."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _word(scalar: pa.Scalar) -> object:
    """A cell of a text column, if it is short enough and is text."""
    if not scalar.is_valid:
        return None
    if not hasattr(scalar, "as_buffer"):  # a dictionary of numbers
        return _number(scalar.as_py())
    buffer = scalar.as_buffer()
    if buffer is None:
        return None
    if buffer.size > MAX_ROW:
        return Broken("row_too_large", f"The row has a cell of more than {MAX_ROW} bytes.")
    try:
        return bytes(buffer).decode()
    except UnicodeDecodeError:
        return Broken("bad_manifest", _NOT_TEXT)
