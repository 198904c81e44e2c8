"""A worker's sign of life in the store.

It is written by a thread of its own, so that it goes on while a worker that is shutting down still
finishes a job. Whether the worker takes new jobs is told by Celery's consumer loop itself: a
process that lives but no longer consumes is not counted as one that can take a job.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import socket
import threading
import time
from functools import cache
from typing import Any

from celery import bootsteps
from celery.signals import worker_shutting_down
from celery.worker import state as celery_state

from animator import __version__
from animator.errors import AnimatorError
from animator.queue import open_store
from animator.settings import Settings
from animator.store import JobStore, WorkerInfo, now
from worker.celery import PARENT_VARIABLE

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
TIME_TO_LIVE = 12.0
"""Seconds without a beat after which a worker counts as gone."""
TICK_SECONDS = 1.0
STALLED_SECONDS = 6.0
"""Seconds without a tick of the consumer loop after which a worker counts as not consuming."""


_shutdowns: list[str] = []


@worker_shutting_down.connect
def _count_shutdowns(how: str, **_: Any) -> None:
    _shutdowns.append(how)


class Presence:
    """Writes the sign of life of this process.

    Args:
        store: where to write it.
        concurrency: jobs that this worker runs at the same time.
    """

    def __init__(self, store: JobStore, concurrency: int) -> None:
        host = socket.gethostname()
        self.id = f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
        self.concurrency = concurrency
        self.store = store
        self._host = host
        self._started = now()
        self._ticked: float | None = None
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        parent = os.environ.get(PARENT_VARIABLE, "")
        self._parent = int(parent) if parent.isdigit() else None

    def start(self) -> None:
        """Begin to write; further calls do nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
            self._thread.start()
            atexit.register(self.end)

    def end(self) -> None:
        """Stop writing and remove the sign of life."""
        if self._thread is None or self._ended.is_set():
            return
        self._ended.set()
        self._wake.set()
        self._thread.join(5)
        try:
            self.store.forget(self.id)
        except AnimatorError as error:
            logger.warning("the sign of life stays until it runs out: %s", error)

    def tick(self) -> None:
        """The consumer loop turns."""
        first, self._ticked = self._ticked is None, time.monotonic()
        if first:
            self._wake.set()

    def stall(self) -> None:
        """The consumer loop has stopped."""
        self._ticked = None
        self._wake.set()

    def consuming(self) -> bool:
        """Whether this worker takes new jobs."""
        ticked = self._ticked
        return ticked is not None and time.monotonic() - ticked < STALLED_SECONDS

    def _run(self) -> None:
        reachable = True
        while not self._ended.is_set():
            self._follow_parent()
            try:
                self.store.heartbeat(self._info(), TIME_TO_LIVE)
                reachable = True
            except AnimatorError as error:
                if reachable:
                    logger.warning("no sign of life could be written: %s", error)
                reachable = False
            self._wake.wait(BEAT_SECONDS)
            self._wake.clear()

    def _info(self) -> WorkerInfo:
        return WorkerInfo(
            id=self.id,
            host=self._host,
            pid=os.getpid(),
            started=self._started,
            concurrency=self.concurrency,
            consuming=self.consuming(),
            version=__version__,
        )

    def _follow_parent(self) -> None:
        if _shutdowns:  # it ends already, and a second signal would hurry it
            self._parent = None
        if self._parent is not None and os.getppid() != self._parent:
            logger.info("the process that started this worker is gone; ending after running jobs")
            self._parent = None
            os.kill(os.getpid(), signal.SIGTERM)


@cache
def presence() -> Presence:
    """The sign of life of this process, made when first asked for."""
    settings = Settings.from_environment()
    return Presence(open_store(settings), settings.concurrency)


# Children of Celery's process pool are workers of their own, with their own threads.
os.register_at_fork(after_in_child=presence.cache_clear)


def stopping() -> bool:
    """Whether running jobs are to be given back because the worker ends at once.

    That is so after SIGQUIT, a second SIGINT (Celery's cold shutdown) and a second SIGTERM.
    """
    return celery_state.should_terminate not in (None, False) or len(_shutdowns) > 1


class ConsumerTicks(bootsteps.StartStopStep):
    """Part of Celery's consumer that proves that its loop turns."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """The consumer has begun to take jobs, at first or after a lost connection."""
        here = presence()
        here.concurrency = consumer.pool.limit or here.concurrency
        here.start()
        here.tick()
        self._timer = consumer.timer.call_repeatedly(TICK_SECONDS, here.tick)

    def stop(self, consumer: Any) -> None:
        """The consumer takes no more jobs: the connection is lost or the worker ends."""
        presence().stall()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
