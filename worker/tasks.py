"""The task: look at the record, run the pipeline, write what came of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import shared_task
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from animator.errors import AnimatorError, JobCancelled
from animator.settings import Settings
from animator.spec import JobError, JobRecord, Progress, Result
from animator.store import JobStore
from worker.celery import TASK
from worker.presence import presence, stopping

logger = logging.getLogger(__name__)

REPORT_SECONDS = 0.2
"""Least time between two writes of the progress within a stage."""
POLL_SECONDS = 0.25
"""Least time between two looks at whether someone cancelled the job."""
KEEP_TRYING_SECONDS = 600.0
"""How long the end of a job is offered to a store that does not answer."""


class JobMonitor:
    """Links a running job with its record, without slowing the job down.

    The pipeline may call from any of its threads and as often as it likes. A store that does not
    answer never stops a job.

    Args:
        store: where the record is.
        record: the job, as it was claimed.
    """

    def __init__(self, store: JobStore, record: JobRecord) -> None:
        self._store = store
        self._record = record
        self._lock = threading.Lock()
        self._stage: str | None = None
        self._reported = 0.0
        self._unwritten: Progress | None = None
        self._polled = 0.0
        self._cancelled = False

    def report(self, progress: Progress) -> None:
        """Write the progress if the stage is new or the last write is a while ago."""
        with self._lock:
            self._unwritten = progress
            due = time.monotonic() - self._reported >= REPORT_SECONDS
            if due or progress.stage != self._stage:
                self._write()

    def flush(self) -> None:
        """Write the latest progress if it has not been written."""
        with self._lock:
            if self._unwritten is not None:
                self._write()

    def _write(self) -> None:
        progress = self._unwritten
        assert progress is not None
        self._unwritten, self._stage, self._reported = None, progress.stage, time.monotonic()
        try:
            self._store.report(self._record.id, self._record.attempt, progress)
        except AnimatorError as error:
            logger.warning("job %s: the progress was not written: %s", self._record.id, error)

    def should_stop(self) -> bool:
        """Whether the job is to stop, because it was cancelled or because the worker ends."""
        return stopping() or self.cancelled()

    def cancelled(self) -> bool:
        """Whether someone asked for the job to be cancelled."""
        with self._lock:
            if not self._cancelled and time.monotonic() - self._polled >= POLL_SECONDS:
                self._polled = time.monotonic()
                try:
                    self._cancelled = self._store.cancel_requested(self._record.id)
                except AnimatorError as error:
                    logger.warning("job %s: not asked for cancelling: %s", self._record.id, error)
            return self._cancelled


def load_pipeline() -> Callable[..., Result]:
    """The pipeline; it brings the heavy libraries and is imported by the first job."""
    from animator.pipeline import animate

    return animate


@shared_task(name=TASK, acks_late=True, ignore_result=True)
def animate_job(job_id: str) -> None:
    """Run a job of the store, unless it is no longer to be run."""
    settings = Settings.from_environment()
    presence().start()  # of a process pool's child, whose consumer is its parent
    store = presence().store
    try:
        record = store.claim(job_id, presence().id)
    except AnimatorError as error:
        if error.code == "no_such_job":
            record = None
        else:
            time.sleep(1)  # the message comes back at once
            raise Reject(error, requeue=True) from error
    if record is None:
        logger.info("job %s: nothing to do, it is not queued", job_id)
        return
    run_claimed(settings, store, record)


def run_claimed(settings: Settings, store: JobStore, record: JobRecord) -> None:
    """Run a claimed job to its end and write the end into its record."""
    logger.info("job %s: attempt %d begins", record.id, record.attempt)
    monitor = JobMonitor(store, record)
    try:
        result = load_pipeline()(
            settings.apply_to(record.spec),
            report=monitor.report,
            should_stop=monitor.should_stop,
            limits=settings.limits(),
        )
    except AnimatorError as error:
        logger.info("job %s: failed [%s]: %s", record.id, error.code, error.message)
        _end(store.fail, record, JobError.of(error))
    except JobCancelled:
        _stopped(store, record, monitor)
    except MemoryError:
        logger.exception("job %s: out of memory", record.id)
        message = "The machine has not enough memory for this job."
        _end(store.fail, record, JobError("out_of_memory", message, True))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be on record
        logger.exception("job %s: a fault in the animator", record.id)
        message = f"{type(error).__name__}: {error} (the traceback is in the worker's log)."
        _end(store.fail, record, JobError("internal", message))
    except BaseException:
        # A shutdown raises SystemExit wherever it finds the job (pools other than threads).
        _give_back(store, record)
        raise
    else:
        logger.info("job %s: done, %d frames", record.id, result.frames)
        monitor.flush()
        _end(store.succeed, record, result)


def _stopped(store: JobStore, record: JobRecord, monitor: JobMonitor) -> None:
    """End a job that stopped when it was told to: cancelled, or back to the queue."""
    if monitor.cancelled() or not stopping():
        logger.info("job %s: cancelled", record.id)
        _end(store.cancelled, record)
    else:
        _give_back(store, record)


def _give_back(store: JobStore, record: JobRecord) -> None:
    """Return a job that has not ended to the queue, for another worker."""
    if not _end(store.requeue, record):
        return
    try:
        # A message of its own: Celery acknowledges the present one when the task returns.
        animate_job.apply_async((record.id,), task_id=record.id)
    except OperationalError:
        logger.exception("job %s: queued in its record, but no worker was told", record.id)


def _end(change: Callable[..., bool], record: JobRecord, *outcome: Any) -> bool:
    """Write the end of an attempt, however long the store is away; False if it was not ours."""
    deadline = time.monotonic() + KEEP_TRYING_SECONDS
    wait = 0.1
    while True:
        try:
            owned = change(record.id, record.attempt, *outcome)
            break
        except AnimatorError as error:
            if time.monotonic() > deadline:
                raise
            logger.warning("job %s: its end is not written yet: %s", record.id, error)
            time.sleep(wait)
            wait = min(2 * wait, 5.0)
    if not owned:
        logger.warning("job %s: ended, but it was no longer this worker's", record.id)
    return owned
