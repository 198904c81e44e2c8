"""Pace of a run, by the times at which its shards began and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 48


@dataclass(frozen=True)
class ShardPace:
    """What the shards that are complete tell."""

    shards: int = 0
    began: datetime | None = None
    """When the first shard began."""
    ended: datetime | None = None
    """When the last one ended."""
    busy_seconds: float = 0.0
    """In which at least one shard was in work: pauses of a run count in nothing."""
    work_seconds: float = 0.0
    """Of all samples together."""
    samples_per_hour: float | None = None
    """Over the busy time."""
    frames_per_second: float | None = None
    """Over the busy time."""
    samples_over_time: tuple[float, ...] = ()
    """Samples an hour in equal parts of the time from `began` to `ended`."""
    frames_over_time: tuple[float, ...] = ()
    """Frames a second in the same."""
    extractions: int = 0
    """Videos whose landmarks were extracted."""


def pace_of(shards: Sequence[Mapping[str, Any]]) -> ShardPace:
    """The pace of shards, each with the content of its `_stats.json`.

    A shard whose times make no sense counts for its sums and not for the pace.
    """
    work = sum(float(shard.get("seconds") or 0) for shard in shards)
    extractions = sum(int(shard.get("extractions") or 0) for shard in shards)
    timed = sorted(
        (span[0].timestamp(), span[1].timestamp(), *_amounts(shard))
        for shard in shards
        if (span := _span(shard)) is not None
    )
    if not timed:
        return ShardPace(shards=len(shards), work_seconds=work, extractions=extractions)
    began, ended, samples, frames = np.array(timed, np.float64).T
    busy = _covered(began, ended)
    edges = np.linspace(began.min(), ended.max(), BINS + 1)
    step = float(edges[1] - edges[0])
    # A shard is known by its two ends only: its samples are spread evenly between them.
    overlap = np.minimum(ended[:, None], edges[1:]) - np.maximum(began[:, None], edges[:-1])
    parts = np.maximum(overlap, 0) / (ended - began)[:, None]
    return ShardPace(
        shards=len(shards),
        began=datetime.fromtimestamp(began.min(), UTC),
        ended=datetime.fromtimestamp(ended.max(), UTC),
        busy_seconds=busy,
        work_seconds=work,
        samples_per_hour=float(samples.sum()) / busy * 3600,
        frames_per_second=float(frames.sum()) / busy,
        samples_over_time=tuple((samples @ parts / step * 3600).tolist()),
        frames_over_time=tuple((frames @ parts / step).tolist()),
        extractions=extractions,
    )


def _span(shard: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """When a shard began and ended, if it did so and took some time."""
    try:
        began, ended = (datetime.fromisoformat(shard[key]) for key in ("began", "ended"))
    except (KeyError, TypeError, ValueError):
        return None
    began, ended = (
        time.replace(tzinfo=UTC) if time.tzinfo is None else time for time in (began, ended)
    )
    return (began, ended) if ended > began else None


def _amounts(shard: Mapping[str, Any]) -> tuple[int, int]:
    return int(shard.get("samples") or 0), int(shard.get("frames") or 0)


def _covered(began: NDArray[np.float64], ended: NDArray[np.float64]) -> float:
    """Seconds that at least one of the spans, which come in the order of their begin, covers."""
    reached = np.maximum.accumulate(ended)
    fresh = np.concatenate(([-np.inf], reached[:-1]))
    return float(np.maximum(ended - np.maximum(began, fresh), 0).sum())
