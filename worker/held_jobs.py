"""The jobs that this process runs: their leases, progress, previews, and whether they are to stop.

One thread speaks with the store for all of them, so that a pipeline never waits for Redis: while
that is away, jobs go on, and as soon as it answers again, their leases are prolonged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from animator.errors import AnimatorError
from animator.jobs.store import JobStore, Renewal
from animator.record import JobRecord, Progress
from worker import metrics
from worker.logs import job_context
from worker.loop import start_loop

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""Time between two looks at whether a job is cancelled, or another worker's by now."""
REPORT_SECONDS = 0.5
"""Least time between two writes of a job's progress within a stage."""


class HeldJob:
    """A job that this process runs, as its pipeline sees it; any thread may use it.

    Args:
        record: the job, as it was claimed.
        message: id of the message that brought it.
        stopping: whether the worker wants its jobs back.

    Attributes:
        progress: how far it is; None before the first report.
        cancelled: whether someone asked for it to be cancelled.
        lost: whether it is another attempt's by now, so that nothing of it may be touched.
        ending: whether the pipeline is through and the end is being written.
        preview_wanted: whether somebody looks at its newest frame.
    """

    def __init__(
        self, record: JobRecord, message: str = "", stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self.record = record
        self.message = message
        self.progress: Progress | None = None
        self.cancelled = self.lost = self.ending = self.preview_wanted = False
        self._preview: bytes | None = None
        self._stopping = stopping
        self._moved = time.monotonic()
        self._written: Progress | None = None
        self._written_at = 0.0

    def report(self, progress: Progress) -> None:
        """Note how far the job is; it is written down by the thread that keeps the leases."""
        # Only a new stage or frame is progress: a job that hangs may repeat itself.
        before, self.progress = self.progress, progress
        if before is None or (before.stage, before.frame) != (progress.stage, progress.frame):
            self.touch()

    def show_preview(self, picture: bytes) -> None:
        """Note the newest frame, as a JPEG; the thread that keeps the leases stores it."""
        self._preview = picture

    def new_preview(self) -> bytes | None:
        """The newest frame, unless it has been stored."""
        return self._preview

    def stored_preview(self, picture: bytes) -> None:
        """Note that this frame has been stored; by now there may be a newer one."""
        if self._preview is picture:
            self._preview = None

    def touch(self) -> None:
        """Note that the job has not stalled."""
        self._moved = time.monotonic()

    def idle_seconds(self) -> float:
        """How long the job has made no progress."""
        return time.monotonic() - self._moved

    def should_stop(self) -> bool:
        """Whether the job is to stop: cancelled, lost, or because the worker ends."""
        return self.cancelled or self.lost or self._stopping()

    def learn(self, renewal: Renewal) -> None:
        """Take over what the store says."""
        if not renewal.owned:
            if not self.lost:
                metrics.observe_lease_loss()
            self.lost = True
        elif renewal.cancel:
            self.cancelled = True
        self.preview_wanted = renewal.preview

    def due(self) -> Progress | None:
        """The progress, if it is time to write it."""
        progress, before = self.progress, self._written
        if progress is None or progress == before:
            return None
        # A new stage is written at once, steps within one not more often than need be.
        later = time.monotonic() - self._written_at >= REPORT_SECONDS
        return progress if later or before is None or before.stage != progress.stage else None

    def wrote(self, progress: Progress) -> bool:
        """Note that this progress has been written; says whether it is a new stage's."""
        before, self._written = self._written, progress
        self._written_at = time.monotonic()
        return before is None or before.stage != progress.stage


class LeaseKeeper:
    """Renews the leases of the jobs of this process, in a thread.

    Args:
        store: where the records are.
        lease_seconds: how long a lease is.

    Attributes:
        begun: how many jobs this process has begun.
    """

    def __init__(self, store: JobStore, lease_seconds: float) -> None:
        self.lease_seconds = lease_seconds
        self._store = store
        self._held: dict[str, HeldJob] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._renewed = 0.0
        self.begun = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; further calls do nothing."""
        if self._thread is None:
            self._thread = start_loop("leases", self._run)

    def jobs(self) -> list[HeldJob]:
        """The jobs that are held."""
        with self._lock:
            return list(self._held.values())

    @contextmanager
    def hold(self, job: HeldJob) -> Iterator[HeldJob]:
        """Keep a job's lease for as long as the block runs, or until it is dropped."""
        with self._lock:
            # The lease ran out and this worker has claimed the job again.
            if before := self._held.get(job.record.id):
                before.lost = True  # and its thread still has to find out
            self._held[job.record.id] = job
            self.begun += 1
        self._wake.set()
        try:
            yield job
        finally:
            self.drop(job)

    def drop(self, job: HeldJob) -> None:
        """Let go of a job."""
        with self._lock:
            if self._held.get(job.record.id) is job:
                del self._held[job.record.id]

    def may_publish(self, job: HeldJob) -> bool:
        """Ask the store whether the job is still ours and wanted; waits while it is away."""
        record = job.record
        while not job.should_stop():
            job.touch()
            try:
                # With the attempt as fencing token: a late twin is told that it is not its job.
                answers = self._store.renew({record.id: record.attempt}, self.lease_seconds)
            except AnimatorError as error:
                logger.warning("job %s: it is not published yet: %s", record.id, error)
                time.sleep(POLL_SECONDS)
                continue
            job.learn(answers[record.id])
            # The lease is new, so nobody takes the job while the video gets its name.
            return not (job.lost or job.cancelled)
        return False

    def flush(self, job: HeldJob) -> None:
        """Write the latest progress and frame of a job that is done, if the store answers."""
        try:
            if job.progress is not None:
                self._store.report(job.record.id, job.record.attempt, job.progress)
            self._store_preview(job)
        except AnimatorError as error:
            logger.warning("job %s: the progress was not written: %s", job.record.id, error)

    def _store_preview(self, job: HeldJob) -> None:
        if (picture := job.new_preview()) is not None:
            self._store.store_preview(job.record.id, job.record.attempt, picture)
            job.stored_preview(picture)

    def _run(self) -> None:
        reachable = True
        while True:
            # A while after nothing is held there is nothing to say.
            self._wake.wait(POLL_SECONDS if self.jobs() else None)
            self._wake.clear()
            try:
                self._look()
            except AnimatorError as error:
                if reachable:
                    logger.warning("no lease could be renewed: %s", error)
                reachable, self._renewed = False, 0.0
                time.sleep(POLL_SECONDS)
            else:
                reachable = True

    def _look(self) -> None:
        jobs = [job for job in self.jobs() if not job.lost]
        began = time.monotonic()
        # Three times in a lease: two renewals may fail. In between, only questions.
        due = began - self._renewed >= self.lease_seconds / 3
        attempts = {job.record.id: job.record.attempt for job in jobs}
        answers = self._store.renew(attempts, self.lease_seconds if due else 0)
        # By the time before the answer, which may have been long in coming.
        if due:
            self._renewed = began
        for job in jobs:
            if job.ending:  # by now it may be at its end on record, which is no loss
                continue
            job.learn(answers[job.record.id])
            if job.lost:
                with job_context(job.record.id, job.record.attempt):
                    logger.warning("job %s: another worker has it now", job.record.id)
                continue
            if (progress := job.due()) is not None:
                self._store.report(job.record.id, job.record.attempt, progress)
                if job.wrote(progress):
                    text = f"stage {progress.stage!r}"
                    self._store.log(job.record.id, text, job.record.worker or "")
            self._store_preview(job)
