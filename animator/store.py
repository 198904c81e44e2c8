"""The job records in Redis, and who works on them.

Keys, all of them under `animator:` so that a Redis can be shared:

    animator:job:<id>          hash: the record
    animator:jobs              sorted set: every id by time of creation (microseconds)
    animator:jobs:<state>      sorted set: the same, for the jobs in one state
    animator:outputs           hash: output path to the id of the job that is going to write it
    animator:worker:<id>       a worker's last sign of life, as JSON, with a time to live
    animator:workers           set: ids of workers that may still have such a key

Every change of state is one Lua script (`animator.transitions`), so a job is never between two
states and two workers never get the same job. The record is the truth; a message in the broker is
only a hint to look at it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from animator import __version__, transitions
from animator.errors import AnimatorError
from animator.spec import JobError, JobRecord, JobSpec, JobState, Progress, Result

PREFIX = "animator:"
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # no letters that look like digits
_ID_LENGTH = 12


@dataclass(frozen=True)
class WorkerInfo:
    """A worker's last sign of life."""

    id: str
    host: str
    pid: int
    started: str
    """When it began: UTC, ISO 8601."""
    concurrency: int
    consuming: bool
    """Whether it takes new jobs; a worker that is shutting down does not."""
    version: str

    def to_json(self) -> str:
        """The sign of life as one line of JSON."""
        return json.dumps(asdict(self))


def now() -> str:
    """The present time as records hold it: UTC, ISO 8601, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def queue_errors() -> Iterator[None]:
    """Turn what the Redis client raises into `queue_unavailable`, which a retry may cure."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise AnimatorError(
            "queue_unavailable", f"The job queue does not answer: {error}.", retryable=True
        ) from error


def connect(url: str) -> redis.Redis:
    """A client for `redis://`, `rediss://` or `redis+socket://`; nothing is sent yet.

    Raises:
        AnimatorError: `invalid_option` if the address cannot be understood.
    """
    if url.startswith("redis+socket://"):
        url = "unix://" + url.removeprefix("redis+socket://")
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=20,
            socket_connect_timeout=5,
            health_check_interval=30,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        )
    except ValueError as error:
        raise AnimatorError("invalid_option", f"ANIMATOR_BROKER_URL: {error}.") from error


class JobStore:
    """Job records behind atomic changes of state.

    Every method raises `AnimatorError` with `queue_unavailable` if Redis does not answer.

    Args:
        client: a Redis client as `connect` makes it.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._scripts: dict[str, Any] = {}

    def _run(self, script: str, job_id: str, *arguments: str | bytes | int) -> Any:
        with queue_errors():
            if script not in self._scripts:
                self._scripts[script] = self.client.register_script(transitions.PREAMBLE + script)
            return self._scripts[script](args=[PREFIX, job_id, *arguments])

    def ping(self) -> None:
        """Raise `queue_unavailable` if Redis does not answer."""
        with queue_errors():
            self.client.ping()

    # Records

    def create(self, spec: JobSpec, *, overwrite: bool = True) -> JobRecord:
        """Record a new job as queued. The broker is told by `animator.queue`.

        Args:
            spec: the job.
            overwrite: whether a job that has not ended may have the same output.

        Raises:
            AnimatorError: `output_exists` if one has and may not.
        """
        created = now()
        values = {
            "spec": spec.to_json(),
            "state": JobState.QUEUED.value,
            "attempt": "0",
            "created": created,
            "version": __version__,
        }
        flat = [part for pair in values.items() for part in pair]
        while True:
            job_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
            score, output = time.time_ns() // 1000, os.fsencode(spec.output)
            made = self._run(transitions.CREATE, job_id, score, output, int(overwrite), *flat)
            if made == 1:
                return JobRecord(job_id, spec, JobState.QUEUED, created, __version__)
            if made != 0:
                raise AnimatorError(
                    "output_exists", f"Job {made.decode()} is going to write {spec.output!r}."
                )

    def get(self, job_id: str) -> JobRecord:
        """The record of one job.

        Raises:
            AnimatorError: `no_such_job`.
        """
        with queue_errors():
            values = cast("dict[bytes, bytes]", self.client.hgetall(f"{PREFIX}job:{job_id}"))
        if not values:
            raise AnimatorError("no_such_job", f"There is no job {job_id!r}.")
        return _record(job_id, values)

    def list_jobs(
        self, state: JobState | None = None, *, limit: int = 50, offset: int = 0
    ) -> list[JobRecord]:
        """Records, the newest first, of one state or of all."""
        index = f"{PREFIX}jobs" if state is None else f"{PREFIX}jobs:{state.value}"
        with queue_errors():
            ids = cast("list[bytes]", self.client.zrevrange(index, offset, offset + limit - 1))
            pipeline = self.client.pipeline(transaction=False)
            for job_id in ids:
                pipeline.hgetall(f"{PREFIX}job:{job_id.decode()}")
            found = pipeline.execute()
        return [
            _record(job_id.decode(), values)
            for job_id, values in zip(ids, found, strict=True)
            if values
        ]

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with queue_errors():
            pipeline = self.client.pipeline(transaction=False)
            for state in JobState:
                pipeline.zcard(f"{PREFIX}jobs:{state.value}")
            return dict(zip(JobState, pipeline.execute(), strict=True))

    # The life of a job. Changes by a worker name the attempt, and those of an earlier one are
    # refused: a worker that lost its job cannot touch it any more.

    def claim(self, job_id: str, worker: str) -> JobRecord | None:
        """Take a queued job, or one whose worker is gone; None if there is nothing to take."""
        if not self._run(transitions.CLAIM, job_id, worker, now(), __version__):
            return None
        return self.get(job_id)

    def report(self, job_id: str, attempt: int, progress: Progress) -> bool:
        """Write how far the job is; False if the attempt no longer owns it."""
        return bool(self._run(transitions.PROGRESS, job_id, attempt, progress.to_json()))

    def succeed(self, job_id: str, attempt: int, result: Result) -> bool:
        """End the job as succeeded; False if the attempt no longer owns it."""
        return self._leave(job_id, attempt, JobState.SUCCEEDED, result=result.to_json())

    def fail(self, job_id: str, attempt: int, error: JobError) -> bool:
        """End the job as failed; False if the attempt no longer owns it."""
        return self._leave(job_id, attempt, JobState.FAILED, error=error.to_json())

    def cancelled(self, job_id: str, attempt: int) -> bool:
        """End the job as cancelled; False if the attempt no longer owns it."""
        return self._leave(job_id, attempt, JobState.CANCELLED)

    def requeue(self, job_id: str, attempt: int) -> bool:
        """Give the job back, as a worker does that is told to stop at once."""
        return self._leave(job_id, attempt, JobState.QUEUED)

    def _leave(self, job_id: str, attempt: int, state: JobState, **values: str) -> bool:
        flat = [part for pair in values.items() for part in pair]
        return bool(self._run(transitions.LEAVE, job_id, attempt, state.value, now(), *flat))

    # Cancelling

    def request_cancel(self, job_id: str) -> JobState:
        """Cancel a queued job at once; ask the worker of a running one to stop.

        Returns:
            The state that follows; a job that has ended keeps its state.

        Raises:
            AnimatorError: `no_such_job`.
        """
        state = self._run(transitions.CANCEL, job_id, now())
        if state is None:
            raise AnimatorError("no_such_job", f"There is no job {job_id!r}.")
        return JobState(state.decode())

    def cancel_requested(self, job_id: str) -> bool:
        """Whether someone asked the running job to stop."""
        with queue_errors():
            return self.client.hget(f"{PREFIX}job:{job_id}", "cancel") == b"1"

    def abandon(self, job_id: str) -> bool:
        """End a running job whose worker gives no sign of life: as failed, `interrupted`.

        If cancelling had been asked for, it ends as cancelled.

        Returns:
            Whether the job was ended; False as long as its worker lives.
        """
        error = JobError("interrupted", "The worker stopped before the job was done.", True)
        return bool(self._run(transitions.ABANDON, job_id, error.to_json(), now()))

    # Workers

    def heartbeat(self, info: WorkerInfo, seconds: float) -> None:
        """Say that a worker lives; holds for the given time."""
        with queue_errors():
            pipeline = self.client.pipeline()
            pipeline.sadd(f"{PREFIX}workers", info.id)
            pipeline.set(f"{PREFIX}worker:{info.id}", info.to_json(), px=int(seconds * 1000))
            pipeline.execute()

    def forget(self, worker_id: str) -> None:
        """Remove the sign of life of a worker that ends."""
        with queue_errors():
            pipeline = self.client.pipeline()
            pipeline.delete(f"{PREFIX}worker:{worker_id}")
            pipeline.srem(f"{PREFIX}workers", worker_id)
            pipeline.execute()

    def workers(self) -> list[WorkerInfo]:
        """The workers that live."""
        with queue_errors():
            ids = sorted(cast("set[bytes]", self.client.smembers(f"{PREFIX}workers")))
            if not ids:
                return []
            found = cast(
                "list[bytes | None]",
                self.client.mget([f"{PREFIX}worker:{worker.decode()}" for worker in ids]),
            )
            if gone := [worker for worker, text in zip(ids, found, strict=True) if text is None]:
                self.client.srem(f"{PREFIX}workers", *gone)
        return [WorkerInfo(**json.loads(text)) for text in found if text is not None]


def _record(job_id: str, values: Mapping[bytes, bytes]) -> JobRecord:
    def text(name: str) -> str | None:
        value = values.get(name.encode())
        return None if value is None else value.decode()

    progress, error, result = text("progress"), text("error"), text("result")
    return JobRecord(
        id=job_id,
        spec=JobSpec.from_json(values[b"spec"]),
        state=JobState(values[b"state"].decode()),
        created=values[b"created"].decode(),
        version=values[b"version"].decode(),
        attempt=int(values[b"attempt"]),
        progress=None if progress is None else Progress.from_json(progress),
        error=None if error is None else JobError.from_json(error),
        result=None if result is None else Result.from_json(result),
        started=text("started"),
        finished=text("finished"),
        worker=text("worker"),
        cancel_requested=text("cancel") == "1",
    )
