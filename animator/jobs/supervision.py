"""Waiting for a job, and seeing to it that somebody works: for as long as that, or on and on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from animator.errors import AnimatorError
from animator.jobs.queue import Queue, WorkerHandle
from animator.jobs.store import JobStore, WorkerInfo
from animator.record import JobRecord, JobState
from animator.settings import Settings
from animator.spec import JobSpec

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
SUPERVISE_SECONDS = 1.0
"""Time between two looks at whether somebody works on the job."""
OUTAGE_SECONDS = 60.0
"""How long a store that does not answer is waited for."""
CANCEL_SECONDS = 20.0
"""How long a job may take to stop after it was cancelled, before its worker is ended."""
MOST_WORKERS = 5
"""Workers that are started for one job, each after the one before has died."""
STEADY_SECONDS = 60.0
"""A kept worker that lives for so long has not died at once."""
LONGEST_PAUSE = 60.0
"""Between two starts of a kept worker; doubled from a second on as it dies again and again."""
PATIENCE_SECONDS = 8.0
"""How long workers that live may take no jobs, or may be silent after an outage of the store,
before another is started."""
STOP_SECONDS = 5.0
"""How long the thread that keeps a worker may take to end."""


class OwnWorker:
    """A worker that this process starts while nobody else works, and starts again if it dies.

    Args:
        store: where workers give their signs of life.
        queue: starts it.
        environment: variables of the worker beside those of this process.
    """

    def __init__(
        self, store: JobStore, queue: Queue, environment: Mapping[str, str] | None = None
    ) -> None:
        self._store, self._queue = store, queue
        self._environment = environment or {}
        self._handle: WorkerHandle | None = None
        self._started = 0
        self._seen = False
        # Of a worker that is kept
        self._born = self._next_start = 0.0
        self._deaths = 0
        self._trouble: str | None = None
        self._outage = False
        self._nobody_since: float | None = None

    @property
    def runs(self) -> bool:
        """Whether it was started and is not known to have died."""
        return self._handle is not None

    def is_one(self, worker_id: str) -> bool:
        """Whether a worker's sign of life, by its id, is this one's."""
        return self._handle is not None and self._handle.runs_as(worker_id)

    def look(self) -> list[WorkerInfo]:
        """All workers that live, after a look at what has become of this one.

        Raises:
            AnimatorError: `queue_unavailable` if it never lived, or has died many times.
        """
        died = self._bury()
        # One that was never seen ended while it started, and would do so again.
        if died is not None and (not self._seen or self._started >= MOST_WORKERS):
            how = "ended at once" if not self._seen else "died again and again"
            raise AnimatorError(
                "queue_unavailable",
                f"The worker {how}; its log is {died!r}. What waits stays in the queue.",
            )
        return self._living()

    def see_to(self, spec: JobSpec, workers: Sequence[WorkerInfo]) -> None:
        """Start it unless one of the workers takes such jobs.

        Raises:
            AnimatorError: `device_unavailable` if it runs and does not take them either.
        """
        takers = [one for one in workers if one.consuming]
        if any(spec.kind in ("any", one.kind) for one in takers):
            return
        if self._handle is None:
            self._start()
        # It runs, takes jobs, and still none takes this one: it never will be.
        elif ours := [one for one in takers if self.is_one(one.id)]:
            raise _no_device(spec, ours[0])

    def keep(self) -> str | None:
        """Start it if nobody takes jobs; called about once a second for as long as that is wanted.

        It is never given up: one that dies is started again, after longer and longer pauses while
        it dies at once.

        Returns:
            A sentence of what stands in the way of working, if anything is known to.
        """
        try:
            died = self._bury()
            workers = self._living()
        except AnimatorError as error:
            self._outage, self._nobody_since = True, None
            return error.message
        now = time.monotonic()
        if died is not None:
            self._note_death(f"The worker of this process ended; its log is {died!r}.", now)
        if any(one.consuming for one in workers):
            self._outage, self._nobody_since, self._trouble = False, None, None
            return None
        if self._handle is not None:  # it begins, or cannot reach its broker
            return self._trouble

        # Others may be about to take jobs again, or to say that they live.
        if self._nobody_since is None:
            self._nobody_since = now
        if (workers or self._outage) and now - self._nobody_since < PATIENCE_SECONDS:
            return None
        if now < self._next_start:
            return self._trouble
        try:
            self._start()
        except AnimatorError as error:
            self._note_death(error.message, now)
            return self._trouble
        self._outage, self._nobody_since = False, None
        return self._trouble

    def _note_death(self, sentence: str, now: float) -> None:
        """Have the next one wait, the longer the more often it has died soon."""
        self._deaths = 1 if self._seen and now - self._born >= STEADY_SECONDS else self._deaths + 1
        self._next_start = now + min(2.0 ** (self._deaths - 1), LONGEST_PAUSE)
        self._trouble = sentence

    def thrives(self) -> None:
        """Forget earlier deaths: it has got something done since."""
        self._started = 1

    def stop(self) -> None:
        """Ask it to end once its running jobs are done; asked again, it gives them back."""
        if self._handle is not None:
            self._handle.stop()

    def alive(self) -> bool:
        """Whether its process runs."""
        handle = self._handle  # another thread may keep it
        return handle is not None and handle.alive()

    def kill(self) -> None:
        """End it at once."""
        if self._handle is not None:
            self._handle.kill()

    def _living(self) -> list[WorkerInfo]:
        workers = self._store.workers()
        self._seen = self._seen or any(self.is_one(one.id) for one in workers)
        return workers

    def _start(self) -> None:
        self._handle = self._queue.start_worker(self._environment)
        self._started += 1
        self._seen = False
        self._born = time.monotonic()

    def _bury(self) -> str | None:
        """Forget it if it has died; returns the path of its log then."""
        if self._handle is None or self._handle.alive():
            return None
        # Its sign of life would last some seconds more, and nobody would be started.
        for one in self._store.workers():
            if self._handle.runs_as(one.id):
                self._store.forget(one.id)
        log = str(self._handle.log)
        self._handle = None
        return log


class WorkerKeeper:
    """A thread that keeps a worker for as long as this process wants one, see `OwnWorker.keep`.

    Args:
        store: where workers give their signs of life.
        queue: starts it.
        environment: variables of the worker beside those of this process.
    """

    def __init__(
        self, store: JobStore, queue: Queue, environment: Mapping[str, str] | None = None
    ) -> None:
        self._worker = OwnWorker(store, queue, environment)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker keeper", daemon=True)
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """A sentence of what stands in the way of working, if anything is known to."""
        return self._trouble

    def alive(self) -> bool:
        """Whether a worker that this process started runs."""
        return self._worker.alive()

    def start(self) -> None:
        """Begin; to be called once."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the worker to end once its running jobs are done, and keep none any more.

        Returns within `STOP_SECONDS`; what the thread waits for longer, such as a store that is
        away, ends with the process, and the worker follows that.
        """
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                trouble = self._worker.keep()
            except Exception as error:
                # A fault in one look must not be the end of all.
                logger.exception("a fault while a worker is kept")
                trouble = str(error)
            if trouble is not None and trouble != self._trouble:
                logger.warning("%s", trouble)
            self._trouble = trouble
            self._over.wait(SUPERVISE_SECONDS)
        # Here and once: asked a second time, it would give its jobs back.
        self._worker.stop()


class JobWait:
    """One wait for a job.

    Args:
        store: where the record is.
        queue: where workers are, and are started.
        settings: where this machine keeps files.
        job_id: the job.
        work: whether to start a worker while no other takes the job.
    """

    def __init__(
        self, store: JobStore, queue: Queue, settings: Settings, job_id: str, work: bool
    ) -> None:
        self._store = store
        self._settings = settings
        self._job_id = job_id
        self._work = work
        self._worker = OwnWorker(store, queue)
        self._supervised = 0.0
        self._answered = time.monotonic()
        self._cancelled: float | None = None

    def look(self) -> JobRecord:
        """The record as it is now, after seeing to it that somebody works on it."""
        while True:
            try:
                record = self._store.get(self._job_id)
                # The record is read ten times a second; looking at the workers is more work.
                if time.monotonic() - self._supervised >= SUPERVISE_SECONDS:
                    self._supervised = time.monotonic()
                    if self._work and not record.state.ended:
                        self._supervise(record)
            except AnimatorError as error:
                # The clock runs from the last answer, however many tries that was ago.
                if not error.retryable or time.monotonic() - self._answered > OUTAGE_SECONDS:
                    raise
                time.sleep(POLL_SECONDS)
                continue
            self._answered = time.monotonic()
            return record

    def cancel(self) -> None:
        """Ask for the job to be cancelled; end our own worker if it does not obey."""
        if self._cancelled is None:
            if self._store.request_cancel(self._job_id) is JobState.CANCELLED:
                discard(self._store.get(self._job_id), self._settings)
            self._cancelled = time.monotonic()
        # The job does not stop. Only a worker that this process started is its to kill.
        elif time.monotonic() - self._cancelled > CANCEL_SECONDS and self._worker.runs:
            record = self._store.get(self._job_id)
            self._worker.kill()
            if record.worker is not None and self._worker.is_one(record.worker):
                # The worker cannot tell any more.
                self._store.forget(record.worker)
                # Nobody else ends it sooner, and the process that could object is gone.
                if self._store.cancelled(record.id, record.attempt):
                    discard(record, self._settings)

    def end(self) -> None:
        """Let our own worker end."""
        self._worker.stop()

    def _supervise(self, record: JobRecord) -> None:
        """Start a worker if nobody can take the job, or if its worker is gone.

        A new worker queues the job of a dead one again as soon as that one's lease has run out.
        """
        workers = self._worker.look()
        if record.state is JobState.RUNNING and record.worker in {one.id for one in workers}:
            return
        self._worker.see_to(record.spec, workers)


def discard(record: JobRecord, settings: Settings) -> None:
    """Remove what attempts of an ended job have left beside its output, or on this machine.

    Args:
        record: the job.
        settings: where this machine keeps files.
    """
    from animator.workspace import staging

    staging.discard(record.spec.output, record.id, settings)


def _no_device(spec: JobSpec, ours: WorkerInfo) -> AnimatorError:
    return AnimatorError(
        "device_unavailable",
        f"The job asks for the device {spec.device!r}, which no running worker has; one on "
        f"this machine runs on {ours.device or ours.kind!r}. The job stays in the queue.",
    )
