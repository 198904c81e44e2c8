"""Real worker processes for tests, and waiting for what they do."""

from __future__ import annotations

import subprocess
import sys
import tempfile
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


@contextmanager
def worker(queue: Queue, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that takes jobs."""
    before = {info.id for info in queue.alive_workers()}
    command = [sys.executable, "-m", "celery", "-A", "tests.worker.fake_worker", "worker"]
    command += ["--loglevel", "INFO", "--without-mingle", "--without-gossip", *options]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "-n", f"test-{time.monotonic_ns()}@%h"],
            cwd=REPOSITORY,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            until(lambda: {info.id for info in queue.alive_workers()} - before, 60)
            yield process
        finally:
            process.kill()
            process.wait()
            log.seek(0)
            print(log.read().decode(errors="replace"))  # noqa: T201 - shown if a test fails
