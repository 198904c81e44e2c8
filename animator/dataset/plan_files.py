"""The files of a plan: `plan.parquet` and `faults.jsonl`, in the folder of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from animator.dataset.plan import Plan
from animator.dataset.samples import Fault, Sample
from animator.errors import AnimatorError
from animator.storage import Storage

PLAN_FILE, FAULTS_FILE = "plan.parquet", "faults.jsonl"
_NUMBERS = ("row", "seed")
_NAMES = tuple(item.name for item in fields(Sample))
_WORDS = [name for name in _NAMES if name not in ("id", *_NUMBERS)]
"""Columns in which texts stand again and again; ids are all different."""
_SCHEMA = pa.schema([(name, pa.int64() if name in _NUMBERS else pa.string()) for name in _NAMES])
_GROUP = 20_000  # rows that are turned into columns at once
_BATCH = 4096
T = TypeVar("T")


def write_plan(plan: Plan, storage: Storage) -> None:
    """Write both files; the plan, which names the other, last.

    Raises:
        AnimatorError: as `Storage.write`.
    """
    faults = b"".join(json.dumps(asdict(fault)).encode() + b"\n" for fault in plan.faults)
    notes = {
        "fingerprint": plan.fingerprint,
        "faults_sha256": hashlib.sha256(faults).hexdigest(),
        "older": str(plan.older),
    }
    buffer, schema = pa.BufferOutputStream(), _SCHEMA.with_metadata(notes)
    with pq.ParquetWriter(buffer, schema, compression="zstd", use_dictionary=_WORDS) as writer:
        for group in _groups(plan.samples, _GROUP):
            columns = [
                pa.array([getattr(sample, item.name) for sample in group], item.type)
                for item in schema
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    storage.write(FAULTS_FILE, faults)
    storage.write(PLAN_FILE, buffer.getvalue().to_pybytes())


def read_plan(storage: Storage) -> Plan:
    """The plan that was written.

    Raises:
        AnimatorError: `no_such_file`, `bad_data`, and those of `Storage.read`.
    """
    content, faults = storage.read(PLAN_FILE), storage.read(FAULTS_FILE)
    try:
        table = pq.ParquetFile(pa.BufferReader(content), read_dictionary=_WORDS)
        notes = {name.decode(): text.decode() for name, text in _metadata(table).items()}
        samples = tuple(_samples(table))
        plan = Plan(samples, tuple(_faults(faults)), int(notes["older"]))
        whole = (
            plan.fingerprint == notes["fingerprint"]
            and hashlib.sha256(faults).hexdigest() == notes["faults_sha256"]
        )
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(storage, str(error)) from error
    if not whole:
        raise _damaged(storage, "it is not what was written")
    return plan


def _metadata(table: pq.ParquetFile) -> dict[bytes, bytes]:
    return table.schema_arrow.metadata or {}


def _samples(table: pq.ParquetFile) -> Iterator[Sample]:
    """The samples; those that name the same file share one text."""
    known: dict[object, object] = {}
    for batch in table.iter_batches(_BATCH, columns=list(_NAMES), use_threads=False):
        columns = []
        for name in _NAMES:
            column = batch.column(batch.schema.get_field_index(name))
            if pa.types.is_dictionary(column.type):
                words = [known.setdefault(word, word) for word in column.dictionary.to_pylist()]
                places = column.indices.to_pylist()
                columns.append([None if place is None else words[place] for place in places])
            else:
                columns.append(column.to_pylist())
        for values in zip(*columns, strict=True):
            yield Sample(**dict(zip(_NAMES, values, strict=True)))


def _faults(content: bytes) -> Iterator[Fault]:
    for line in content.splitlines():
        yield Fault(**json.loads(line))


def _groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def _damaged(storage: Storage, why: str) -> AnimatorError:
    lines = why.strip().splitlines() or ["it cannot be read"]
    message = f"The plan in {storage.url!r} is damaged: {lines[0][:200].rstrip('.')}."
    return AnimatorError("bad_data", message)
