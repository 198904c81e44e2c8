"""Manifests in Parquet: other types, and files that are made to do harm."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from animator.dataset.manifest.reader import RowDefaults, read_manifest
from animator.dataset.manifest.text import MAX_ROW
from animator.dataset.samples import Sample
from animator.errors import AnimatorError
from animator.settings import Settings
from tests.animator.dataset.manifests import (
    COLUMNS,
    ROWS,
    Read,
    Rows,
    as_parquet,
    codes,
)


def test_parquet_of_other_types(read: Read) -> None:
    def write(**columns: pa.Array) -> Rows:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink)
        return read(sink.getvalue().to_pybytes(), "rows.parquet")

    names = ["a", "b", None]
    source = pa.array(names)
    expected = write(source=source, driving=source)
    assert codes(expected) == ["", "", "bad_manifest"]
    for kind in (pa.large_string(), pa.binary(), pa.large_binary(), pa.string_view()):
        assert write(source=source.cast(kind), driving=source) == expected
    assert write(source=source.dictionary_encode(), driving=source) == expected
    seeds = pa.array([1.0, math.nan, None])
    assert [
        getattr(row, "seed", 0) for row in write(source=source, driving=source, seed=seeds)
    ] == [*(1, None, 0)]
    nothing = pa.nulls(3)
    assert codes(write(source=source, driving=source, id=nothing, start=nothing)) == codes(expected)
    broken = pa.array([b"\xff", b"ok", b"x" * (2 * MAX_ROW)])
    assert codes(write(source=broken, driving=pa.array(["d"] * 3))) == [
        *("bad_manifest", "", "row_too_large")
    ]
    assert codes(write(source=pa.array([1, 2, 3]), driving=source))[0] == "invalid_option"
    for column in (pa.array([["a"]] * 3), pa.array([{"x": 1}] * 3)):
        with pytest.raises(AnimatorError, match="is of type") as caught:
            write(source=column, driving=source)
        assert caught.value.code == "bad_manifest"


def test_parquet_that_unpacks_to_gigabytes(read: Read) -> None:
    """One cell of a megabyte that stands in twenty thousand rows."""
    table = pa.table(
        {"source": pa.array(["x" * MAX_ROW]).take(pa.array([0])), "driving": pa.array(["d"])}
    )
    indices = pa.array([0] * 20_000, pa.int32())
    table = pa.table(
        {
            "source": pa.DictionaryArray.from_arrays(indices, table["source"].chunk(0)),
            "driving": pa.DictionaryArray.from_arrays(indices, table["driving"].chunk(0)),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    rows = read(sink.getvalue().to_pybytes(), "rows.parquet")
    assert set(codes(rows)) == {"invalid_option"} and len(rows) == 20_000
    assert "characters are allowed" in rows[0].message  # type: ignore[union-attr]


def test_parquet_that_brings_its_reader_down(tmp_path: Path, limits: Settings) -> None:
    """Here it has not even the memory to begin, as with a file that unpacks to too much."""
    (tmp_path / "rows.parquet").write_bytes(as_parquet(ROWS))
    small = Settings(limits.state_dir, check_memory_mb=64)
    with pytest.raises(AnimatorError, match="the process that read it") as caught:
        read_manifest(str(tmp_path / "rows.parquet"), small, RowDefaults())
    assert caught.value.code == "bad_manifest"


def test_parquet_of_the_longest_cells_that_are_allowed(read: Read) -> None:
    row = {name: "\U0001f600" * 8192 for name in COLUMNS}
    assert codes(read(as_parquet([row] * 300), "rows.parquet")) == ["invalid_id"] * 300


def test_a_reader_that_is_left_ends(tmp_path: Path, limits: Settings) -> None:
    (tmp_path / "rows.parquet").write_bytes(as_parquet(ROWS * 5000))
    with read_manifest(str(tmp_path / "rows.parquet"), limits, RowDefaults()) as manifest:
        assert isinstance(next(manifest), Sample)
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        before = children.read_text().split()
    assert len(children.read_text().split()) == len(before) - 1


def test_damaged_parquet(read: Read) -> None:
    whole = as_parquet(ROWS * 200, row_group_size=100)
    for cut in (len(whole) // 2, len(whole) - 1, 8):
        with pytest.raises(AnimatorError) as caught:
            read(whole[:cut], "rows.parquet")
        assert caught.value.code == "bad_manifest"
