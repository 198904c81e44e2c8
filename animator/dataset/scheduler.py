"""Feeds the jobs of a run to the workers, a bounded number at a time.

Everything that it knows can be found out again: what is made from the run's folder, what is being
made from the records of jobs, which have keys of the run. So it may be killed at any moment, be
started again, and run on several machines at once.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from animator.dataset.claims import Claims
from animator.dataset.progress import BatchProgress, RecentPace
from animator.dataset.run_folder import RESULT, RunFolder, Shard
from animator.dataset.samples import Sample, SampleOutcome
from animator.dataset.shard_book import SampleTask, ShardBook
from animator.errors import AnimatorError
from animator.jobs.client import Client
from animator.jobs.queue import Announcement
from animator.jobs.store import JobRequest
from animator.jobs.supervision import OwnWorker
from animator.record import JobError, JobRecord, JobState
from animator.spec import JobOptions, JobSpec

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
WORKER_SECONDS = 1.0
"""Time between two looks at whether anybody works."""
REST_SECONDS = 5.0
"""Before a job that another try can help is tried again; twice as long the next time."""
OUTAGE_SECONDS = 600.0
"""How long a queue that does not answer is waited for."""
STOP_SECONDS = 20.0
"""How long our own worker may take to give its jobs back."""
HOPELESS = 20
"""Failures in a row, by the same fault of machines and not of samples, that end a run."""
MACHINE_CODES = {
    "detector_unavailable",
    "device_unavailable",
    "disk_full",
    "missing_package",
    "no_such_weights",
    "output_not_writable",
    "storage_unavailable",
    "weights_changed",
    "weights_unreadable",
}


@dataclass(frozen=True)
class Control:
    """How a call works on a run; none of it changes what is made."""

    in_flight: int = 0
    """Most jobs that are with the workers, or wait for one; 0 fits the workers."""
    limit: int | None = None
    """Most samples to begin."""
    retry_failed: bool = False
    """Whether samples that failed before are made again."""
    retries: int = 2
    """How often a job is tried again that failed of something that another try can help."""
    device: str = "auto"
    """Where jobs run."""


class Scheduler:
    """One call's work on a run.

    Args:
        run: the run.
        samples: its plan.
        client: the queue.
        claims: of this submitter.
        worker: what works if nobody else does.
        control: how.
    """

    def __init__(
        self,
        run: RunFolder,
        samples: Sequence[Sample],
        client: Client,
        claims: Claims,
        worker: OwnWorker,
        control: Control,
    ) -> None:
        self._run, self._client, self._store = run, client, client.store
        self._worker, self._control = worker, control
        self.book = ShardBook(
            run,
            samples,
            claims,
            retry_failed=control.retry_failed,
            on_complete=self._forget,
        )
        self._waiting: deque[SampleTask] = deque()
        self._flying: dict[str, SampleTask] = {}
        self._resting: dict[str, tuple[float, SampleTask]] = {}
        self._begun = self._ended = 0
        self._pace = RecentPace()
        self._faults: Counter[str] = Counter()
        self._worker_looked_at = 0.0

    def work(
        self, should_stop: Callable[[], bool], report: Callable[[BatchProgress], None]
    ) -> bool:
        """Go on until every sample of the run has ended, or as far as the limit goes.

        Args:
            should_stop: polled; once true, what waits is cancelled and our own worker ends.
            report: called about five times a second.

        Returns:
            Whether every sample has ended and every shard is complete.

        Raises:
            AnimatorError: `queue_unavailable`, what a store of files raises, or the fault of the
                machines that ended the run. What is made by then is kept.
        """
        answered = time.monotonic()
        try:
            while not self._is_through():
                if should_stop():
                    self._stop()
                    return False
                try:
                    self._look()
                    answered = time.monotonic()
                except AnimatorError as error:
                    away = error.code == "queue_unavailable" and error.retryable
                    if not away or time.monotonic() - answered > OUTAGE_SECONDS:
                        raise
                report(self.progress())
                time.sleep(POLL_SECONDS)
            return self.book.through
        finally:
            self.book.close()

    def progress(self) -> BatchProgress:
        """How far the run is."""
        tally = self.book.tally
        done, pace = sum(tally.values()), self._pace.per_minute(self._ended)
        return BatchProgress(
            "making",
            total=self.book.total,
            done=done,
            failed=tally["failed"],
            rejected=tally["rejected"],
            running=len(self._flying) + len(self._resting),
            per_minute=pace,
            eta=60 * (self.book.total - done) / pace if pace else None,
        )

    def _look(self) -> None:
        self._poll()
        self._wake()
        self.book.look()
        self._fill()
        if self._flying and time.monotonic() - self._worker_looked_at >= WORKER_SECONDS:
            self._worker_looked_at = time.monotonic()
            task = next(iter(self._flying.values()))
            self._worker.see_to(self._spec(task), self._worker.look())

    def _is_through(self) -> bool:
        if self._flying or self._resting or self.book.packing:
            return False
        return self.book.through or self._room() <= 0

    # From samples to jobs

    def _room(self) -> int:
        """How many more jobs may be submitted."""
        room = self._control.in_flight - len(self._flying) - len(self._resting)
        if self._control.limit is None:
            return room
        return min(room, self._control.limit - self._begun)

    def _fill(self) -> None:
        """Open as many shards as it takes to keep the workers busy, and submit their samples.

        None is opened while packing has fallen behind, as that is what removes records.
        """
        room = self._room()
        while room > len(self._waiting) and self.book.packing <= self._control.in_flight:
            tasks = self.book.open_next()
            if tasks is None:
                break
            self._waiting.extend(tasks)
        chosen = [self._waiting.popleft() for _ in range(min(max(room, 0), len(self._waiting)))]
        if chosen:
            self._submit(chosen)

    def _submit(self, tasks: Sequence[SampleTask], copy: int = 0) -> None:
        """Record jobs, or find those that an earlier call has recorded."""
        self._make_folders(tasks)
        requests = []
        for task in tasks:
            key = self._key(task.number) + (f":{copy}" if copy else "")
            requests.append(JobRequest(self._spec(task), JobOptions(task.sample.priority, key)))
        try:
            made = self._store.create_many(requests)
        except AnimatorError:
            self._waiting.extendleft(reversed(tasks))
            raise
        new = []
        for task, submission in zip(tasks, made, strict=True):
            if isinstance(submission, AnimatorError):
                raise submission
            self._begun += not copy
            if submission.new:
                self._flying[submission.record.id] = task
                new.append(submission.record)
            else:
                self._join(task, submission.record, copy)
        self._announce(new)

    def _announce(self, records: Sequence[JobRecord]) -> None:
        if not records:
            return
        try:
            self._client.queue.enqueue_many([Announcement.of(record) for record in records])
        except AnimatorError as error:  # workers find the records by themselves later
            logger.warning("the workers were not told of %d jobs yet: %s", len(records), error)

    def _join(self, task: SampleTask, record: JobRecord, copy: int) -> None:
        """Go on with the job of an earlier call, have it tried again, or make another."""
        again = task.again or record.state is JobState.CANCELLED
        if record.state is JobState.SUCCEEDED and not self._is_made(task):
            self._submit([task], copy + 1)  # somebody has removed what it made
        elif record.state.ended and record.state is not JobState.SUCCEEDED and again:
            self._retry(record.id, task)
        else:
            self._flying[record.id] = task

    def _is_made(self, task: SampleTask) -> bool:
        name = self._run.part(task.open.shard, task.sample, RESULT)
        return self._run.storage.exists(name)

    def _spec(self, task: SampleTask) -> JobSpec:
        name = self._run.part(task.open.shard, task.sample, ".mp4")
        output = self._run.storage.location(name)
        return self._run.info.options.spec(task.sample, output, self._control.device)

    def _key(self, number: int) -> str:
        return f"dataset:{self._run.info.run}:{number}"

    def _make_folders(self, tasks: Iterable[SampleTask]) -> None:
        local = self._run.storage.local
        if local is not None:
            for name in {self._run.parts(task.open.shard) for task in tasks}:
                (local / name).mkdir(parents=True, exist_ok=True)

    # From jobs to samples that have ended

    def _poll(self) -> None:
        states = self._store.states([*self._flying])
        for job_id in [job_id for job_id in self._flying if job_id not in states]:
            self._waiting.appendleft(self._flying.pop(job_id))  # Redis has forgotten it
            self._begun -= 1
        for record in self._store.get_many([one for one, state in states.items() if state.ended]):
            self._take(record, self._flying.pop(record.id))

    def _take(self, record: JobRecord, task: SampleTask) -> None:
        """A job has ended."""
        error = record.error or JobError("interrupted", "The job was cancelled.")
        if record.state is JobState.SUCCEEDED:
            self._faults.clear()
            self._worker.thrives()
            self.book.settle(task, SampleOutcome(task.sample.id, "succeeded"))
        elif error.retryable and task.tries < self._control.retries:
            rested = time.monotonic() + REST_SECONDS * 2**task.tries
            task.tries += 1
            self._resting[record.id] = (rested, task)
            return
        else:
            outcome = SampleOutcome(task.sample.id, "failed", error, attempts=record.attempt)
            self.book.settle(task, outcome)
            self._despair(error)
        self._ended += 1

    def _despair(self, error: JobError) -> None:
        """End the run where every sample would fail of the same fault of the machines."""
        if error.code not in MACHINE_CODES:
            self._faults.clear()
            return
        self._faults[error.code] += 1
        if self._faults[error.code] >= HOPELESS:
            message = (
                f"{HOPELESS} samples in a row failed, the last because: {error.message} The run "
                "stops here; mend that, then give the same command with --retry-failed."
            )
            raise AnimatorError(error.code, message, retryable=True)

    def _wake(self) -> None:
        """Have those tried again that have rested."""
        for job_id, (rested, task) in [*self._resting.items()]:
            if rested <= time.monotonic():
                self._retry(job_id, task)
                del self._resting[job_id]

    def _retry(self, job_id: str, task: SampleTask) -> None:
        try:
            self._client.retry(job_id)
        except AnimatorError as error:
            # Somebody else has, or it is gone, as the next look finds.
            if error.code not in ("wrong_state", "no_such_job"):
                raise
        self._flying[job_id] = task

    def _forget(self, shard: Shard) -> None:
        """Remove the records of jobs of which the run's folder tells from now on."""
        keys = [self._key(number) for number, _ in shard.numbered()]
        self._store.remove([record.id for record in self._store.find_keys(keys).values()])

    # The end before the end

    def _stop(self) -> None:
        """Cancel what has not begun, and have our own worker give back what has."""
        for record in self._store.get_many([*self._flying]):
            if record.state is JobState.QUEUED and not record.attempt:
                self._store.request_cancel(record.id)
        self._worker.stop()
        self._worker.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while self._worker.alive() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
