"""Real worker processes for tests, and waiting for what they do."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from animator.jobs.queue import Queue
from animator.jobs.store import JobStore
from animator.record import JobRecord

REPOSITORY = Path(__file__).parents[2]
Submit = Callable[..., JobRecord]


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def ended(store: JobStore, job: JobRecord, seconds: float = 60) -> JobRecord:
    """The record of a job once it has ended."""
    until(lambda: store.get(job.id).state.ended, seconds)
    return store.get(job.id)


def worker_command(*options: str, app: str = "tests.worker.fake_worker") -> list[str]:
    """How a worker is started, with the fake pipeline unless another application is named."""
    command = [sys.executable, "-m", "celery", "-A", app, "worker"]
    command += ["--loglevel", "INFO", *options]
    return [*command, "-n", f"test-{time.monotonic_ns()}@%h"]


@contextmanager
def worker(queue: Queue, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that takes jobs."""
    before = {info.id for info in queue.alive_workers()}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            worker_command(*options), cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            until(lambda: {info.id for info in queue.alive_workers()} - before, 60)
            yield process
        finally:
            process.kill()
            process.wait()
            log.seek(0)
            print(log.read().decode(errors="replace"))  # noqa: T201 - shown if a test fails


class Fleet:
    """Workers that are started again when they die.

    Args:
        command: how one is started; called for each.
        count: how many.
        log: where they write what they do.

    Attributes:
        processes: the workers of the moment.
        deaths: the statuses with which earlier ones ended.
    """

    def __init__(self, command: Callable[[], list[str]], count: int, log: IO[bytes]) -> None:
        self.deaths: list[int] = []
        self._command, self._log = command, log
        self._stop = threading.Event()
        self.processes = [self._start() for _ in range(count)]
        self._thread = threading.Thread(target=self._supervise)
        self._thread.start()

    def end(self) -> None:
        """Kill them all."""
        self._stop.set()
        self._thread.join()
        for process in self.processes:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(), cwd=REPOSITORY, stdout=self._log, stderr=subprocess.STDOUT
        )

    def _supervise(self) -> None:
        while not self._stop.wait(0.2):
            for place, process in enumerate(self.processes):
                if process.poll() is not None:
                    self.deaths.append(process.returncode)
                    self.processes[place] = self._start()


@contextmanager
def supervised(queue: Queue, count: int, *options: str) -> Iterator[list[int]]:
    """So many workers, started again when they die; gives the statuses with which they did."""
    with tempfile.TemporaryFile() as log:
        fleet = Fleet(lambda: worker_command(*options), count, log)
        try:
            until(lambda: len(queue.alive_workers()) >= count, 60)
            yield fleet.deaths
        finally:
            fleet.end()
            log.seek(0)
            print(log.read().decode(errors="replace"))  # noqa: T201 - shown if a test fails
