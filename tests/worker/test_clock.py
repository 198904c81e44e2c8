"""A Redis whose machine's clock is really set, by libfaketime, under workers that run jobs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from animator.broker.embedded import find_server
from animator.errors import AnimatorError
from animator.jobs.queue import Queue, load_queue
from animator.jobs.store import JobStore, connect
from animator.record import JobState
from animator.settings import Settings
from tests.worker.workers import Submit, ended, until, worker

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
LEASE = 2


class Clock:
    """The clock of a Redis.

    Args:
        file: that says how far off it is.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        """Have it go before or after the right time."""
        self._file.write_text(f"{seconds:+d}s\n")


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def redis_url(
    clock: Clock, tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    server = find_server()
    if server is None or not LIBRARIES:
        pytest.skip("there is no Redis server, or no libfaketime, on this machine")
    socket = tmp_path / "redis.sock"
    process = subprocess.Popen(
        [str(server), "--port", "0", "--unixsocket", str(socket), "--save", ""],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        env={
            **os.environ,
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    url = f"redis+socket://{socket}"
    try:
        until(lambda: _answers(url))
        monkeypatch.setenv("ANIMATOR_BROKER_URL", url)
        monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", str(LEASE))
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        JobStore(connect(url)).ping()
    except AnimatorError:
        return False
    return True


@pytest.fixture
def store(redis_url: str) -> JobStore:
    return JobStore(connect(redis_url))


@pytest.fixture
def queue(redis_url: str, store: JobStore) -> Queue:
    return load_queue(Settings.from_environment(), store)


def test_a_clock_that_is_set_takes_no_job_from_the_living_and_frees_those_of_the_dead(
    clock: Clock, store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue) as first, worker(queue):
        job = submit(frames=80, seconds=8)
        until(lambda: (found := store.get(job.id).progress) and found.frame > 5)
        before = store.clock()
        for seconds in (3600, 0):  # forward, and back again
            clock.set(seconds)
            time.sleep(1.5)
        assert abs(store.clock() - before) < 60
        record = ended(store, job)
        assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)
        # The lease of a worker that dies just before the clock is set back.
        job = submit(frames=60, seconds=6)
        until(lambda: (found := store.get(job.id).progress) and found.frame > 15)
        victim = store.get(job.id).worker
        assert victim is not None
        os.kill(int(victim.split("-")[-2]), 9)
        clock.set(-3600)
        began = time.monotonic()
        until(lambda: store.get(job.id).attempt == 2, 30)
        assert time.monotonic() - began < 5 * LEASE + 5
        assert ended(store, job).state is JobState.SUCCEEDED
        first.kill()
