"""A shard whose samples have all ended becomes complete: files, rows, statistics, in this order."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from animator.dataset.options import Filter
from animator.dataset.rows import Row, make_row, write_rows
from animator.dataset.run_folder import FAILED, RESULT, STREAMS, RunFolder, Shard
from animator.dataset.samples import COLUMNS, Sample, SampleOutcome
from animator.dataset.tars import TarWriter, members, whole_file
from animator.errors import AnimatorError
from animator.files.storage import Storage
from animator.record import JobError
from animator.values import now

_KEPT_RESULTS = ("frames", "quality", "hashes", "warnings", "missing")
"""What a sample's JSON has of the job's result: nothing that another run would tell differently."""


def pack(run: RunFolder, shard: Shard, *, began: str) -> dict[str, Any]:
    """Complete a shard, or complete it again with samples that were made since.

    What is done already when it is interrupted does no harm when it is done again. The bytes of the
    tar do not depend on who made the samples, or when.

    Args:
        run: the run.
        shard: one whose samples have all ended.
        began: when work on it began: UTC, ISO 8601.

    Returns:
        The statistics.
    """
    ended = run.ended(shard)
    before = {row["id"]: row for row in run.rows(shard)} if shard.number in run.complete() else {}
    outcomes = dict(zip(ended, run.each(run.outcome, ended.values()), strict=True))
    filters = [Filter.parse(text) for text in run.info.options.filters]
    outcomes = {name: _judged(outcome, filters) for name, outcome in outcomes.items()}
    lay = _lay_tar if run.info.options.format == "shards" else _lay_files
    places = lay(run, shard, outcomes, before)
    rows = []
    for number, sample in shard.numbered():
        place = places.get(sample.id, _Place())
        if outcome := outcomes.get(sample.id):
            rows.append(make_row(sample, number, shard.number, outcome, **vars(place)))
        else:
            old = before[sample.id]
            rows.append({**old, **vars(place)} if old["state"] == "succeeded" else old)
    run.storage.write(f"shards/{shard.name}.parquet", write_rows(rows))
    stats = _statistics(shard, rows, began)
    run.storage.write(f"shards/{shard.name}_stats.json", json.dumps(stats, indent=2).encode())
    clear(run, shard)
    return stats


def clear(run: RunFolder, shard: Shard) -> None:
    """Remove what a complete shard no longer needs."""
    names = run.storage.names(run.parts(shard))
    if run.info.options.format == "files":
        left_out = {row["id"] for row in run.rows(shard) if row["state"] != "succeeded"}
        names = {
            name: size
            for name, size in names.items()
            if name.endswith((RESULT, FAILED)) or _id_of(name) in left_out
        }
    # What says that a sample has ended goes last, so that an interruption here is noticed.
    last = {name for name in names if name.endswith((RESULT, FAILED))}
    run.storage.delete(sorted(names.keys() - last))
    run.storage.delete(sorted(last))
    if run.storage.local is not None:
        folder = Path(run.storage.location(run.parts(shard)))
        for left in folder.glob(".*.parts"):  # of attempts that were killed as they ended
            shutil.rmtree(left, ignore_errors=True)
        run.storage.remove_folder(run.parts(shard))


@dataclass(frozen=True)
class _Place:
    """Where a sample's video is."""

    file: str | None = None
    size: int | None = None
    offset: int | None = None


def sample_json(sample: Sample, outcome: SampleOutcome) -> bytes:
    """What a sample's JSON says: what went in, and what came out."""
    about = {
        **{name: getattr(sample, name) for name in COLUMNS if name != "priority"},
        "weights": outcome.result.get("weights") or sample.weights,
        **{name: outcome.result[name] for name in _KEPT_RESULTS if name in outcome.result},
    }
    return json.dumps(about, indent=1, sort_keys=True).encode()


def _judged(outcome: SampleOutcome, filters: Sequence[Filter]) -> SampleOutcome:
    """The outcome, or that the sample is left out by a condition on its quality."""
    if outcome.state != "succeeded":
        return outcome
    for condition in filters:
        if reason := condition.refuses(outcome.result.get("quality", {})):
            return replace(outcome, state="rejected", error=JobError("low_quality", reason))
    return outcome


def _lay_tar(
    run: RunFolder, shard: Shard, outcomes: Mapping[str, SampleOutcome], before: Mapping[str, Row]
) -> dict[str, _Place]:
    """Write the tar; members of the one before stay where no newer outcome replaces them."""
    name = f"shards/{shard.name}.tar"
    made = {one.id: outcomes[one.id] for one in shard.samples if one.id in outcomes}
    kept = {key for key, row in before.items() if row["state"] == "succeeded"} - set(made)
    taken = [one for one in shard.samples if one.id in kept or _succeeded(made.get(one.id))]
    if not taken:
        run.storage.delete([name])
        return {}
    places: dict[str, _Place] = {}
    with ExitStack() as held:
        old = held.enter_context(_old_members(run.storage, name, kept))
        parts = held.enter_context(_Parts(run, shard, [one for one in taken if one.id in made]))
        path = held.enter_context(whole_file(run.storage, name))
        with TarWriter(path) as tar:
            for sample in taken:
                if sample.id in kept:
                    offset, size = _add_old(tar, sample, next(old))
                else:
                    text = sample_json(sample, made[sample.id])
                    with parts.files(sample) as files:
                        offset, size = _add_sample(tar, sample, text, files)
                places[sample.id] = _Place(name, size, offset)
    return places


def _add_sample(
    tar: TarWriter, sample: Sample, about: bytes, files: dict[str, Path]
) -> tuple[int, int]:
    """Add a sample's files; returns where its video begins, and how long it is."""
    video = files.pop(".mp4")
    offset = tar.add_file(f"{sample.id}.mp4", video)
    tar.add(f"{sample.id}.json", about)
    for ending, path in sorted(files.items()):
        if ending == ".frames.tar":
            tar.add_members(f"{sample.id}.", path)
        else:
            tar.add_file(f"{sample.id}{ending}", path)
    return offset, video.stat().st_size


def _add_old(
    tar: TarWriter, sample: Sample, content: Sequence[tuple[str, bytes]]
) -> tuple[int, int]:
    offsets = {name: (tar.add(name, data), len(data)) for name, data in content}
    return offsets[f"{sample.id}.mp4"]


@contextmanager
def _old_members(
    storage: Storage, name: str, kept: set[str]
) -> Iterator[Iterator[list[tuple[str, bytes]]]]:
    """Of a tar that is there: the members of each sample that is kept, in order."""
    if not kept:
        yield iter(())
        return
    with tempfile.TemporaryDirectory(prefix="animator-") as folder:
        path = Path(folder) / "old.tar"
        storage.get(name, path)
        groups = itertools.groupby(members(path), lambda member: _id_of(member[0]))
        yield (list(content) for sample_id, content in groups if sample_id in kept)


def _lay_files(
    run: RunFolder, shard: Shard, outcomes: Mapping[str, SampleOutcome], before: Mapping[str, Row]
) -> dict[str, _Place]:
    """Write each sample's JSON beside its video, which is in its place already."""
    sizes = run.storage.names(run.parts(shard))
    made = [one for one in shard.samples if _succeeded(outcomes.get(one.id))]
    run.each(
        lambda one: run.storage.write(
            run.part(shard, one, ".json"), sample_json(one, outcomes[one.id])
        ),
        made,
    )
    kept = [one for one in shard.samples if before.get(one.id, {}).get("state") == "succeeded"]
    there = {one.id: run.part(shard, one, ".mp4") for one in (*kept, *made)}
    return {key: _Place(video, sizes.get(video)) for key, video in there.items()}


class _Parts:
    """The files of samples, on this machine; those of a remote store are fetched some ahead."""

    def __init__(self, run: RunFolder, shard: Shard, samples: Sequence[Sample]) -> None:
        self._run, self._shard = run, shard
        self._names: dict[str, list[str]] = {sample.id: [] for sample in samples}
        for name in run.storage.names(run.parts(shard)):
            if _id_of(name) in self._names and not name.endswith((RESULT, FAILED)):
                self._names[_id_of(name)].append(name)
        self._waiting = list(samples)
        self._fetched: dict[str, dict[str, Path]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> _Parts:
        if self._run.storage.local is None:
            self._folder = tempfile.TemporaryDirectory(prefix="animator-")
        return self

    def __exit__(self, *raised: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @contextmanager
    def files(self, sample: Sample) -> Iterator[dict[str, Path]]:
        """The files of a sample by the endings of their names; they are asked for in order."""
        if sample.id not in self._fetched:
            self._fetch()
        files = self._fetched.pop(sample.id)
        if ".mp4" not in files:
            name = self._run.part(self._shard, sample, ".mp4")
            raise AnimatorError("bad_data", f"{name} of the run is gone, though it was made.")
        paths = [*files.values()]
        yield files
        if self._folder is not None:
            for path in paths:
                path.unlink()

    def _fetch(self) -> None:
        chunk, self._waiting = self._waiting[:STREAMS], self._waiting[STREAMS:]
        names = [name for one in chunk for name in self._names[one.id]]
        self._fetched |= {one.id: {} for one in chunk}
        for name, path in zip(names, self._run.each(self._local, names), strict=True):
            sample_id = _id_of(name)
            ending = name.rpartition("/")[2].removeprefix(sample_id)
            self._fetched[sample_id][ending] = path

    def _local(self, name: str) -> Path:
        storage = self._run.storage
        if self._folder is None:
            return Path(storage.location(name))
        path = Path(self._folder.name) / name.rpartition("/")[2]
        storage.get(name, path)
        return path


def _succeeded(outcome: SampleOutcome | None) -> bool:
    return outcome is not None and outcome.state == "succeeded"


def _id_of(name: str) -> str:
    """The sample of a file: its name up to the first dot, as WebDataset takes it."""
    return name.rpartition("/")[2].partition(".")[0]


def _statistics(shard: Shard, rows: Sequence[Row], began: str) -> dict[str, Any]:
    states = Counter(row["state"] for row in rows)
    made = [row for row in rows if row["frames"] is not None]
    failures = Counter(row["code"] for row in rows if row["state"] == "failed")
    return {
        "shard": shard.number,
        "samples": len(rows),
        "succeeded": states["succeeded"],
        "failed": states["failed"],
        "rejected": states["rejected"],
        "frames": sum(row["frames"] for row in made),
        "bytes": sum(row["bytes"] or 0 for row in rows),
        "seconds": round(sum(row["seconds"] or 0 for row in rows), 3),
        "began": began,
        "ended": now(),
        "failures": dict(sorted(failures.items())),
        "extractions": sum(row["landmarks_cached"] is False for row in made),
    }
