"""A worker that a server keeps: real processes that come, go and are killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.jobs import supervision
from animator.jobs.queue import Queue, load_queue
from animator.jobs.store import JobStore, WorkerInfo, connect
from animator.jobs.supervision import WorkerKeeper
from animator.record import JobState
from animator.settings import Settings
from animator.spec import JobSpec
from tests.worker.workers import ended, until, worker
from worker.presence import TIME_TO_LIVE

pytestmark = pytest.mark.slow


@pytest.fixture
def queue(settings: Settings, store: JobStore) -> Queue:
    return load_queue(settings, store)


@contextmanager
def kept(store: JobStore, queue: Queue, **environment: str) -> Iterator[WorkerKeeper]:
    """A keeper; what it has started is gone in the end."""
    keeper = WorkerKeeper(store, queue, environment)
    keeper.start()
    try:
        yield keeper
    finally:
        began = time.monotonic()
        keeper.stop()
        assert time.monotonic() - began < 6
        until(lambda: not keeper.alive(), 30)


def consumer(queue: Queue) -> WorkerInfo:
    """The only worker that takes jobs, as soon as there is one."""
    (found,) = until(queue.alive_workers, 60)
    assert isinstance(found, WorkerInfo)
    return found


def logs(settings: Settings) -> list[Path]:
    """The logs of the workers that were started, one each."""
    return sorted(settings.log_dir.glob("worker-*.log"))


def test_a_worker_is_started_works_and_ends(
    store: JobStore, queue: Queue, settings: Settings, tmp_path: Path
) -> None:
    with kept(store, queue) as keeper:
        ours = consumer(queue)
        job = store.create(JobSpec(tmp_path / "a.png", tmp_path / "b.mp4", tmp_path / "o.mp4"))
        queue.enqueue(job.id)
        record = ended(store, job, 60)
        # There is no such picture, as the worker has found out.
        assert (record.state, record.worker) == (JobState.FAILED, ours.id)
        assert record.error is not None and record.error.code == "no_such_file"
        assert keeper.trouble is None and len(logs(settings)) == 1
    until(lambda: not store.workers(), 30)
    with pytest.raises(ProcessLookupError):
        os.kill(ours.pid, 0)


def test_a_worker_from_outside_is_enough_until_it_dies(
    store: JobStore, queue: Queue, settings: Settings
) -> None:
    with worker(queue) as outside, kept(store, queue) as keeper:
        time.sleep(4)
        assert logs(settings) == [] and not keeper.alive()
        outside.kill()
        outside.wait()
        # Its sign of life runs out first.
        until(keeper.alive, 20)
        until(lambda: any(one.pid != outside.pid for one in queue.alive_workers()), 60)
        assert len(logs(settings)) == 1


def test_one_that_is_killed_is_followed_by_another(
    store: JobStore, queue: Queue, settings: Settings
) -> None:
    with kept(store, queue) as keeper:
        first = consumer(queue)
        os.kill(first.pid, signal.SIGKILL)
        began = time.monotonic()
        until(lambda: keeper.trouble, 30)
        assert keeper.trouble is not None and str(logs(settings)[0]) in keeper.trouble
        # Its sign of life is removed at once, or it would be waited for.
        until(lambda: first.id not in {one.id for one in store.workers()}, 30)
        assert time.monotonic() - began < TIME_TO_LIVE
        second = until(
            lambda: next((one for one in queue.alive_workers() if one.id != first.id), None), 60
        )
        assert keeper.alive() and second.pid != first.pid
        until(lambda: keeper.trouble is None, 30)


def test_one_that_dies_at_once_is_told_of_and_tried_less_and_less_often(
    store: JobStore, queue: Queue, settings: Settings
) -> None:
    with kept(store, queue, ANIMATOR_CONCURRENCY="many") as keeper:
        until(lambda: len(logs(settings)) == 3, 60)
        until(lambda: keeper.trouble, 20)
        assert re.search(r"ended; its log is '.*worker-.*\.log'", keeper.trouble or "")
        until(lambda: not keeper.alive(), 20)
        # The third death has it wait for four seconds.
        time.sleep(2.5)
        assert len(logs(settings)) == 3 and keeper.trouble
        # It is told also while the next one begins.
        until(lambda: len(logs(settings)) == 4, 30)
        assert keeper.trouble


def test_it_outlives_redis(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervision, "PATIENCE_SECONDS", 3.0)
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    try:
        monkeypatch.setenv("ANIMATOR_BROKER_URL", server.url)
        settings = Settings.from_environment()
        store = JobStore(connect(server.url))
        queue = load_queue(settings, store)
        with kept(store, queue) as keeper:
            before = consumer(queue)
            server.stop()
            until(lambda: keeper.trouble, 30)
            assert "does not answer" in (keeper.trouble or "")
            assert keeper.alive()
            server.start()
            until(lambda: [one.id for one in queue.alive_workers()] == [before.id], 60)
            until(lambda: keeper.trouble is None, 30)
            # Killed while Redis is away, it is followed by another when that is back.
            server.stop()
            os.kill(before.pid, signal.SIGKILL)
            until(lambda: not keeper.alive(), 30)
            server.start()
            until(lambda: {one.id for one in queue.alive_workers()} - {before.id}, 60)
            assert len(logs(settings)) == 2
    finally:
        server.stop()
