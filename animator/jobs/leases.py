"""Leases on jobs in Redis: who works on a job, and what becomes of it if its lease runs out.

A worker holds a lease on each job that it runs and prolongs it again and again. Workers reap: a job
whose lease ran out goes back to the queue, or ends. A message to the workers may be lost, so jobs
that have waited for long can be told again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from animator import __version__
from animator.broker.connection import PREFIX, queue_errors
from animator.errors import AnimatorError
from animator.jobs.reading import Unreadable
from animator.jobs.records import QUEUES, JobRecords
from animator.record import JobError, JobRecord, JobState
from animator.values import now, plain

logger = logging.getLogger(__name__)

_LOOKED_AFTER = [
    PREFIX + name
    for name in ("leases", "jobs:running", "jobs:queued", "unswept")
    + tuple(f"waiting:{queue}" for queue in QUEUES.values())
]
"""Keys that are there while a job may have to be looked after."""


@dataclass(frozen=True)
class Renewal:
    """What a worker learns about a job when it prolongs its lease."""

    owned: bool
    """False once the job is no longer this attempt's."""
    cancel: bool
    """Whether someone asked for it to be cancelled."""
    preview: bool = False
    """Whether somebody looks at its newest frame."""


@dataclass(frozen=True)
class Reaped:
    """A job whose lease ran out."""

    id: str
    state: JobState
    """Queued again, cancelled as someone had asked, or failed after too many attempts."""
    attempt: int
    """The attempt that was not heard of."""
    worker: str
    """Its worker."""
    record: JobRecord | None
    """The job as it is now; None if its record cannot be read."""


class JobLeases(JobRecords):
    """Claims jobs, and looks after those that are claimed and those that nobody claims."""

    def claim(
        self, job_id: str, worker: str, lease_seconds: float = 15.0, *, isolated: bool = False
    ) -> JobRecord | None:
        """Take a queued job; None if it is not queued.

        Args:
            job_id: the job.
            worker: who takes it.
            lease_seconds: how long it is the worker's without a word from it.
            isolated: whether it is run in a process of its own. A suspect job always is, so look
                at the record that comes back.

        Raises:
            AnimatorError: `record_unreadable`. Nobody gets such a job: it fails, or is left to
                workers of the newer version that wrote it.
        """
        # Before it is taken, as afterwards a worker of another version could not have it.
        (before,) = self.read_each([job_id])
        if isinstance(before, Unreadable):
            self.set_aside(before)
            raise AnimatorError(before.error.code, before.error.message)
        # The token tells a claim that is sent twice from that of another worker.
        attempt = self._run(
            "claim",
            id=job_id,
            worker=worker,
            time=now(),
            version=__version__,
            lease=_milliseconds(lease_seconds),
            isolated=int(isolated),
            token=secrets.token_hex(8),
        )
        return self.get(job_id) if attempt else None

    def renew(self, attempts: Mapping[str, int], lease_seconds: float) -> dict[str, Renewal]:
        """Prolong the leases of jobs, named by id and attempt, in one round trip.

        With a lease of 0 seconds they stay as they are, and one only learns how things are.
        """
        if not attempts:
            return {}
        # Id, attempt, id, attempt, ...
        flat = [part for pair in attempts.items() for part in pair]
        answers = self._run("renew", lease=_milliseconds(lease_seconds), attempts=flat)
        return {
            job_id: Renewal(answer > 0, bool(answer & 2), bool(answer & 4))
            for job_id, answer in zip(attempts, answers, strict=True)
        }

    def clock(self) -> float:
        """The time by the clock of Redis: seconds since 1970."""
        return self.glance()[0]

    def glance(self) -> tuple[float, bool]:
        """The time by the clock of Redis, and whether any job is to be looked after.

        That is asked by all workers all the time, so it is two cheap commands in one round trip.
        None is while none runs or waits and what ended has been swept: then there is nothing for
        `reap`, `waiting` and `unswept` to find.
        """
        with queue_errors():
            pipeline = self.client.pipeline(transaction=False)
            pipeline.time()
            pipeline.exists(*_LOOKED_AFTER)  # an empty sorted set is none
            (seconds, micros), there = pipeline.execute()
        return float(seconds + micros / 1e6), bool(there)

    def take_turn(self, work: str, seconds: float) -> bool:
        """Whether this worker is the one of the farm that does some work now.

        Args:
            work: its name.
            seconds: how long nobody else gets it, ended or not.
        """
        return bool(self._run("turn", work=work, held=_milliseconds(seconds)))

    def reap(
        self, max_attempts: int, limit: int = 100, *, expected: tuple[float, float] | None = None
    ) -> list[Reaped]:
        """Queue the jobs again whose lease ran out, or end them; workers are not told yet.

        A lease that ends later than its worker can have asked for is shortened first.

        Args:
            max_attempts: how many of a job's leases may run out before it ends as failed.
            limit: most jobs at a time.
            expected: the time that Redis's clock is expected to show, and how far off it may be,
                in seconds. If it is further off, nothing is done.
        """
        sentence = f"The workers of {max_attempts} attempts ended without a word."
        # Of jobs that end here; made before it is known whether there are any.
        error = JobError("too_many_attempts", sentence, True)
        damaged = JobError("record_unreadable", "The job's record is damaged.")
        clock, tolerance = expected or (0.0, 0.0)
        found = self._run(
            "reap",
            time=now(),
            max_lapses=max_attempts,
            limit=limit,
            failure=error.to_json(),
            damaged=damaged.to_json(),
            expected=_milliseconds(clock),
            tolerance=_milliseconds(tolerance),
        )
        records = self.read_each([plain(job_id) for job_id, *_ in found])
        return [
            Reaped(
                id=plain(job_id),
                state=JobState(state.decode()),
                attempt=int(attempt) if attempt.isdigit() else 0,
                worker=plain(worker),
                record=record if isinstance(record, JobRecord) else None,
            )
            for (job_id, state, attempt, worker), record in zip(found, records, strict=True)
        ]

    def waiting(self, older_than_seconds: float, limit: int = 100) -> list[JobRecord]:
        """Queued jobs that workers were told of at least so long ago, the longest ago first.

        Those among them whose records cannot be read are set aside.

        Args:
            older_than_seconds: how long ago.
            limit: most jobs of each kind and priority.
        """
        age = _milliseconds(older_than_seconds)
        ids = self._run("waiting", age=age, limit=limit, queues=[*QUEUES.values()])
        ids = [plain(job_id) for job_id in ids]
        waiting = []
        for job_id, found in zip(ids, self.read_each(ids), strict=True):
            if isinstance(found, JobRecord):
                # By now some may have been taken.
                if found.state is JobState.QUEUED:
                    waiting.append(found)
            elif found is not None:
                self.set_aside(found)
            else:
                self._set_aside(job_id, JobError("record_unreadable", "There is no record."))
        return waiting

    def set_aside(self, found: Unreadable) -> None:
        """End a queued job whose record cannot be read, so that it holds up no other.

        One that a newer version wrote is not ended: workers of that version can run it.
        """
        if found.state not in (JobState.QUEUED, None):
            return  # it is somebody's, or has ended
        if found.newer:
            logger.warning("%s It is left to workers of that version.", found.error.message)
            self.told(found.id)
            return
        logger.error("%s", found.error.message)
        self._set_aside(found.id, found.error)

    def _set_aside(self, job_id: str, error: JobError) -> None:
        queues = [*QUEUES.values()]
        self._run("set_aside", id=job_id, time=now(), failure=error.to_json(), queues=queues)

    def unswept(self, older_than_seconds: float, limit: int = 100) -> dict[str, JobRecord | None]:
        """Jobs that ended at least so long ago, by id, and were not looked after since.

        A worker removes the folder of a job that it ended, but may be killed just before. The
        record is None if it has been purged or cannot be read.
        """
        found = self._run("unswept", age=_milliseconds(older_than_seconds), limit=limit)
        ids = [plain(job_id) for job_id in found]
        return {
            job_id: record if isinstance(record, JobRecord) else None
            for job_id, record in zip(ids, self.read_each(ids), strict=True)
        }

    def sweep_later(self, *ids: str) -> None:
        """Have these jobs looked after as if they had ended just now."""
        if ids:
            score = _milliseconds(self.clock())
            with queue_errors():
                self.client.zadd(f"{PREFIX}unswept", dict.fromkeys(ids, score), xx=True)

    def swept(self, *ids: str) -> None:
        """Note that nothing is left of these jobs beside their records and outputs."""
        if ids:
            self._run("swept", ids=ids)

    def told(self, *ids: str) -> None:
        """Note that workers were told of these jobs just now."""
        if ids:
            self._run("told", ids=ids)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
