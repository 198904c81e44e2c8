"""The parts of a worker process beside Celery: made on first use, never at import."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from celery import bootsteps

from animator.jobs.queue import queue_url
from animator.jobs.store import JobStore, connect
from animator.settings import Settings
from worker.dispatch import CeleryQueue
from worker.held_jobs import LeaseKeeper
from worker.pool import TaskPool
from worker.presence import Presence
from worker.reaper import Reaper
from worker.shutdown import stopping
from worker.watchdog import Watchdog

TICK_SECONDS = 1.0


class WorkerProcess:
    """The parts of this process, and their threads.

    Args:
        settings: of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = JobStore(connect(queue_url(settings)))  # it may be away at first
        self.queue = CeleryQueue(settings, self.store)
        self.leases = LeaseKeeper(self.store, settings.lease_seconds)
        self.presence = Presence(self.store, settings, self.leases)
        self.reaper = Reaper(self.store, self.queue, settings)
        self.watchdog = Watchdog(self.store, self.queue, self.leases, self.presence, settings)

    def start(self) -> None:
        """Start the threads; further calls do nothing."""
        for part in (self.leases, self.presence, self.reaper, self.watchdog):
            part.start()

    def stopping(self) -> bool:
        """Whether running jobs are to be given back because the worker ends."""
        return stopping(self.settings.shutdown_seconds)


@cache
def here() -> WorkerProcess:
    """This process, made when first asked for."""
    return WorkerProcess(Settings.from_environment())


# Children of Celery's process pool are workers of their own, with their own threads.
os.register_at_fork(after_in_child=here.cache_clear)


class ConsumerTicks(bootsteps.StartStopStep):
    """Part of Celery's consumer that proves that its loop turns."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """The consumer has begun to take jobs, at first or after a lost connection."""
        worker = here()
        # The command line may ask for another number than the settings.
        worker.presence.concurrency = consumer.pool.limit or worker.presence.concurrency
        worker.watchdog.pool = consumer.pool if isinstance(consumer.pool, TaskPool) else None
        worker.presence.queues = tuple(consumer.app.amqp.queues.consume_from)
        worker.start()
        worker.presence.tick()
        self._timer = consumer.timer.call_repeatedly(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        worker = here()
        worker.presence.tick()
        if worker.watchdog.deaf.is_set():
            worker.watchdog.deaf.clear()
            # Celery takes it for a lost connection, and makes a new one.
            raise ConnectionResetError("messages are left lying")

    def stop(self, consumer: Any) -> None:
        """The consumer takes no more jobs: the connection is lost or the worker ends."""
        here().presence.stall()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
