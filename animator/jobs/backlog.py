"""The backlog: jobs that wait and run, and how long they will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import mean
from typing import Any, get_args

from animator.jobs.history import Rate
from animator.jobs.store import JobStore
from animator.options import Kind, Priority
from animator.record import JobRecord, JobState

_LATELY = 20
"""Jobs that tell how long one takes."""
_MOST = 500
"""Running jobs that are looked at."""


@dataclass(frozen=True)
class Backlog:
    """The queue at one moment."""

    queued: int
    running: int
    depth: Mapping[Priority, int]
    """Queued jobs by priority, the highest first."""
    kinds: Mapping[Kind, int]
    """Queued jobs by the workers that can run them."""
    oldest: str | None
    """When the oldest queued job was submitted: UTC, ISO 8601."""
    workers: int
    """Workers that take jobs."""
    slots: int
    """Jobs that these can run at once."""
    rates: Mapping[int, Rate]
    """Jobs and frames a minute, on average of the last 1, 10 and 60 minutes."""
    eta: float | None
    """Seconds until the last job has ended, if it goes on so; None while that is not known."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self)


def look(store: JobStore) -> Backlog:
    """The backlog as it is now."""
    counts, depths, rates = store.counts(), store.depths(), store.rates()
    queued, running = counts[JobState.QUEUED], counts[JobState.RUNNING]
    # The newest come first, so the oldest queued job is the last of them.
    oldest = store.list_jobs(JobState.QUEUED, limit=1, offset=queued - 1) if queued else []
    takers = [worker for worker in store.workers() if worker.consuming]
    slots = sum(worker.concurrency for worker in takers)
    return Backlog(
        queued=queued,
        running=running,
        depth={
            priority: sum(count for (_, other), count in depths.items() if other == priority)
            for priority in get_args(Priority)
        },
        kinds={
            kind: sum(count for (other, _), count in depths.items() if other == kind)
            for kind in get_args(Kind)
        },
        oldest=oldest[0].created if oldest else None,
        workers=len(takers),
        slots=slots,
        rates=rates,
        eta=estimate(
            queued,
            store.list_jobs(JobState.RUNNING, limit=_MOST) if running else [],
            store.list_jobs(JobState.SUCCEEDED, limit=_LATELY) if queued + running else [],
            slots,
        ),
    )


def estimate(
    waiting: int, running: Sequence[JobRecord], ended: Sequence[JobRecord], slots: int
) -> float | None:
    """Seconds until the last job has ended, from how long jobs take.

    How many ended in the last minutes does not count: there may have been nothing to do.

    Args:
        waiting: how many jobs are queued.
        running: the jobs that run; their own pace counts.
        ended: jobs that succeeded lately, for how long a job takes.
        slots: jobs that can run at once.

    Returns:
        None where nothing is left, or it cannot be told yet.
    """
    # What a job takes: as those that ended, or else as those that run will have taken.
    left = [_left(record) for record in running]
    took = [record.result.seconds for record in ended if record.result is not None]
    if not took:
        took = [_ago(record) + rest for record, rest in zip(running, left, strict=True) if rest]
    usual = mean(took) if took else None
    if usual is None and (waiting or None in left):
        return None
    rest = [
        max((usual or 0.0) - _ago(record), 0.0) if seconds is None else seconds
        for record, seconds in zip(running, left, strict=True)
    ]
    if not waiting and not rest:
        return None
    # All slots are at work until the end, or the longest of what runs is the last.
    work = sum(rest) + waiting * (usual or 0.0)
    return max(work / max(slots, len(rest), 1), *rest, (usual or 0.0) if waiting else 0.0)


def _left(record: JobRecord) -> float | None:
    """Seconds that a running job still takes, by its own pace."""
    progress = record.progress
    if progress is None:
        return None
    if progress.eta is None and progress.stage == "generate" and progress.frames and progress.fps:
        return (progress.frames - progress.frame) / progress.fps
    return progress.eta


def _ago(record: JobRecord) -> float:
    """Seconds since a job was begun."""
    if record.started is None:
        return 0.0
    return max((datetime.now(UTC) - datetime.fromisoformat(record.started)).total_seconds(), 0.0)
