"""Job records in Redis: made, and read each by itself."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from animator import __version__
from animator.broker.connection import PREFIX, RedisBase, queue_errors
from animator.errors import AnimatorError
from animator.jobs.reading import Unreadable, read_record
from animator.jobs.scripts import SCRIPTS
from animator.options import Kind, Priority
from animator.record import JobRecord, JobState
from animator.spec import JobOptions, JobSpec
from animator.values import now

QUEUES: dict[tuple[Kind, Priority], str] = {
    (kind, priority): f"{kind}.{priority}"
    for kind in get_args(Kind)
    for priority in get_args(Priority)
}
"""Names of the queues by who can run their jobs and how urgent these are."""
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # no letters that look like digits
_ID_LENGTH = 12
_STATES = {state.value.encode() for state in JobState}
_CHUNK = 500
"""Commands that are sent in one go."""


@dataclass(frozen=True)
class JobRequest:
    """A job to be recorded."""

    spec: JobSpec
    options: JobOptions = JobOptions()


@dataclass(frozen=True)
class Submission:
    """What came of a request."""

    record: JobRecord
    new: bool
    """False for the record of an earlier request with the same key."""


class JobRecords(RedisBase):
    """Makes and reads records.

    Every method raises `AnimatorError` with `queue_unavailable` if Redis does not answer.
    """

    scripts = SCRIPTS

    def create(
        self, spec: JobSpec, *, overwrite: bool = True, options: JobOptions | None = None
    ) -> JobRecord:
        """Record a new job as queued, or find the one that has its key.

        The broker is told by `animator.jobs.queue`.

        Args:
            spec: the job.
            overwrite: whether a job that has not ended may have the same output.
            options: how it is treated.

        Raises:
            AnimatorError: `output_exists` if one has and may not.
        """
        request = JobRequest(spec, options or JobOptions())
        (made,) = self.create_many([request], overwrite=overwrite)
        if isinstance(made, AnimatorError):
            raise made
        return made.record

    def create_many(
        self, requests: Sequence[JobRequest], *, overwrite: bool = True
    ) -> list[Submission | AnimatorError]:
        """Record many jobs in few round trips; they are listed in the order given.

        Returns:
            For each request the record, or the error that `create` would raise.
        """
        found: list[Submission | AnimatorError] = []
        for start in range(0, len(requests), _CHUNK):
            found += self._create_chunk(requests[start : start + _CHUNK], overwrite)
        return found

    def _create_chunk(
        self, requests: Sequence[JobRequest], overwrite: bool
    ) -> list[Submission | AnimatorError]:
        # One moment for all; scores a microsecond apart keep them in order.
        created, score = now(), time.time_ns() // 1000
        pipeline = self.client.pipeline(transaction=False)
        ids = [_new_id() for _ in requests]
        for place, (job_id, request) in enumerate(zip(ids, requests, strict=True)):
            fields = {
                "spec": request.spec.to_json(),
                "options": request.options.to_json(),
                "queue": QUEUES[request.spec.kind, request.options.priority],
                "created": created,
                "version": __version__,
            }
            self._run(
                "create",
                client=pipeline,
                id=job_id,
                score=score + place,
                output=os.fsencode(request.spec.output),
                shared=int(overwrite),
                key=request.options.key or "",
                time=created,
                fields=[part for pair in fields.items() for part in pair],
            )
        with queue_errors():
            answers = pipeline.execute()
        # 0: earlier jobs with the same key, whose records are the answer.
        others = _texts(answers, 0)
        there = dict(zip(others, self.read_each(others), strict=True))
        found: list[Submission | AnimatorError] = []
        for job_id, request, (code, other) in zip(ids, requests, answers, strict=True):
            if code == 1:
                made = JobRecord(
                    job_id,
                    request.spec,
                    JobState.QUEUED,
                    created,
                    __version__,
                    options=request.options,
                )
                found.append(Submission(made, True))
            elif code == -1:
                sentence = f"Job {other.decode()} is going to write {request.spec.output!r}."
                found.append(AnimatorError("output_exists", sentence))
            elif isinstance(record := there.get(other.decode()), JobRecord):
                found.append(Submission(record, False))
            elif record is not None:
                found.append(AnimatorError(record.error.code, record.error.message))
            else:  # removed in this very moment
                found += self._create_chunk([request], overwrite)
        return found

    def get(self, job_id: str) -> JobRecord:
        """The record of one job.

        Raises:
            AnimatorError: `no_such_job`; `record_unreadable` if this version cannot read it.
        """
        (found,) = self.read_each([job_id])
        if isinstance(found, Unreadable):
            raise AnimatorError(found.error.code, found.error.message)
        if found is None:
            raise AnimatorError("no_such_job", f"There is no job {job_id!r}.")
        return found

    def get_many(self, ids: Sequence[str]) -> list[JobRecord]:
        """The records of those of the jobs that exist, in the order given.

        For one that cannot be read stands a record of the same id and state, whose error has the
        code `record_unreadable`.
        """
        return [
            one.stand_in() if isinstance(one, Unreadable) else one
            for one in self.read_each(ids)
            if one is not None
        ]

    def read_each(self, ids: Sequence[str]) -> list[JobRecord | Unreadable | None]:
        """For each job its record, or why it cannot be read; None if there is none."""
        if not ids:
            return []
        with queue_errors():
            pipeline = self.client.pipeline(transaction=False)
            # Leases end by the clock of Redis, so that is asked for, too.
            pipeline.time()
            pipeline.zmscore(f"{PREFIX}leases", cast("Any", ids))
            for job_id in ids:
                pipeline.hgetall(f"{PREFIX}job:{job_id}")
            # What is no record is an answer of its own, not the end of all the others.
            (seconds, micros), expiries, *found = pipeline.execute(raise_on_error=False)
        clock = seconds + micros / 1e6
        return [
            read_record(job_id, values, None if expiry is None else expiry / 1000 - clock)
            for job_id, values, expiry in zip(ids, found, expiries, strict=True)
        ]

    def states(self, ids: Sequence[str]) -> dict[str, JobState]:
        """The states of those of the jobs that exist: less to fetch than their records."""
        if not ids:
            return {}
        with queue_errors():
            pipeline = self.client.pipeline(transaction=False)
            for job_id in ids:
                pipeline.hget(f"{PREFIX}job:{job_id}", "state")
            found = pipeline.execute(raise_on_error=False)
        return {
            job_id: JobState(state.decode())
            for job_id, state in zip(ids, found, strict=True)
            if state in _STATES
        }

    def find_keys(self, keys: Sequence[str]) -> dict[str, JobRecord]:
        """The jobs that were submitted with some keys, by key; without those that do not exist."""
        if not keys:
            return {}
        with queue_errors():
            ids = cast("list[bytes | None]", self.client.hmget(f"{PREFIX}keys", list(keys)))
        there = {key: job_id.decode() for key, job_id in zip(keys, ids, strict=True) if job_id}
        records = self.read_each(list(there.values()))
        return {
            key: record
            for key, record in zip(there, records, strict=True)
            if isinstance(record, JobRecord)
        }


def _new_id() -> str:
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))


def _texts(answers: Sequence[tuple[int, bytes]], wanted: int) -> list[str]:
    return [text.decode() for code, text in answers if code == wanted]
