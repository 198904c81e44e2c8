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
from pathlib import Path

from animator import __version__
from animator.errors import AnimatorError
from animator.jobs.store import JobStore, WorkerInfo, now
from animator.settings import Settings
from worker.celery import PARENT_VARIABLE
from worker.held_jobs import LeaseKeeper
from worker.loop import start_loop
from worker.queues import gpu_names, own_kind
from worker.shutdown import ending

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
TIME_TO_LIVE = 12.0
"""Seconds without a beat after which a worker counts as gone."""
ENROL_SECONDS = 10.0
"""Time between two writes of this worker's id into the list of all, should it be missing there."""
STALLED_SECONDS = 6.0
"""Seconds without a tick of the consumer loop after which a worker counts as not consuming."""


class Presence:
    """Writes the sign of life of this process.

    Args:
        store: where to write it.
        settings: of this process.
        leases: the jobs that it runs.

    Attributes:
        id: the worker's name in records.
        concurrency: jobs that it runs at the same time.
        queues: which queues it takes jobs from.
    """

    def __init__(self, store: JobStore, settings: Settings, leases: LeaseKeeper) -> None:
        host = socket.gethostname()
        # The token tells this process from an earlier one of the same number.
        self.id = f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
        self.concurrency = settings.concurrency or 1
        self._store = store
        self._leases = leases
        self._host = host
        self._started = now()
        self._device = settings.device
        self.queues: tuple[str, ...] = ()
        self._kind = own_kind(settings)
        self._device_name = _device_name(self._kind, settings.device)
        self._ticked: float | None = None
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        parent = os.environ.get(PARENT_VARIABLE, "")
        self._parent = int(parent) if parent.isdigit() else None

    def start(self) -> None:
        """Begin to write; further calls do nothing."""
        if self._thread is None:
            self._thread = start_loop("presence", self._run, self._ended)
            atexit.register(self.end)

    def end(self) -> None:
        """Stop writing and remove the sign of life."""
        if self._thread is None or self._ended.is_set():
            return
        self._ended.set()
        self._wake.set()
        # So that no beat comes after the removal.
        self._thread.join(5)
        try:
            self._store.forget(self.id)
        except AnimatorError as error:
            logger.warning("the sign of life stays until it runs out: %s", error)

    def tick(self) -> None:
        """The consumer loop turns."""
        # At once for the first: somebody waits for a worker to take jobs.
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
        reachable, enrolled = True, float("-inf")
        while not self._ended.is_set():
            self._follow_parent()
            try:
                enrol = time.monotonic() - enrolled >= ENROL_SECONDS
                self._store.heartbeat(self.info(), TIME_TO_LIVE, enrol=enrol)
                enrolled = time.monotonic() if enrol else enrolled
                reachable = True
            except AnimatorError as error:
                if reachable:
                    logger.warning("no sign of life could be written: %s", error)
                reachable = False
            self._wake.wait(BEAT_SECONDS)
            self._wake.clear()

    def info(self) -> WorkerInfo:
        """The sign of life as it is now."""
        jobs = self._leases.jobs()
        speeds = [job.progress.fps for job in jobs if job.progress is not None]
        return WorkerInfo(
            id=self.id,
            host=self._host,
            pid=os.getpid(),
            started=self._started,
            concurrency=self.concurrency,
            consuming=self.consuming(),
            version=__version__,
            device=self._kind if self._device == "auto" else self._device,
            device_name=self._device_name,
            kind=self._kind,
            jobs=tuple(job.record.id for job in jobs),
            fps=round(sum(speeds), 2),
            memory_mb=round(resident_bytes() / 1024**2, 1),
            queues=self.queues,
        )

    def _follow_parent(self) -> None:
        if ending():  # a second signal would hurry it
            self._parent = None
        # An orphan has another parent, such as init.
        if self._parent is not None and os.getppid() != self._parent:
            logger.info("the process that started this worker is gone; ending after running jobs")
            self._parent = None
            os.kill(os.getpid(), signal.SIGTERM)


def resident_bytes() -> int:
    """Memory that this process holds; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _device_name(kind: str, device: str) -> str:
    """What the device calls itself."""
    # Found without torch, so where a machine has GPUs of several kinds it may be another one's.
    if kind == "cuda":
        names = gpu_names()
        number = int(device.partition(":")[2] or 0)
        return names[number] if number < len(names) else "NVIDIA GPU"
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else ""
