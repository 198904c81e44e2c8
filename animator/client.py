"""The queue as a program uses it: submit a job, look at it, wait for it, cancel it.

client = Client.connect()
job = client.submit(JobSpec(source="/a/portrait.png", driving="/a/clip.mp4", output="/a/o.mp4"))
record = client.wait(job.id, work=True)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from animator.errors import AnimatorError
from animator.preflight import check_files
from animator.queue import Queue, WorkerHandle, load_queue, open_store
from animator.settings import Settings
from animator.spec import JobRecord, JobSpec, JobState
from animator.store import JobStore

POLL_SECONDS = 0.1
SUPERVISE_SECONDS = 1.0
"""Time between two looks at whether somebody works on the job."""
OUTAGE_SECONDS = 60.0
"""How long a store that does not answer is waited for."""
CANCEL_SECONDS = 20.0
"""How long a job may take to stop after it was cancelled, before its worker is ended."""


class Client:
    """A job queue and its store.

    Args:
        settings: which queue.
        store: where the records are.
        queue: where workers are told of jobs.
    """

    def __init__(self, settings: Settings, store: JobStore, queue: Queue) -> None:
        self.settings = settings
        self.store = store
        self.queue = queue

    @classmethod
    def connect(cls, settings: Settings | None = None) -> Client:
        """The client for the queue that the settings, or else the environment, ask for.

        Raises:
            AnimatorError: `queue_unavailable`.
        """
        settings = settings or Settings.from_environment()
        store = open_store(settings)
        return cls(settings, store, load_queue(settings, store))

    def submit(self, spec: JobSpec, *, overwrite: bool = False) -> JobRecord:
        """Check a job's files, record it and tell the workers.

        Args:
            spec: the job.
            overwrite: whether the output may replace a file, or that of a job before it.

        Raises:
            AnimatorError: as `animator.preflight.check_files`, or `queue_unavailable`.
        """
        check_files(spec, overwrite=overwrite, settings=self.settings)
        record = self.store.create(spec, overwrite=overwrite)
        try:
            self.queue.enqueue(record.id, record.options.priority, record.spec.kind)
        except AnimatorError:
            # Nobody was told, so the record must not say that it waits.
            with contextlib.suppress(AnimatorError):
                self.store.request_cancel(record.id)
            raise
        return record

    def wait(
        self,
        job_id: str,
        *,
        work: bool = False,
        on_change: Callable[[JobRecord], None] = lambda record: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> JobRecord:
        """Wait until a job has ended.

        Args:
            job_id: the job.
            work: start a worker while no other takes jobs; it ends when the job has ended.
            on_change: called with every snapshot of the record.
            should_stop: polled; once true, the job is cancelled.

        Returns:
            The record of the ended job.

        Raises:
            AnimatorError: `no_such_job`, or `queue_unavailable` if the store stays away or if no
                worker can be started.
        """
        watch = _Watch(self, job_id, work)
        try:
            while True:
                record = watch.look()
                on_change(record)
                if record.state.ended:
                    return record
                if should_stop():
                    watch.cancel()
                time.sleep(POLL_SECONDS)
        finally:
            watch.end()


class _Watch:
    """The state of one `Client.wait`."""

    def __init__(self, client: Client, job_id: str, work: bool) -> None:
        self._client = client
        self._job_id = job_id
        self._work = work
        self._worker: WorkerHandle | None = None
        self._supervised = 0.0
        self._answered = time.monotonic()
        self._cancelled: float | None = None

    def look(self) -> JobRecord:
        """The record as it is now, after seeing to it that somebody works on it."""
        while True:
            try:
                record = self._client.store.get(self._job_id)
                if time.monotonic() - self._supervised >= SUPERVISE_SECONDS:
                    self._supervised = time.monotonic()
                    self._supervise(record)
            except AnimatorError as error:
                if not error.retryable or time.monotonic() - self._answered > OUTAGE_SECONDS:
                    raise
                time.sleep(POLL_SECONDS)
                continue
            self._answered = time.monotonic()
            return record

    def cancel(self) -> None:
        """Ask for the job to be cancelled; end our own worker if it does not obey."""
        if self._cancelled is None:
            self._client.store.request_cancel(self._job_id)
            self._cancelled = time.monotonic()
        elif time.monotonic() - self._cancelled > CANCEL_SECONDS and self._worker is not None:
            record = self._client.store.get(self._job_id)
            self._worker.kill()
            if record.worker is not None and self._worker.runs_as(record.worker):
                self._client.store.forget(record.worker)
                self._client.store.abandon(self._job_id)

    def end(self) -> None:
        """Let our own worker end."""
        if self._worker is not None:
            self._worker.stop()

    def _supervise(self, record: JobRecord) -> None:
        if record.state is JobState.RUNNING:
            # Ends the job only if its worker has given no sign of life for a while.
            self._client.store.abandon(self._job_id)
        elif record.state is JobState.QUEUED and self._work:
            self._provide_worker()

    def _provide_worker(self) -> None:
        if self._client.queue.alive_workers():
            return
        if self._worker is None:
            self._worker = self._client.queue.start_worker()
        elif not self._worker.alive():
            log = self._worker.log
            self._worker = None
            raise AnimatorError(
                "queue_unavailable",
                f"The worker ended at once; its log is {str(log)!r}. The job stays queued.",
            )
