"""Content of a run's report, summed up from the rows of its samples.

rows, faults, shards' statistics -> `RunReport` -> `animator.dataset.report.page` -> one HTML file
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from animator.dataset.report.measures import Distribution, combined_ranks, distributions
from animator.dataset.report.pace import ShardPace, pace_of
from animator.dataset.report.strips import Strip, read_strip
from animator.dataset.report.words import as_text, cut
from animator.dataset.rows import MEASURES, SCHEMA, Row
from animator.dataset.samples import Fault
from animator.errors import CODES

EXAMPLES = 5
SLOWEST = 10
SHEET = 8
"""Samples of a contact sheet."""
_LONGEST = {"id": 120, "sentence": 400, "option": 400}  # characters of each that are shown
_OPTIONS = 60
_STAGES = tuple(name.removesuffix("_seconds") for name in SCHEMA.names if name.endswith("_seconds"))


@dataclass(frozen=True)
class RunProgress:
    """How far a run is."""

    total: int
    """Samples that are planned."""
    succeeded: int
    failed: int
    rejected: int
    faults: int
    """Rows of the manifest of which no sample can be made; not part of `total`."""
    seconds_left: float | None
    """At the pace of the shards so far; None if it is not known."""

    @property
    def done(self) -> int:
        """Samples that have ended, in whatever way."""
        return self.succeeded + self.failed + self.rejected

    @property
    def left(self) -> int:
        """Samples that have not."""
        return max(self.total - self.done, 0)

    @property
    def percent(self) -> float:
        """Of the planned samples that have ended; 100 if none is planned."""
        return 100 * min(self.done / self.total, 1) if self.total else 100.0


@dataclass(frozen=True)
class Example:
    """One sample or row that went wrong."""

    id: str
    row: int
    sentence: str


@dataclass(frozen=True)
class Group:
    """All that went wrong for one reason."""

    code: str
    meaning: str
    """In one line; empty for a code that this version does not know."""
    state: str
    """failed, rejected or fault."""
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Stage:
    """One stage of the work on all samples."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Reuse:
    """What the cache and earlier attempts saved, over the succeeded and rejected samples."""

    known: int
    """Samples of which it is known whether the landmarks of their driving video were cached."""
    cached: int
    """Those of them for which they were."""
    driving: int
    """Different driving videos."""
    resumed: int
    """Samples that went on from an earlier attempt."""
    resumed_frames: int
    attempts: tuple[tuple[int, int], ...]
    """Of all samples that have ended: how many attempts, and how many samples took so many."""


@dataclass(frozen=True)
class Slow:
    """A sample that took long."""

    id: str
    row: int
    state: str
    seconds: float
    frames: int | None
    stage: str
    """The one that took longest; empty if it is not known."""


@dataclass(frozen=True)
class SheetSample:
    """A sample of a contact sheet."""

    id: str
    row: int
    rank: float | None
    """Its combined rank, 0 worst to 1 best; None if the run has no measures."""
    measures: tuple[tuple[str, float], ...]
    strip: Strip


@dataclass(frozen=True)
class Sheet:
    """Samples side by side."""

    name: str
    """best, median or worst; `some` in a run without measures."""
    samples: tuple[SheetSample, ...]


@dataclass(frozen=True)
class RunReport:
    """Everything that the page shows of a run."""

    title: str
    now: datetime
    options: tuple[tuple[str, str], ...]
    progress: RunProgress
    pace: ShardPace
    frames: int
    """Of the succeeded samples."""
    bytes: int
    """Of their videos."""
    failures: tuple[Group, ...]
    faults: tuple[Group, ...]
    measures: tuple[Distribution, ...]
    stages: tuple[Stage, ...]
    reuse: Reuse
    slowest: tuple[Slow, ...]
    sheets: tuple[Sheet, ...]


def summarise(
    *,
    title: str,
    options: Mapping[str, object],
    total: int,
    rows: Sequence[Row],
    faults: Sequence[Fault],
    shards: Sequence[Mapping[str, Any]],
    now: datetime,
    video_of: Callable[[Row], bytes],
) -> RunReport:
    """Sum up a run, which may still go on.

    The same values give the same report, in whatever order rows, faults and shards come.

    Args:
        title: of the page.
        options: of the run, by name.
        total: samples that are planned.
        rows: of all samples that have ended.
        faults: of the manifest.
        shards: the content of every complete shard's `_stats.json`.
        now: when the report is made.
        video_of: gives the MP4 of a succeeded row; its errors are noted in the report if they are
            `AnimatorError`, OSError, ValueError or KeyError.
    """
    # Sorted, so that the order in which shards come changes nothing
    rows = sorted(rows, key=lambda row: row["number"])
    by_state: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_state[row["state"]].append(row)
    succeeded, rejected = by_state["succeeded"], by_state["rejected"]
    made = succeeded + rejected
    pace = pace_of(shards)
    return RunReport(
        title=cut(title, _LONGEST["id"]),
        now=now,
        options=_options(options),
        progress=_progress(total, by_state, len(faults), pace),
        pace=pace,
        frames=sum(row["frames"] or 0 for row in succeeded),
        bytes=sum(row["bytes"] or 0 for row in succeeded),
        failures=_failures(rows),
        faults=_groups(
            ("fault", fault.code, fault.id, fault.row, fault.message)
            for fault in sorted(faults, key=lambda fault: (fault.row, fault.code))
        ),
        measures=distributions(succeeded, rejected),
        stages=_stages(made),
        reuse=_reuse(made, rows),
        slowest=_slowest(rows),
        sheets=_sheets(succeeded, video_of),
    )


def _progress(
    total: int, by_state: Mapping[str, Sequence[Row]], faults: int, pace: ShardPace
) -> RunProgress:
    counts = {state: len(by_state[state]) for state in ("succeeded", "failed", "rejected")}
    left, hourly = max(total - sum(counts.values()), 0), pace.samples_per_hour
    seconds_left = left / hourly * 3600 if hourly else None
    return RunProgress(total=total, faults=faults, seconds_left=seconds_left, **counts)


def _options(options: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (cut(str(name), _LONGEST["id"]), cut(as_text(value), _LONGEST["option"]))
        for name, value in list(options.items())[:_OPTIONS]
    )


def _failures(rows: Iterable[Row]) -> tuple[Group, ...]:
    return _groups(
        (row["state"], row["code"] or "", row["id"], row["row"], row["reason"] or "")
        for row in rows
        if row["state"] != "succeeded"
    )


def _groups(items: Iterable[tuple[str, str, str, int, str]]) -> tuple[Group, ...]:
    """Groups by state and code, the largest first, of (state, code, id, row, sentence)."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for state, code, name, row, sentence in items:
        key = (state, code)
        counts[key] += 1
        if len(examples[key]) < EXAMPLES:
            name, sentence = cut(name, _LONGEST["id"]), cut(sentence, _LONGEST["sentence"])
            examples[key].append(Example(name, row, sentence))
    ordered = sorted(counts, key=lambda key: (-counts[key], key))
    return tuple(
        Group(code, CODES.get(code, ""), state, counts[state, code], tuple(examples[state, code]))
        for state, code in ordered
    )


def _stages(rows: Sequence[Row]) -> tuple[Stage, ...]:
    """Seconds by stage; `other` is the time of work that no stage accounts for."""
    seconds = {name: _total(rows, f"{name}_seconds") for name in _STAGES}
    other = _total(rows, "seconds") - sum(seconds.values())
    stages = [Stage(name, value) for name, value in seconds.items() if value > 0]
    if stages and other > 0:
        stages.append(Stage("other", other))
    return tuple(stages)


def _total(rows: Sequence[Row], column: str) -> float:
    return float(sum(row[column] or 0 for row in rows))


def _reuse(made: Sequence[Row], rows: Sequence[Row]) -> Reuse:
    known = [row["landmarks_cached"] for row in made if row["landmarks_cached"] is not None]
    resumed = [row["resumed"] for row in made if row["resumed"]]
    attempts = Counter(row["attempts"] for row in rows if row["attempts"])
    return Reuse(
        known=len(known),
        cached=sum(known),
        driving=len({row["driving_sha256"] or row["driving"] for row in made}),
        resumed=len(resumed),
        resumed_frames=sum(resumed),
        attempts=tuple(sorted(attempts.items())),
    )


def _slowest(rows: Sequence[Row]) -> tuple[Slow, ...]:
    timed = [row for row in rows if row["seconds"] is not None]
    timed.sort(key=lambda row: (-row["seconds"], row["number"]))
    return tuple(
        Slow(
            id=cut(row["id"], _LONGEST["id"]),
            row=row["row"],
            state=row["state"],
            seconds=row["seconds"],
            frames=row["frames"],
            stage=_longest_stage(row),
        )
        for row in timed[:SLOWEST]
    )


def _longest_stage(row: Row) -> str:
    stages = {stage.name: stage.seconds for stage in _stages([row])}
    return max(stages, key=lambda name: stages[name], default="")


def _sheets(rows: Sequence[Row], video_of: Callable[[Row], bytes]) -> tuple[Sheet, ...]:
    """The best, the middle and the worst samples; no sample is in two sheets."""
    ranks = combined_ranks(rows)
    ranked = [int(place) for place in np.argsort(-ranks, kind="stable") if ranks[place] >= 0]
    if not ranked:
        spread = np.unique(np.linspace(0, len(rows) - 1, min(SHEET, len(rows))).round())
        chosen = {"some": [int(place) for place in spread]}
    else:
        size = min(SHEET, -(-len(ranked) // 3))
        rest = ranked[size : max(len(ranked) - size, size)]
        middle = max(len(rest) - size, 0) // 2
        chosen = {
            "best": ranked[:size],
            "median": rest[middle : middle + size],
            "worst": ranked[max(len(ranked) - size, size) :][::-1],
        }
    return tuple(
        Sheet(name, tuple(_shown(rows[place], float(ranks[place]), video_of) for place in places))
        for name, places in chosen.items()
        if places
    )


def _shown(row: Row, rank: float, video_of: Callable[[Row], bytes]) -> SheetSample:
    return SheetSample(
        id=cut(row["id"], _LONGEST["id"]),
        row=row["row"],
        rank=rank if np.isfinite(rank) else None,
        measures=tuple((name, row[name]) for name in MEASURES if row[name] is not None),
        strip=read_strip(row, video_of),
    )
