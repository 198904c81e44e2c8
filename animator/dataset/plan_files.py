"""The files of a plan in the folder of a run: `plan.parquet`, `faults.jsonl` and `plan.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

from animator.dataset.plan import DatasetPlan
from animator.dataset.samples import COLUMNS, NEEDED, REALS, Fault, Sample
from animator.errors import AnimatorError
from animator.files.storage import Storage
from animator.spec import FORMER
from animator.values import Location

PLAN_FILE, FAULTS_FILE, HEAD_FILE = "plan.parquet", "faults.jsonl", "plan.json"
_NUMBERS = ("row", "seed")
_NAMES = ("id", "row", *COLUMNS[1:])
_WORDS = [name for name in _NAMES if name not in ("id", *_NUMBERS, *REALS)]
"""Columns in which texts stand again and again; ids are all different."""
_SCHEMA = pa.schema(
    [
        (name, pa.int64() if name in _NUMBERS else pa.float64() if name in REALS else pa.string())
        for name in _NAMES
    ]
)
_GROUP = 20_000  # rows that are turned into columns at once
_BATCH = 4096


def write_plan(plan: DatasetPlan, storage: Storage) -> None:
    """Write `plan.parquet`, `faults.jsonl` and, with the sums of both, last `plan.json`.

    The same plan gives the same bytes.

    Raises:
        AnimatorError: as `Storage.write`.
    """
    contents = {
        PLAN_FILE: _table(plan.samples),
        FAULTS_FILE: b"".join(json.dumps(asdict(fault)).encode() + b"\n" for fault in plan.faults),
    }
    head = {
        "fingerprint": plan.fingerprint,
        "samples": len(plan.samples),
        "faults": len(plan.faults),
        "older": plan.older,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    for name, content in contents.items():
        storage.write(name, content)
    storage.write(HEAD_FILE, json.dumps(head, indent=1).encode() + b"\n")


def read_plan(storage: Storage) -> DatasetPlan:
    """The plan that was written.

    Raises:
        AnimatorError: `no_such_file` if there is none, `bad_data` if it is damaged, and those of
            `Storage.read`.
    """
    try:
        head = json.loads(storage.read(HEAD_FILE))
        expected, older = dict(head["sha256"]), int(head["older"])
        # First, as damage of a Parquet file can bring down whoever reads it.
        contents = {name: storage.read(name) for name in (PLAN_FILE, FAULTS_FILE)}
        for name, content in contents.items():
            if hashlib.sha256(content).hexdigest() != expected[name]:
                raise ValueError(f"{name} is not what was written")
        samples = tuple(_samples(contents[PLAN_FILE]))
        faults = tuple(Fault(**json.loads(line)) for line in contents[FAULTS_FILE].splitlines())
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        message = f"The plan in {storage.url!r} is damaged: {lines[0][:200].rstrip('.')}."
        raise AnimatorError("bad_data", message) from error
    return DatasetPlan(samples, faults, older)


def _table(samples: Sequence[Sample]) -> bytes:
    buffer = pa.BufferOutputStream()
    with pq.ParquetWriter(buffer, _SCHEMA, compression="zstd", use_dictionary=_WORDS) as writer:
        for begin in range(0, len(samples), _GROUP):
            group = samples[begin : begin + _GROUP]
            columns = [
                pa.array([getattr(sample, item.name) for sample in group], item.type)
                for item in _SCHEMA
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA))
    return buffer.getvalue().to_pybytes()


def _samples(content: bytes) -> Iterator[Sample]:
    """The samples; those that name the same file share one text.

    An option that an older version has not written is as it was before there was such.
    """
    written = pq.read_schema(pa.BufferReader(content)).names
    there = [name for name in _NAMES if name in written]
    former = {name: value for name, value in FORMER.items() if name in _NAMES and name not in there}
    texts = [name for name in _WORDS if name in written]
    table = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
    known, places = dict[str, str](), dict[str, Location]()
    for batch in table.iter_batches(_BATCH, columns=there, use_threads=False):
        columns = []
        for name in there:
            column = batch.column(batch.schema.get_field_index(name))
            if pa.types.is_dictionary(column.type):
                words = column.dictionary.to_pylist()
                shared: list[str]
                if name in NEEDED:
                    places |= {word: Location(word) for word in words if word not in places}
                    shared = [places[word] for word in words]
                else:
                    shared = [known.setdefault(word, word) for word in words]
                numbers = column.indices.to_pylist()
                columns.append([None if it is None else shared[it] for it in numbers])
            else:
                columns.append(column.to_pylist())
        for values in zip(*columns, strict=True):
            yield Sample(**former, **dict(zip(there, values, strict=True)))
