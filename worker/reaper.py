"""The reaper, a thread in every worker that looks after jobs that nobody looks after.

Jobs whose lease ran out go back to the queue; the workers are told again of jobs that wait although
their message is lost; what a killed worker left of a job that has ended is removed, and so are
records when they are old.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from datetime import UTC, datetime, timedelta

from animator.errors import KEEPS_WORK, AnimatorError
from animator.jobs.queue import Announcement
from animator.jobs.store import JobStore, Reaped
from animator.record import JobRecord, JobState
from animator.settings import Settings
from worker.dispatch import CeleryQueue
from worker.logs import job_context
from worker.loop import start_loop
from worker.queues import queue_name

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
TURN = 0.9
"""For how much of that another worker's look spares this one what one is enough for. Less than all
of it: a worker that is alone is never spared."""
SLOW_SECONDS = 1.0
"""An answer that takes longer counts as an outage."""
FORGOTTEN_SECONDS = 10.0
"""How long a job waits before its message may be taken for lost."""
SWEEP_LEASES = 4
"""How many leases after its end a job's folder is removed, should it still be there."""
SWEPT = 100
"""Jobs that are looked after at once."""
KEPT_DAYS = 7
"""How long the segments of a job are kept that found a file in its output's place."""
RETENTION_SECONDS = 3600.0
"""Time between two removals of old records."""


class Reaper:
    """Reaps, reminds and removes.

    Args:
        store: where the records are.
        queue: where workers are told of jobs.
        settings: how long leases and records last, and how often a job is begun.
    """

    def __init__(self, store: JobStore, queue: CeleryQueue, settings: Settings) -> None:
        self._store, self._queue, self._settings = store, queue, settings
        self._lease = float(settings.lease_seconds)
        # A short lease is to be found out sooner.
        self._pause = min(LOOK_SECONDS, self._lease / 3)
        self._answers_since: float | None = None
        # Seconds between Redis's clock and ours, and how much of a change is no sign of a step:
        # owners renew three times in a lease, and an answer takes its time.
        self._offset: float | None = None
        self._tolerance = max(self._lease / 3, SLOW_SECONDS)
        # Not all workers of a farm, which may have been started together, at the same time.
        self._removed = time.monotonic() - random.uniform(0, RETENTION_SECONDS)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; further calls do nothing."""
        if self._thread is None:
            # A Redis that has been up for a while needs less waiting, but some: its clock may have
            # been set just before, and the owners of leases renew them three times in a lease.
            known = min(self._uptime(), self._lease / 2)
            self._answers_since = time.monotonic() - known
            self._thread = start_loop("reaper", self._run)

    def look(self) -> None:
        """Do what is to be done now.

        Raises:
            AnimatorError: `queue_unavailable`.
        """
        # Mostly there is nothing to look at.
        asked = time.monotonic()
        clock, any_jobs = self._store.glance()
        trusted = self._trusted(clock, asked)
        if any_jobs:
            self._look_after(trusted)
        if time.monotonic() - self._removed >= RETENTION_SECONDS:
            self._removed = time.monotonic()
            if removed := self._store.retain(self._settings.retention_days):
                logger.info("%d records of old jobs are removed", removed)

    def _look_after(self, trusted: bool) -> None:
        # Each of these is one worker's for all: else all would look at the jobs of all.
        seconds = TURN * self._pause
        # Jobs whose worker is gone.
        if trusted and self._store.take_turn("reap", seconds):
            # Redis looks at its clock again, which may be set at any moment.
            expected = (time.monotonic() + (self._offset or 0.0), self._tolerance)
            for reaped in self._store.reap(self._settings.max_attempts, expected=expected):
                self._reaped(reaped)
        # Messages and folders that were lost on the way.
        if self._store.take_turn("remind", seconds):
            self._remind()
            self._sweep()

    def _run(self) -> None:
        while True:
            time.sleep(self._pause)
            try:
                self.look()
            except AnimatorError as error:
                if self._answers_since is not None:
                    logger.warning("lost jobs are not looked for: %s", error)
                self._answers_since = None

    def _uptime(self) -> float:
        """For how long Redis has been there for other workers to renew their leases."""
        try:
            return float(self._store.client.info("server")["uptime_in_seconds"])
        except Exception as error:  # noqa: BLE001 - not every Redis allows the question
            logger.info("Redis does not say since when it runs: %s", error)
            return 0.0

    def _trusted(self, clock: float, asked: float) -> bool:
        """Whether a lease that ran out means that a worker is gone.

        It does not after Redis was away or slow: then nobody could renew. Nor does it after the
        clock of Redis was set, which a clock of our own shows that nobody can set. As long as a
        lease lasts, the others have time to renew.

        Args:
            clock: what Redis has just answered.
            asked: when it was asked, by our own clock.
        """
        answered = time.monotonic()
        offset, before = clock - answered, self._offset
        self._offset = offset
        step = 0.0 if before is None else offset - before
        if abs(step) > self._tolerance:
            logger.warning("the clock of Redis was set by %+.1f s; leases are renewed first", step)
        if (
            self._answers_since is None
            or answered - asked > SLOW_SECONDS
            or abs(step) > self._tolerance
        ):
            self._answers_since = answered
        return answered - self._answers_since >= self._lease

    def _reaped(self, reaped: Reaped) -> None:
        with job_context(reaped.id, reaped.attempt):
            logger.warning(
                "job %s: nothing was heard of attempt %d on %s: %s",
                *(reaped.id, reaped.attempt, reaped.worker, reaped.state.value),
            )
        record = reaped.record
        if record is None:  # nobody can say where its files are; it is set aside when it waits
            return
        if reaped.state is JobState.QUEUED:
            # It goes before those that nobody has begun.
            priority, kind = record.options.priority, record.spec.kind
            self._queue.enqueue_many([Announcement(reaped.id, priority, kind, begun=True)])
        else:
            from animator.workspace.staging import discard  # it brings the media libraries

            discard(record.spec.output, reaped.id, self._settings)

    def _sweep(self) -> None:
        """Remove what workers that were killed between a job's end and its folder's left behind."""
        while self._sweep_some():
            pass

    def _sweep_some(self) -> bool:
        """The same for as many as are read at once; whether there may be more."""
        found = self._store.unswept(SWEEP_LEASES * self._lease, SWEPT)
        kept = [job_id for job_id, record in found.items() if record and _waits(record)]
        for job_id, record in found.items():
            if record is not None and record.state.ended and job_id not in kept:
                from animator.workspace.staging import discard  # it brings the media libraries

                discard(record.spec.output, job_id, self._settings)
        self._store.sweep_later(*kept)
        self._store.swept(*(job_id for job_id in found if job_id not in kept))
        return len(found) == SWEPT

    def _remind(self) -> None:
        """Tell the workers of jobs again that wait while their queue is empty."""
        # By queue: where messages wait, nothing is lost, only busy.
        groups: dict[str, list[JobRecord]] = {}
        for record in self._store.waiting(FORGOTTEN_SECONDS):
            kind, priority = record.spec.kind, record.options.priority
            name = queue_name(kind, priority, begun=record.attempt > 0)
            groups.setdefault(name, []).append(record)
        for records in groups.values():
            if not self._queue.waiting(Announcement.of(records[0])):
                self._queue.enqueue_many(map(Announcement.of, records))
                self._store.told(*(record.id for record in records))
                logger.warning("%d waiting jobs are told to the workers again", len(records))


def _waits(record: JobRecord) -> bool:
    """Whether what is rendered of a failed job is kept for a retry."""
    if record.error is None or record.error.code not in KEEPS_WORK or record.finished is None:
        return False
    age = datetime.now(UTC) - datetime.fromisoformat(record.finished)
    return record.state is JobState.FAILED and age < timedelta(days=KEPT_DAYS)
