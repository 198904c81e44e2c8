"""The watchdog, a thread that gives up jobs of threads that hang, so that the worker can go on.

It also notices a consumer that has gone deaf, which then begins again.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from celery.worker import state as celery_state

from animator.errors import AnimatorError
from animator.jobs.queue import Announcement
from animator.jobs.store import JobStore
from animator.record import JobState
from animator.settings import Settings
from worker import metrics
from worker.dispatch import CeleryQueue
from worker.held_jobs import HeldJob, LeaseKeeper
from worker.logs import job_context
from worker.loop import start_loop
from worker.pool import TaskPool
from worker.presence import Presence
from worker.shutdown import ending, stopping

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
QUIT_SECONDS = 5.0
"""How long jobs may take to stop after the worker has been told to end at once."""
LISTEN_SECONDS = 5.0
"""Time between two looks at whether messages are left lying."""
DEAF_SECONDS = 30.0
"""How long messages may lie while a thread is free. After a lost connection, Celery's consumer has
been seen to run on without taking any; it then begins again with a new connection."""
EXIT_HUNG = 70
"""Status of a worker that ends because too many of its threads hang; EX_SOFTWARE."""


def give_back(store: JobStore, queue: CeleryQueue, job: HeldJob, *, suspect: bool) -> bool:
    """Return a job that has not ended to the queue; False if it is not this worker's any more.

    Raises:
        AnimatorError: `queue_unavailable`.
    """
    record = job.record
    state = store.requeue(record.id, record.attempt, suspect=suspect)
    if state is JobState.QUEUED:
        try:
            queue.enqueue_many([Announcement.of(record)])
        except AnimatorError as error:  # a reaper tells them later
            logger.warning("job %s: queued, but no worker was told: %s", record.id, error)
    return state is not None


class Watchdog:
    """Gives up threads that make no progress, and a process of which nothing else is left.

    Args:
        store: where the records are.
        queue: where workers are told of jobs.
        leases: the jobs of this process.
        presence: its sign of life.
        settings: how long a job may stand still.

    Attributes:
        pool: the threads; None if jobs run in another kind of pool, which cannot replace them.
        deaf: set when the consumer is to begin again; cleared by who sees to it.
    """

    def __init__(
        self,
        store: JobStore,
        queue: CeleryQueue,
        leases: LeaseKeeper,
        presence: Presence,
        settings: Settings,
    ) -> None:
        self.pool: TaskPool | None = None
        self._store, self._queue = store, queue
        self._leases, self._presence = leases, presence
        self._settings = settings
        self._given_up = 0
        self._hurried: float | None = None
        self._listened = 0.0
        self.deaf = threading.Event()
        self._deaf: tuple[float, int] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; further calls do nothing."""
        if self._thread is None:
            self._thread = start_loop("watchdog", self._run)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.look()
            except AnimatorError as error:
                logger.warning("a job that hangs is not given back yet: %s", error)

    def look(self) -> None:
        """Do what is to be done now.

        Raises:
            AnimatorError: `queue_unavailable`.
        """
        jobs = self._leases.jobs()
        if self._out_of_patience() or (ending() and self._given_up and not jobs):
            self._leave(0)
        for job in jobs:
            # A job in a process of its own is watched by its parent.
            if job.ending or job.record.suspect:
                continue
            if job.idle_seconds() > self._settings.stall_seconds:
                with job_context(job.record.id, job.record.attempt):
                    self._give_up(job)

        self._listen(len(jobs))

    def _listen(self, jobs: int) -> None:
        """Have the consumer begin again if it takes no jobs although some wait."""
        now, begun = time.monotonic(), self._leases.begun
        if now - self._listened < LISTEN_SECONDS:
            return
        self._listened = now
        # Deaf: free threads, messages, and no job begun for a while.
        idle = self._presence.consuming() and jobs < self._presence.concurrency and not ending()
        if not (idle and self._queue.any_messages(self._presence.queues)):
            self._deaf = None
        elif self._deaf is None or self._deaf[1] != begun:
            self._deaf = now, begun
        elif now - self._deaf[0] >= DEAF_SECONDS:
            self._deaf = None
            logger.error("messages are left lying; the consumer begins again")
            self.deaf.set()

    def _out_of_patience(self) -> bool:
        """Whether the worker was to end at once, and something keeps it."""
        if not stopping(self._settings.shutdown_seconds):
            return False
        if self._hurried is None:
            self._hurried = time.monotonic()
        return time.monotonic() - self._hurried > QUIT_SECONDS

    def _give_up(self, job: HeldJob) -> None:
        record, stage = job.record, job.progress.stage if job.progress else "start"
        metrics.observe_crash("stalled")
        job.lost = True  # should the thread wake up, it touches nothing
        text = f"stalled: no progress for {self._settings.stall_seconds} seconds in {stage!r}"
        logger.error("job %s: %s", record.id, text)
        self._store.log(record.id, text, self._presence.id)
        # As suspect: the next attempt gets a process, which can be killed.
        owned = give_back(self._store, self._queue, job, suspect=True)
        self._leases.drop(job)
        if not owned:
            return
        # The thread is lost. Another takes its place, unless as many are lost as there were.
        self._given_up += 1
        if self.pool is None or self._given_up > self._presence.concurrency:
            logger.critical("too many threads hang; the worker ends")
            self._leave(EXIT_HUNG)
        else:
            self.pool.grow()
            # Else the message would stay unacknowledged until the thread comes back.
            if request := celery_state.requests.get(job.message):
                request.acknowledge()

    def _leave(self, status: int) -> None:
        """End the process although threads of it still run, giving back what it has."""
        for job in self._leases.jobs():
            job.lost = True
            try:
                give_back(self._store, self._queue, job, suspect=False)
            except AnimatorError as error:  # its lease runs out
                logger.warning("job %s: not given back: %s", job.record.id, error)
        # Without waiting for threads: some never come back.
        self._presence.end()
        logging.shutdown()
        os._exit(status)
