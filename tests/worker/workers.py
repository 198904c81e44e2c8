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
from typing import Any

from animator.queue import Queue
from animator.spec import JobRecord
from animator.store import JobStore

REPOSITORY = Path(__file__).parents[2]
Submit = Callable[..., JobRecord]


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def ended(store: JobStore, job: JobRecord, seconds: float = 20) -> JobRecord:
    """The record of a job once it has ended."""
    until(lambda: store.get(job.id).state.ended, seconds)
    return store.get(job.id)


def worker_command(*options: str) -> list[str]:
    """How a worker with the fake pipeline is started."""
    command = [sys.executable, "-m", "celery", "-A", "tests.worker.fake_worker", "worker"]
    command += ["--loglevel", "INFO", "--without-mingle", "--without-gossip", *options]
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


@contextmanager
def supervised(queue: Queue, count: int, *options: str) -> Iterator[list[int]]:
    """So many workers, started again when they die; gives the statuses with which they did."""
    deaths: list[int] = []
    stop = threading.Event()
    with tempfile.TemporaryFile() as log:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                worker_command(*options), cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT
            )

        processes = [start() for _ in range(count)]

        def supervise() -> None:
            while not stop.wait(0.2):
                for place, process in enumerate(processes):
                    if process.poll() is not None:
                        deaths.append(process.returncode)
                        processes[place] = start()

        thread = threading.Thread(target=supervise)
        thread.start()
        try:
            until(lambda: len(queue.alive_workers()) >= count, 60)
            yield deaths
        finally:
            stop.set()
            thread.join()
            for process in processes:
                process.kill()
                process.wait()
            log.seek(0)
            print(log.read().decode(errors="replace"))  # noqa: T201 - shown if a test fails
