"""The folder of a run: what is in it, and how far it shows the run to be.

    run.json                    which run it is: inputs, options; the last file of a new run's
    plan.parquet, plan.json     all samples in their order
    faults.jsonl                rows of the manifest that no sample is made of
    parts/00007/ID.mp4          samples of a shard that is not complete, as workers write them,
                ID.result.json  last of a sample's files: it is made
                ID.failed.json  it is not, and why
    shards/00007.tar            a complete shard: ID.mp4, ID.json and what else was asked for
           00007.parquet        a row for each of its samples, also of those that are not in it
           00007_stats.json     last of a shard's files: it is complete
    index.parquet               the rows of all shards, once all are complete
    rejected.parquet            those of samples that the quality filter left out

With the format `files` there is a folder `shards/00007` in place of the tar, and workers write into
that at once.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from animator.dataset.options import RunOptions
from animator.dataset.rows import Row, make_row, read_table
from animator.dataset.samples import ROW_OPTIONS, Sample, SampleOutcome
from animator.errors import AnimatorError
from animator.files.storage import Storage
from animator.spec import FORMER, OPTIONS
from animator.values import load_object, now

RUN = "run.json"
RESULT, FAILED = ".result.json", ".failed.json"
INDEX, REJECTED = "index.parquet", "rejected.parquet"
STREAMS = 16
"""Files of a remote store that are read or written at the same time."""
_FORMAT = 1
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class RunInfo:
    """Which run a folder holds."""

    run: str
    """Its name, which no other run has."""
    created: str
    """When it was begun: UTC, ISO 8601."""
    inputs: Mapping[str, Any]
    """What its plan was made of; the same command gives the same."""
    options: RunOptions
    samples: int
    faults: int
    plan: str
    """SHA-256 of the plan."""

    def to_json(self) -> bytes:
        """The content of `run.json`."""
        values = {"version": _FORMAT, **vars(self), "options": self.options.as_dict()}
        return json.dumps(values, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> RunInfo:
        """The run from the content of `run.json`.

        Raises:
            AnimatorError: `other_run` if it is of another version, `bad_data` if it is damaged.
        """
        try:
            values = json.loads(text)
            if values.pop("version", None) != _FORMAT:
                raise AnimatorError("other_run", "The run was begun by another version.")
            return cls(**{**values, "options": RunOptions.from_dict(values["options"])})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"{RUN} of the run is damaged: {error}."
            raise AnimatorError("bad_data", message) from error


@dataclass(frozen=True)
class Shard:
    """A stretch of the plan."""

    number: int
    first: int
    samples: Sequence[Sample]

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.number:05}"

    def numbered(self) -> list[tuple[int, Sample]]:
        """Its samples with their places in the plan."""
        return list(enumerate(self.samples, self.first))


class RunFolder:
    """A run that was begun.

    Args:
        storage: the folder.
        info: which run it holds.
    """

    def __init__(self, storage: Storage, info: RunInfo) -> None:
        self.storage, self.info = storage, info

    @classmethod
    def find(cls, storage: Storage) -> RunFolder | None:
        """The run in a folder; None if there is none.

        Raises:
            AnimatorError: `other_run`, `bad_data`, or as `Storage`.
        """
        try:
            return cls(storage, RunInfo.from_json(storage.read(RUN)))
        except AnimatorError as error:
            if error.code != "no_such_file":
                raise
            return None

    @classmethod
    def begin(cls, storage: Storage, info: RunInfo) -> RunFolder:
        """Make a folder that has a plan a run."""
        storage.write(RUN, info.to_json())
        return cls(storage, info)

    def shards(self, samples: Sequence[Sample]) -> list[Shard]:
        """The plan, cut into shards."""
        size = self.info.options.shard_size
        return [
            Shard(number, first, samples[first : first + size])
            for number, first in enumerate(range(0, len(samples), size))
        ]

    # Where files are

    def parts(self, shard: Shard) -> str:
        """Folder of the samples of a shard that is not complete."""
        top = "parts" if self.info.options.format == "shards" else "shards"
        return f"{top}/{shard.name}"

    def part(self, shard: Shard, sample: Sample, ending: str) -> str:
        """Name of a file of a sample whose shard is not complete."""
        return f"{self.parts(shard)}/{sample.id}{ending}"

    # How far it is

    def complete(self) -> dict[int, str]:
        """Numbers of the shards that are complete, with the names of their statistics' files."""
        ending = "_stats.json"
        names = (name for name in self.storage.names("shards") if name.endswith(ending))
        found = {name.removesuffix(ending).rpartition("/")[2]: name for name in names}
        return {int(number): name for number, name in found.items() if number.isdecimal()}

    def stats(self) -> list[dict[str, Any]]:
        """The statistics of all complete shards, in order."""
        names = [name for _, name in sorted(self.complete().items())]
        return [json.loads(text) for text in self.each(self.storage.read, names)]

    def table(self, shard: Shard) -> pa.Table:
        """The rows of a complete shard as a table.

        Raises:
            AnimatorError: `bad_data`, or as `Storage`.
        """
        name = f"shards/{shard.name}.parquet"
        try:
            return read_table(self.storage.read(name))
        except (ValueError, OSError) as error:
            raise AnimatorError("bad_data", f"{name} of the run is damaged: {error}.") from error

    def rows(self, shard: Shard) -> list[Row]:
        """The rows of a complete shard; errors as in `table`."""
        rows: list[Row] = self.table(shard).to_pylist()
        return rows

    def ended(self, shard: Shard) -> dict[str, str]:
        """Of the samples in a shard's folder of parts that have ended: the files that say how."""
        found = {}
        for name in self.storage.names(self.parts(shard)):
            for ending in (FAILED, RESULT):
                if name.endswith(ending):
                    found[name.removesuffix(ending).rpartition("/")[2]] = name
        return found

    def outcome(self, name: str) -> SampleOutcome:
        """What such a file says.

        Raises:
            AnimatorError: `bad_data`, or as `Storage`.
        """
        text = self.storage.read(name)
        try:
            if name.endswith(FAILED):
                return SampleOutcome.from_json(text)
            sample_id = name.removesuffix(RESULT).rpartition("/")[2]
            return SampleOutcome(sample_id, "succeeded", result=load_object(text, "result"))
        except (AnimatorError, TypeError) as error:
            raise AnimatorError("bad_data", f"{name} of the run is damaged: {error}.") from error

    def all_rows(self, samples: Sequence[Sample]) -> list[Row]:
        """The rows of all samples that have ended, in the order of the plan, also of parts."""
        done = self.complete()
        rows: list[Row] = []
        for shard in self.shards(samples):
            rows += self.rows(shard) if shard.number in done else self._rows_of_parts(shard)
        return rows

    def video(self, row: Row) -> bytes:
        """The video of a sample, as an MP4 file.

        Raises:
            AnimatorError: as `Storage`.
        """
        if row["offset"] is None:
            return self.storage.read(row["file"])
        return self.storage.read_range(row["file"], row["offset"], row["offset"] + row["bytes"])

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """What a function gives for each of some items, several at a time from a remote store."""
        if self.storage.local is not None:
            return [function(item) for item in items]
        with ThreadPoolExecutor(STREAMS) as pool:
            return list(pool.map(function, items))

    def _rows_of_parts(self, shard: Shard) -> list[Row]:
        sizes = self.storage.names(self.parts(shard))
        ended = self.ended(shard)
        chosen = [(n, sample) for n, sample in shard.numbered() if sample.id in ended]
        outcomes = self.each(self.outcome, [ended[sample.id] for _, sample in chosen])
        rows = []
        for (number, sample), outcome in zip(chosen, outcomes, strict=True):
            video = self.part(shard, sample, ".mp4") if outcome.state == "succeeded" else None
            size = sizes.get(video or "")
            rows.append(make_row(sample, number, shard.number, outcome, file=video, size=size))
        return rows


def new_info(
    inputs: Mapping[str, Any], options: RunOptions, samples: int, faults: int, plan: str
) -> RunInfo:
    """A new run."""
    return RunInfo(secrets.token_hex(6), now(), inputs, options, samples, faults, plan)


def check_same(info: RunInfo, inputs: Mapping[str, Any], options: RunOptions) -> None:
    """Refuse to go on with a run by a command that would make something else.

    One that leaves open what had another default in an older version goes on with that.

    Raises:
        AnimatorError: `other_run`, naming what differs.
    """
    theirs = _flat({**info.options.as_dict(), **info.inputs})
    ours = _flat({**options.as_dict(), **inputs})
    for name, former in FORMER.items():
        if ours[name] == OPTIONS[name].default and theirs[name] == former:
            ours[name] = former
    differ = [
        _difference(name, theirs.get(name), ours.get(name))
        for name in dict.fromkeys([*ours, *theirs])
        if theirs.get(name) != ours.get(name)
    ]
    if differ:
        message = (
            f"The folder holds a run with other {', '.join(differ)}; give the same as then, or "
            "another --out."
        )
        raise AnimatorError("other_run", message)


_FLAGS = {
    "extras": "--extra", "filters": "--quality-filter", "sources": "--source",
    "drivings": "--driving", "content": "content of the manifest", "manifest": "manifest",
}  # fmt: skip
"""Options that the command calls otherwise."""


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of rows among the others, all as JSON has them.

    What an older version did not write down has its default.
    """
    plain = json.loads(json.dumps(values))
    rows = plain.pop("defaults", None) or {}
    usual = {name: OPTIONS[name].default for name in ROW_OPTIONS if name not in plain}
    return {**plain, **usual, **rows}


def _difference(name: str, then: object, now: object) -> str:
    """An option as the command calls it, with both values where these are short."""
    flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
    if name == "content":
        return flag
    words = ["none" if value in (None, [], "") else str(value) for value in (then, now)]
    short = all(len(word) <= 60 for word in words)
    return f"{flag} ({words[0]} then, {words[1]} now)" if short else flag
