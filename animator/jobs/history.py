"""The history of jobs in Redis: lists, counts, rates and logs, and how long they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from animator.broker.connection import PREFIX, queue_errors
from animator.jobs.records import QUEUES, JobRecords
from animator.jobs.scripts import RATE_BUCKET_SECONDS, RATE_SECONDS
from animator.options import Kind, Priority
from animator.record import JobRecord, JobState
from animator.values import iso, now, plain

RATE_MINUTES = (1, 10, 60)
_PURGE_STEP = 500


@dataclass(frozen=True)
class LogLine:
    """A line of a job's log."""

    time: str
    """UTC, ISO 8601."""
    worker: str
    """Whose line it is; empty for what no worker did."""
    text: str


@dataclass(frozen=True)
class Rate:
    """What ended in a minute, on average."""

    jobs: float
    """Jobs that succeeded or failed."""
    frames: float
    """Frames of jobs that succeeded."""


class JobHistory(JobRecords):
    """Lists, counts, logs and removes jobs."""

    def list_jobs(
        self,
        state: JobState | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[JobRecord]:
        """Records, the newest first.

        Args:
            state: only jobs in this state.
            since: only jobs created at this moment or later; an aware time, as is `until`.
            until: only jobs created before this moment.
            limit: at most so many.
            offset: how many of the newest to leave out.
        """
        index = f"{PREFIX}jobs" if state is None else f"{PREFIX}jobs:{state.value}"
        # Scores are microseconds since 1970; a parenthesis leaves the end of the range out.
        first = "-inf" if since is None else str(_microseconds(since))
        last = "+inf" if until is None else f"({_microseconds(until)}"
        with queue_errors():
            ids = cast(
                "list[bytes]", self.client.zrevrangebyscore(index, last, first, offset, limit)
            )
        return self.get_many([plain(job_id) for job_id in ids])

    def list_ids(
        self,
        state: JobState | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 50,
    ) -> list[tuple[int, str]]:
        """When jobs were created, in microseconds since 1970, and their ids, the newest first.

        Args:
            state: as in `list_jobs`, as are the next two.
            since: only jobs created at this moment or later.
            until: only jobs created before this moment.
            before: only what comes after this place of the list, wherever newer jobs have put it.
            limit: at most so many.
        """
        index = f"{PREFIX}jobs" if state is None else f"{PREFIX}jobs:{state.value}"
        first = "-inf" if since is None else str(_microseconds(since))
        last = "+inf" if until is None else f"({_microseconds(until)}"
        if before is not None and (until is None or before[0] < _microseconds(until)):
            last = str(before[0])
        found: list[tuple[int, str]] = []
        skip = 0
        while len(found) < limit:
            with queue_errors():
                page = cast(
                    "list[tuple[bytes, float]]",
                    self.client.zrevrangebyscore(index, last, first, skip, limit, withscores=True),
                )
            places = [(int(score), plain(job_id)) for job_id, score in page]
            # Several of one microsecond are in the order of their ids.
            found += [place for place in places if before is None or place < before]
            if len(page) < limit:
                break
            skip += len(page)
        return found[:limit]

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with queue_errors():
            pipeline = self.client.pipeline(transaction=False)
            for state in JobState:
                pipeline.zcard(f"{PREFIX}jobs:{state.value}")
            return dict(zip(JobState, pipeline.execute(), strict=True))

    def depths(self) -> dict[tuple[Kind, Priority], int]:
        """How many jobs are queued, by who can run them and by priority."""
        with queue_errors():
            pipeline = self.client.pipeline(transaction=False)
            for name in QUEUES.values():
                pipeline.zcard(f"{PREFIX}waiting:{name}")
            return dict(zip(QUEUES, pipeline.execute(), strict=True))

    def ids_beginning(self, text: str, limit: int) -> list[str]:
        """Ids of jobs that begin with some letters and digits, at most so many."""
        found: set[str] = set()
        with queue_errors():
            for job_id, _ in self.client.zscan_iter(f"{PREFIX}jobs", f"{text}*", count=2000):
                found.add(plain(job_id))
                if len(found) >= limit:
                    break
        return sorted(found)

    def rates(self) -> dict[int, Rate]:
        """What ended per minute over the last 1, 10 and 60 minutes, by these numbers."""
        width = RATE_BUCKET_SECONDS
        fields = [JobState.SUCCEEDED.value, JobState.FAILED.value, "frames"]
        with queue_errors():
            # Buckets are numbered by the clock of Redis, as `count_end` in common.lua does.
            seconds, _ = self.client.time()
            pipeline = self.client.pipeline(transaction=False)
            for age in range(RATE_SECONDS // width):
                pipeline.hmget(f"{PREFIX}ended:{seconds // width - age}", fields)
            found = pipeline.execute(raise_on_error=False)
            buckets = [_counts(each, len(fields)) for each in found]
        rates = {}
        for minutes in RATE_MINUTES:
            # The first bucket is the present one, so the average lags by up to its width.
            recent = buckets[: minutes * 60 // width]
            jobs = sum(succeeded + failed for succeeded, failed, _ in recent)
            rates[minutes] = Rate(jobs / minutes, sum(frames for *_, frames in recent) / minutes)
        return rates

    def purge(self, states: Iterable[JobState], before: datetime) -> int:
        """Remove the records, logs and keys of jobs that ended before a moment.

        Args:
            states: of ended jobs; others are left alone.
            before: an aware time.

        Returns:
            How many were removed.
        """
        removed = 0
        for state in states:
            # What is kept stays at the front of the index, and is skipped in the next step.
            skip = 0
            while state.ended:
                gone, kept = self._run(
                    "purge",
                    state=state.value,
                    before=iso(before),
                    score=_microseconds(before),
                    skip=skip,
                    limit=_PURGE_STEP,
                    time=now(),
                )
                removed, skip = removed + gone, skip + kept
                if gone + kept < _PURGE_STEP:
                    break
        return removed

    def remove(self, ids: Sequence[str]) -> int:
        """Remove the records, logs and keys of those of the jobs that have ended.

        Returns:
            How many were removed.
        """
        return sum(
            int(self._run("remove", time=now(), ids=ids[start : start + _PURGE_STEP]))
            for start in range(0, len(ids), _PURGE_STEP)
        )

    def retain(self, days: int) -> int:
        """Remove jobs that ended longer ago; 0 days keeps all. Returns how many were removed."""
        if not days:
            return 0
        return self.purge(JobState, datetime.now(UTC) - timedelta(days=days))

    def log(self, job_id: str, text: str, worker: str = "") -> None:
        """Add a line to a job's log, of which the last 200 are kept."""
        # Names of files may have bytes that are not UTF-8.
        text = text.encode(errors="backslashreplace").decode()
        self._run("log", id=job_id, time=now(), worker=worker, line=text)

    def logs(self, job_id: str) -> list[LogLine]:
        """A job's log, the oldest line first; empty if there is none."""
        with queue_errors():
            lines = cast("list[bytes]", self.client.lrange(f"{PREFIX}log:{job_id}", 0, -1))
        return [_line(line) for line in lines]


def _line(text: bytes) -> LogLine:
    with suppress(ValueError, TypeError):
        time, worker, line = json.loads(text)
        return LogLine(str(time), str(worker), str(line))
    return LogLine("", "", plain(text))


def _counts(values: Any, count: int) -> list[int]:
    """Numbers of a bucket; none count where that is damaged."""
    with suppress(ValueError, TypeError):
        return [int(value or 0) for value in values]
    return [0] * count


def _microseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
