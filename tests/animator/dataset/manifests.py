"""Manifests of one content in all formats."""

from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from animator.dataset.samples import Fault, Sample

Rows = list[Sample | Fault]
Read = Callable[..., Rows]
ROWS: list[dict[str, object]] = [
    {"id": "one", "source": "a.png", "driving": "/abs/d.mp4", "seed": 7, "caption": "smiles"},
    {"source": "sub/../b.png", "driving": "file:///abs/e%20f.mp4", "start": "1:02.5", "end": "63"},
    {"source": "s3://bucket/ok/c.png", "driving": "d.mp4", "weights": "w/x.safetensors"},
    {"source": "a.png", "driving": "d.mp4", "motion": "absolute", "output_mode": "side-by-side"},
    {"source": "a.png", "driving": "d.mp4", "priority": "low", "weights": "paper-face"},
]
COLUMNS = [
    *("id", "source", "driving", "start", "end", "seed"),
    *("weights", "motion", "output_mode", "priority", "caption"),
]


def as_csv(rows: list[dict[str, object]]) -> str:
    lines = [",".join(COLUMNS)]
    lines += [",".join(str(row.get(name, "")) for name in COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


def as_jsonl(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_parquet(rows: list[dict[str, object]], **options) -> bytes:
    sink = pa.BufferOutputStream()
    table = {name: [row.get(name) for row in rows] for name in COLUMNS}
    pq.write_table(pa.table(table), sink, **options)
    return sink.getvalue().to_pybytes()


def codes(rows: Rows) -> list[str]:
    return [row.code if isinstance(row, Fault) else "" for row in rows]
