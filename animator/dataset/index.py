"""The end of a run: one table of all samples, and nothing left of the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from animator.dataset.packing import clear
from animator.dataset.rows import SCHEMA
from animator.dataset.run_folder import INDEX, REJECTED, RunFolder, Shard
from animator.dataset.tars import whole_file


def write_index(run: RunFolder, shards: Sequence[Shard]) -> None:
    """Write the index, and the list of rejected samples if there is a filter.

    The rows are in the order of the plan, a group for each shard; one shard at a time is in memory.

    Args:
        run: a run of which all shards are complete.
        shards: all of them.

    Raises:
        AnimatorError: `bad_data` if a shard's table is damaged, or as `Storage`.
    """
    for shard, left in zip(shards, run.each(partial(_is_left, run), shards), strict=True):
        if left:
            clear(run, shard)
    run.storage.remove_folder("parts")
    if run.info.options.filters:
        with whole_file(run.storage, REJECTED) as path:
            tables = (run.table(shard) for shard in shards)
            _write(path, (table.filter(pc.equal(table["state"], "rejected")) for table in tables))
    with whole_file(run.storage, INDEX) as path:
        _write(path, (run.table(shard) for shard in shards))


def _is_left(run: RunFolder, shard: Shard) -> bool:
    """Whether a submitter was killed between completing a shard and clearing up after it."""
    if run.info.options.format == "files":
        return bool(run.ended(shard))
    return bool(run.storage.names(run.parts(shard)))


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
