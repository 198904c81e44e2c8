"""The backlog: jobs that wait and run, and how long they will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from animator.jobs.history import Rate
from animator.jobs.store import JobStore
from animator.spec import JobState, Kind, Priority

_ENOUGH = 5
"""Jobs that tell the pace of the last minutes."""


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
    """Seconds until the last job has ended, if it goes on so; None where that cannot be told."""

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
        slots=sum(worker.concurrency for worker in takers),
        rates=rates,
        eta=estimate(queued + running, rates),
    )


def estimate(jobs: int, rates: Mapping[int, Rate]) -> float | None:
    """Seconds until so many jobs have ended.

    The pace is the best average of those that are made of enough jobs: the longer ones may hold
    times at which there was nothing to do.
    """
    # An average of few jobs says little; the longest one is taken whatever it is made of.
    pace = max(
        rate.jobs
        for minutes, rate in rates.items()
        if minutes == max(rates) or rate.jobs * minutes >= _ENOUGH
    )
    return jobs / pace * 60 if jobs and pace else None
