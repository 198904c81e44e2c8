"""The table of a data set: one row a sample, in Parquet, of a shard and of the whole."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from animator.dataset.samples import COLUMNS, REALS, Sample, SampleOutcome

Row = dict[str, Any]
"""The columns of `SCHEMA` by name; a value that is not known is None."""

MEASURES = (
    "face_coverage", "landmark_error", "identity", "sharpness", "jitter",
    "mouth_opening", "eyes_opening",
)  # fmt: skip
"""Columns of the quality measures, as `animator.animation.faces.quality` names them."""


def _type_of(column: str) -> pa.DataType:
    if column == "seed":
        return pa.int64()
    return pa.float64() if column in REALS else pa.string()


_STAGES = ("load", "landmarks", "generate", "measure", "extras")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("number", pa.int64()),  # in the plan, from 0
        ("row", pa.int64()),  # of the manifest, from 1
        ("shard", pa.int32()),
        ("state", pa.string()),  # succeeded, failed, rejected
        ("code", pa.string()),  # why it failed or was rejected
        ("reason", pa.string()),
        *((name, _type_of(name)) for name in COLUMNS[1:]),
        ("source_sha256", pa.string()),
        ("driving_sha256", pa.string()),
        ("weights_sha256", pa.string()),
        ("frames", pa.int64()),
        ("bytes", pa.int64()),  # of the video
        ("seconds", pa.float64()),  # of work
        *((f"{stage}_seconds", pa.float64()) for stage in _STAGES),
        ("resumed", pa.int64()),  # frames
        ("attempts", pa.int64()),
        ("landmarks_cached", pa.bool_()),  # whether another sample had those of the driving video
        *((name, pa.float64()) for name in MEASURES),
        ("warnings", pa.list_(pa.string())),
        ("file", pa.string()),  # in the run's folder: the video, or the tar that holds it
        ("offset", pa.int64()),  # of the video in the tar
    ]
)


def make_row(
    sample: Sample,
    number: int,
    shard: int,
    outcome: SampleOutcome,
    *,
    file: str | None = None,
    size: int | None = None,
    offset: int | None = None,
) -> Row:
    """The row of a sample that has ended.

    Args:
        sample: the sample.
        number: its place in the plan.
        shard: which shard it belongs to.
        outcome: what came of it.
        file: name of the video, or of the tar that holds it, in the run's folder.
        size: bytes of the video.
        offset: of the video in the tar.
    """
    result, error = outcome.result, outcome.error
    hashes, timings = result.get("hashes", {}), result.get("timings", {})
    quality = result.get("quality", {})
    row: Row = {
        "number": number,
        "shard": shard,
        "state": outcome.state,
        "code": error.code if error else None,
        "reason": error.message if error else None,
        **{f"{name}_sha256": hashes.get(name) for name in ("source", "driving", "weights")},
        "frames": result.get("frames"),
        "bytes": size,
        "seconds": result.get("seconds"),
        **{f"{stage}_seconds": timings.get(stage) for stage in _STAGES},
        "resumed": result.get("resumed"),
        "attempts": outcome.attempts,
        "landmarks_cached": "driving" in result.get("cached", ()) if result else None,
        **{name: quality.get(name) for name in MEASURES},
        "warnings": list(result.get("warnings", ())),
        "file": file,
        "offset": offset,
    }
    return {name: row.get(name, getattr(sample, name, None)) for name in SCHEMA.names}


def write_rows(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()


def read_table(content: bytes) -> pa.Table:
    """The rows of such a file as a table; measures that it is too old to have are null.

    Raises:
        ValueError: if it is no Parquet file; `pyarrow.ArrowInvalid` is one.
    """
    return pq.read_table(pa.BufferReader(content), schema=SCHEMA)
