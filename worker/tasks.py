"""The task: look at the record, run the pipeline, write what came of it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from celery import shared_task

from animator.errors import KEEPS_WORK, AnimatorError, AttemptRepeated, JobCancelled, LeaseLost
from animator.jobs.queue import Announcement
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.spec import JobSpec
from worker import isolated, metrics
from worker.celery import TASK
from worker.failures import describe
from worker.held_jobs import HeldJob
from worker.logs import job_context
from worker.memory import trim
from worker.process import WorkerProcess, here
from worker.queues import own_kind
from worker.watchdog import give_back

if TYPE_CHECKING:
    from animator.workspace.attempt import Workspace
    from animator.workspace.shared import SharedSegments

logger = logging.getLogger(__name__)

KEEP_TRYING_SECONDS = 600.0
"""How long the end of a job is offered to a store that does not answer."""
UPLOAD_BEGINS = "the upload begins"
"""A line of a job's log, by which a later attempt knows an output as perhaps its own."""
PRIORITIES = {"high": 1, "normal": 0, "low": -1}
"""What the engine makes of a job's priority."""

CHILDREN = min(4, os.cpu_count() or 1)
"""Suspect jobs that run at the same time: each loads a model of its own, and after the death of a
worker with many jobs all of them are suspect."""

_children = threading.BoundedSemaphore(CHILDREN)
T = TypeVar("T")


def load_pipeline() -> Callable[..., Result]:
    """The pipeline; it brings the heavy libraries and is imported by the first job."""
    from animator.animation.pipeline import animate

    return animate


@shared_task(name=TASK, bind=True, acks_late=True, ignore_result=True)
def animate_job(task: Any, job_id: str) -> None:
    """Run a job of the store, unless it is no longer to be run."""
    worker = here()
    worker.start()  # in a process pool's child, whose consumer is its parent
    if worker.stopping():
        return  # the job waits on record, and a reaper tells others of it
    try:
        # The message is a hint: only the claim makes the job this worker's.
        record = worker.store.claim(job_id, worker.presence.id, worker.settings.lease_seconds)
    except AnimatorError as error:
        # Should it still be queued, a reaper tells the workers again.
        with job_context(job_id):
            logger.warning("job %s: not taken: %s", job_id, error)
        return
    if record is None:
        with job_context(job_id):
            logger.info("job %s: nothing to do, it is not queued", job_id)
        return
    job = HeldJob(record, task.request.id or "", worker.stopping)
    run = JobRun(worker, job)
    metrics.observe_start(isolated=record.suspect)
    with worker.leases.hold(job), job_context(record.id, record.attempt):
        try:
            run.run()
        finally:
            metrics.observe_end(run.outcome, run.code)
    trim()


class JobRun:
    """One attempt at a job, from its claim to its end on record.

    Args:
        worker: this process.
        job: what it holds.

    Attributes:
        outcome: how the attempt ended, as `worker.metrics.observe_end` takes it.
        code: that of the error, if there was one.
    """

    def __init__(self, worker: WorkerProcess, job: HeldJob) -> None:
        self.outcome, self.code = "lost", ""
        self._worker, self._job = worker, job
        self._store = worker.store
        self._workspace: Workspace | None = None
        self._shared: SharedSegments | None = None

    @property
    def _record(self) -> JobRecord:
        return self._job.record

    def run(self) -> None:
        """Run the job and write its end into its record."""
        record = self._record
        logger.info("job %s: attempt %d begins", record.id, record.attempt)
        try:
            result = self._animate()
        except isolated.Died as death:
            self._crashed(death.error)
        except AttemptRepeated as repeated:
            logger.warning("job %s: %s; it is begun again", record.id, repeated)
            self._give_back()
        except LeaseLost as lost:
            logger.info("job %s: not published: %s", record.id, lost)
            if not self._job.should_stop():  # else it may also be cancelled, or to be given back
                self._job.lost = True
            self._stopped()
        except JobCancelled:
            self._stopped()
        except Exception as error:
            if not isinstance(error, AnimatorError):
                logger.exception("job %s: a fault in the animator", record.id)
            self._failed(describe(error))
        except BaseException:
            # A shutdown raises SystemExit wherever it finds the job (pools other than threads).
            self._give_back()
            raise
        else:
            logger.info("job %s: done, %d frames", record.id, result.frames)
            self._worker.leases.flush(self._job)
            if self._leave(lambda: self._store.succeed(record.id, record.attempt, result)):
                self.outcome = "succeeded"
                metrics.observe_result(result)
            self._clean_up()

    def _animate(self) -> Result:
        from animator.files.remote import polled
        from animator.workspace.attempt import Workspace
        from animator.workspace.shared import SharedSegments
        from animator.workspace.staging import open_output, shares_segments, stage

        job, record, settings = self._job, self._record, self._worker.settings
        spec = settings.apply_to(record.spec)
        # Local: the output itself or a file that is uploaded in the end.
        output = open_output(spec.output, record.id, settings)
        replaces = record.options.overwrite or (spec.output.is_url and self._has_uploaded())
        # A file in the outbox is the job's own in any case.
        keeps = not (replaces or spec.output.is_url)
        self._workspace = Workspace.take(output, record.id, record.attempt, replaces=not keeps)
        # What is fetched is held in the cache until the job has ended.
        if any(location.is_url for location in spec.inputs.values()):
            job.report(Progress("fetch"))
        staging = stage(spec, settings, self._check, job_id=record.id, replaces=replaces)
        with staging as staged, ExitStack() as running:
            if shares_segments(spec.output, settings):
                # What an attempt on another machine had finished is fetched, and ours is sent.
                self._shared = SharedSegments(self._workspace, record.id, settings)
                polled(self._shared.restore, self._check)
                running.enter_context(self._shared.kept())
            # The same arguments for both: the pipeline, here or in the child.
            run = self._in_a_child(spec) if record.suspect else load_pipeline()
            result = run(
                staged.spec,
                settings=settings,
                report=job.report,
                should_stop=job.should_stop,
                workspace=self._workspace,
                priority=PRIORITIES[record.options.priority],
                may_publish=lambda: self._worker.leases.may_publish(job),
                preview=job,
            )
            if staged.uploads:
                job.report(Progress("upload"))
                staged.check_free()
                self._note(UPLOAD_BEGINS)
            if staged.uploads or spec.keep_result:
                # That the video may be published was asked before it was put in place here.
                if not self._worker.leases.may_publish(job):
                    raise LeaseLost("the job is not this attempt's any more")
            return staged.deliver(result)

    def _has_uploaded(self) -> bool:
        """Whether an attempt before this one may have put the output where it is to go."""
        if self._record.attempt == 1:
            return False
        try:
            return any(line.text == UPLOAD_BEGINS for line in self._store.logs(self._record.id))
        except AnimatorError:
            return True  # a store that is away must not end a job

    def _check(self) -> None:
        """Called while files are on their way, for which a watchdog has to wait."""
        self._job.touch()
        if self._job.should_stop():
            raise JobCancelled

    def _in_a_child(self, spec: JobSpec) -> Callable[..., Result]:
        settings = self._worker.settings
        # CUDA reserves address space by the hundred gigabytes.
        cpu = spec.device == "cpu" or (spec.device == "auto" and own_kind(settings) == "cpu")
        memory = settings.job_memory_mb if cpu else None
        bounds = isolated.Bounds(settings.stall_seconds, memory)

        def run(spec: JobSpec, **arguments: Any) -> Result:
            # In steps, so that a job that waits for its turn can be cancelled.
            while not _children.acquire(timeout=0.25):
                if self._job.should_stop():
                    raise JobCancelled
            try:
                return isolated.animate(spec, bounds=bounds, job_id=self._record.id, **arguments)
            finally:
                _children.release()

        return run

    # How an attempt ends

    def _stopped(self) -> None:
        """The job stopped because it was told to: cancelled, lost, or back to the queue."""
        record = self._record
        if self._job.lost:
            logger.warning("job %s: stopped, it is another attempt's now", record.id)
            if self._over():
                self._clean_up()  # a folder that was made after that
        elif self._job.cancelled:
            logger.info("job %s: cancelled", record.id)
            if self._leave(lambda: self._store.cancelled(record.id, record.attempt)):
                self.outcome = "cancelled"
            self._clean_up()
        else:
            logger.info("job %s: given back", record.id)
            self._give_back()

    def _over(self) -> bool:
        """Whether the job has ended, so that nobody goes on from what this attempt made."""
        try:
            return self._store.get(self._record.id).state.ended
        except AnimatorError as error:
            return error.code == "no_such_job"

    def _give_back(self, *, suspect: bool = False) -> None:
        worker, job = self._worker, self._job
        if self._leave(lambda: give_back(worker.store, worker.queue, job, suspect=suspect)):
            self.outcome = "given_back"

    def _failed(self, error: JobError) -> None:
        record = self._record
        self.code = error.code
        logger.info("job %s: failed [%s]: %s", record.id, error.code, error.message)
        if error.code != "out_of_memory":
            if self._leave(lambda: self._store.fail(record.id, record.attempt, error)):
                self.outcome = "failed"
            if error.code not in KEEPS_WORK:  # else what is rendered waits for a retry
                self._clean_up()
        elif record.suspect:
            self._crashed(error)
        else:
            # A neighbour may have taken the memory. Alone, the job shows whether it can be done.
            self._note(f"failed [{error.code}]: {error.message}")
            self._give_back(suspect=True)

    def _crashed(self, error: JobError) -> None:
        """The job's own process died."""
        record, worker = self._record, self._worker
        self.code = error.code
        metrics.observe_crash(error.code)
        logger.error("job %s: [%s] %s", record.id, error.code, error.message)
        # Once it has crashed as often as is allowed, it fails instead of being queued.
        limit = worker.settings.max_crashes
        requeue = partial(self._store.requeue, record.id, record.attempt)
        state = self._leave(lambda: requeue(crash=error, max_crashes=limit))
        if state is not None:
            self.outcome = "given_back" if state is JobState.QUEUED else state.value
        if state is JobState.QUEUED:
            try:
                worker.queue.enqueue_many([Announcement.of(record)])
            except AnimatorError as unheard:  # a reaper tells them later
                logger.warning("job %s: queued, but no worker was told: %s", record.id, unheard)
        elif state is not None:
            self._clean_up()

    def _clean_up(self) -> None:
        """Remove what was kept for another attempt; a later one's is left alone."""
        if self._workspace is not None:
            from animator.workspace.staging import close_output

            self._workspace.remove()
            if self._shared is not None:
                self._shared.discard()
            close_output(self._record.spec.output, self._record.id, self._worker.settings)

    def _note(self, text: str) -> None:
        try:
            self._store.log(self._record.id, text, self._worker.presence.id)
        except AnimatorError as error:
            logger.warning("job %s: not in its log: %s: %s", self._record.id, text, error)

    def _leave(self, change: Callable[[], T]) -> T | None:
        """Write the end of the attempt, however long the store is away."""
        # From here on it is neither cancelled nor given up: only its end is to be written.
        self._job.ending = True
        deadline = time.monotonic() + KEEP_TRYING_SECONDS
        wait = 0.1
        while True:
            try:
                answer = change()
                break
            except AnimatorError as error:
                if time.monotonic() > deadline:
                    raise
                logger.warning("job %s: its end is not written yet: %s", self._record.id, error)
                time.sleep(wait)
                wait = min(2 * wait, 5.0)
        if not answer:
            logger.warning("job %s: ended, but it was no longer this worker's", self._record.id)
        return answer
