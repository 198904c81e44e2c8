"""Leases on jobs in Redis: who works on a job, and what becomes of it if its lease runs out.

A worker holds a lease on each job that it runs and prolongs it again and again. Workers reap: a job
whose lease ran out goes back to the queue, or ends. A message to the workers may be lost, so jobs
that have waited for long can be told again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from animator import __version__
from animator.jobs.records import QUEUES, JobRecords
from animator.spec import JobError, JobOptions, JobRecord, JobSpec, JobState
from animator.values import now


@dataclass(frozen=True)
class Renewal:
    """What a worker learns about a job when it prolongs its lease."""

    owned: bool
    """False once the job is no longer this attempt's."""
    cancel: bool
    """Whether someone asked for it to be cancelled."""


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
    spec: JobSpec
    options: JobOptions


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
        """
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
            job_id: Renewal(answer > 0, answer == 2)
            for job_id, answer in zip(attempts, answers, strict=True)
        }

    def reap(self, max_attempts: int, limit: int = 100) -> list[Reaped]:
        """Queue the jobs again whose lease ran out, or end them; workers are not told yet.

        Args:
            max_attempts: how many of a job's leases may run out before it ends as failed.
            limit: most jobs at a time.
        """
        sentence = f"The workers of {max_attempts} attempts ended without a word."
        # Of jobs that end here; made before it is known whether there are any.
        error = JobError("too_many_attempts", sentence, True)
        found = self._run(
            "reap", time=now(), max_lapses=max_attempts, limit=limit, failure=error.to_json()
        )
        return [
            Reaped(
                id=job_id.decode(),
                state=JobState(state.decode()),
                attempt=int(attempt),
                worker=worker.decode(),
                spec=JobSpec.from_json(spec),
                options=JobOptions.from_json(options) if options else JobOptions(),
            )
            for job_id, state, attempt, worker, spec, options in found
        ]

    def waiting(self, older_than_seconds: float, limit: int = 100) -> list[JobRecord]:
        """Queued jobs that workers were told of at least so long ago, the longest ago first.

        Args:
            older_than_seconds: how long ago.
            limit: most jobs of each kind and priority.
        """
        age = _milliseconds(older_than_seconds)
        ids = self._run("waiting", age=age, limit=limit, queues=[*QUEUES.values()])
        # By now some may have been taken.
        records = self.get_many([job_id.decode() for job_id in ids])
        return [record for record in records if record.state is JobState.QUEUED]

    def unswept(self, older_than_seconds: float, limit: int = 100) -> dict[str, JobRecord | None]:
        """Jobs that ended at least so long ago, by id, and were not looked after since.

        A worker removes the folder of a job that it ended, but may be killed just before. The
        record is None if it has been purged.
        """
        found = self._run("unswept", age=_milliseconds(older_than_seconds), limit=limit)
        ids = [job_id.decode() for job_id in found]
        records = {record.id: record for record in self.get_many(ids)}
        return {job_id: records.get(job_id) for job_id in ids}

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
