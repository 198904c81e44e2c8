"""The end of a run: one table of all samples, and nothing left of the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from animator.dataset.packing import clear
from animator.dataset.rows import SCHEMA
from animator.dataset.run_folder import INDEX, REJECTED, RunFolder, Shard
from animator.dataset.tars import whole_file
from animator.errors import AnimatorError


def write_index(run: RunFolder, shards: Sequence[Shard]) -> None:
    """Write the index, and the list of rejected samples if there is a filter.

    The rows are in the order of the plan, a group for each shard; one shard at a time is in memory.

    Args:
        run: a run of which all shards are complete.
        shards: all of them.

    Raises:
        AnimatorError: `bad_data` if a shard's table is damaged, or as `Storage`.
    """
    for shard in shards:
        in_place = run.info.options.format == "files"
        if run.ended(shard) if in_place else run.storage.names(run.parts(shard)):
            clear(run, shard)  # its submitter was killed between completing and clearing it
    run.storage.remove_folder("parts")
    if run.info.options.filters:
        with whole_file(run.storage, REJECTED) as path:
            _write(path, (_rejected(_table(run, shard)) for shard in shards))
    with whole_file(run.storage, INDEX) as path:
        _write(path, (_table(run, shard) for shard in shards))


def _table(run: RunFolder, shard: Shard) -> pa.Table:
    name = f"shards/{shard.name}.parquet"
    try:
        return pq.read_table(pa.BufferReader(run.storage.read(name)), schema=SCHEMA)
    except pa.ArrowException as error:
        raise AnimatorError("bad_data", f"{name} of the run is damaged: {error}.") from error


def _rejected(table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table["state"], "rejected"))


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
