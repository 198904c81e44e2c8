"""A real worker on a real Redis, with a pipeline that only sleeps and counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.client import Client
from animator.jobs.queue import Queue
from animator.jobs.store import JobStore
from animator.record import JobState
from animator.spec import JobSpec
from tests.worker.workers import Submit, ended, until, worker


def test_jobs_end_as_they_should(store: JobStore, queue: Queue, submit: Submit) -> None:
    with worker(queue):
        good = submit(frames=12, seconds=1.0)
        failing = submit(error="no_face", message="No face in 'ж'.")
        crashing = submit(crash="by zero")
        last = submit(frames=2)
        queue.enqueue(good.id)  # the broker may deliver twice
        running = until(lambda: (now := store.get(good.id)).progress and now)
        assert running.state is JobState.RUNNING
        assert running.progress.frames == 12
        # It listens to no other worker's events: all would hear all.
        assert store.client.pubsub_numpat() == 1  # for what is told to itself

        record = ended(store, good)
        assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)
        assert record.result is not None and record.result.missing == ((2, 3),)
        assert record.progress is not None and record.progress.frame == 12
        assert Path(record.spec.output).read_text().startswith("made of")

        record = ended(store, failing)
        assert record.state is JobState.FAILED and record.error is not None
        assert (record.error.code, record.error.message) == ("no_face", "No face in 'ж'.")

        record = ended(store, crashing)
        assert record.state is JobState.FAILED and record.error is not None
        assert record.error.code == "internal"
        assert record.error.message.startswith("ZeroDivisionError: by zero")

        assert ended(store, last).state is JobState.SUCCEEDED
        time.sleep(0.3)
        assert store.get(good.id).attempt == 1


@pytest.mark.slow
def test_cancelling_a_running_and_a_waiting_job(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue):
        running, waiting = submit(frames=2000, seconds=100), submit()
        until(lambda: store.get(running.id).progress)
        assert store.request_cancel(waiting.id) is JobState.CANCELLED
        before = store.get(running.id).progress
        store.request_cancel(running.id)
        record = ended(store, running)
        assert record.state is JobState.CANCELLED
        assert record.progress.frame < before.frame + 30  # those of 1.5 seconds
        assert ended(store, submit()).state is JobState.SUCCEEDED
        assert not Path(store.get(waiting.id).spec.output).exists()


@pytest.mark.slow
@pytest.mark.parametrize("signals", [["TERM", "TERM"], ["INT", "INT"], ["QUIT"]])
def test_a_job_is_given_back_when_the_worker_must_end(
    store: JobStore, queue: Queue, submit: Submit, signals: list[str]
) -> None:
    with worker(queue) as process:
        job = submit(frames=40, seconds=2)
        until(lambda: store.get(job.id).progress)
        for name in signals:
            process.send_signal(getattr(signal, f"SIG{name}"))
            time.sleep(0.3)
        process.wait(30)
        assert store.get(job.id).state is JobState.QUEUED
        assert store.workers() == []
    with worker(queue):
        record = ended(store, job)
        assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_finishes_its_job_and_takes_no_other(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue) as process:
        first, second = submit(frames=20, seconds=2), submit()
        until(lambda: store.get(first.id).progress)
        process.send_signal(signal.SIGTERM)
        until(lambda: not queue.alive_workers(), 5)
        assert len(store.workers()) == 1  # it still lives
        process.wait(30)
        assert store.get(first.id).state is JobState.SUCCEEDED
        assert store.get(second.id).state is JobState.QUEUED


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_other_pools(store: JobStore, queue: Queue, submit: Submit, pool: str) -> None:
    with worker(queue, "-P", pool):
        job = submit(frames=20, seconds=1.5)
        running = until(lambda: (now := store.get(job.id)).progress and now)
        assert running.worker in {info.id for info in store.workers()}
        assert ended(store, job).state is JobState.SUCCEEDED


@pytest.mark.slow
def test_a_restarted_broker_does_not_stop_a_job(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", "2")
    client = Client.connect()
    with worker(client.queue):
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps({"frames": 120, "seconds": 12}))
        job = client.submit(JobSpec(str(plan), str(plan), str(tmp_path / "o.mp4")))
        until(lambda: client.store.get(job.id).progress)
        server = EmbeddedRedis(state_dir)
        for seconds in (3, 1):  # longer than a lease, and shorter
            assert server.stop()
            time.sleep(seconds)
            server.start()
            frame = client.store.get(job.id).progress
            until(lambda before=frame: client.store.get(job.id).progress != before)
        record = client.wait(job.id)
        assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)
        assert not record.suspect
        # And the worker takes jobs again.
        plan.write_text(json.dumps({"frames": 2}))
        second = client.submit(JobSpec(str(plan), str(plan), str(tmp_path / "o2.mp4")))
        assert ended(client.store, second, 30).state is JobState.SUCCEEDED


@pytest.mark.slow
def test_the_real_worker_starts_with_nothing_configured(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client.connect()
    child = client.queue.start_worker()
    try:
        (info,) = until(client.queue.alive_workers, 60)
        assert child.runs_as(info.id)
        assert info.concurrency == 1
        child.stop()
        until(lambda: not child.alive())
        assert "ready" in child.log.read_text()
        assert client.store.workers() == []
    finally:
        child.kill()


@pytest.mark.slow
def test_a_worker_ends_with_the_process_that_started_it(state_dir: Path) -> None:
    code = (
        "import time; from animator.jobs.client import Client; client = Client.connect(); "
        "client.queue.start_worker()\n"
        "while not client.queue.alive_workers(): time.sleep(0.05)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    store = Client.connect().store
    until(lambda: not store.workers())


@pytest.mark.slow
def test_a_broker_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    for url, code in (("amqp://host", "invalid_option"), (None, "queue_unavailable")):
        (tmp_path / "file").touch()
        environment = {**os.environ, "ANIMATOR_STATE_DIR": str(tmp_path / "file")}
        environment |= {"ANIMATOR_BROKER_URL": url or ""}
        done = subprocess.run(
            [sys.executable, "-m", "celery", "-A", "worker", "worker"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode != 0
        assert f"error [{code}]" in done.stderr
        assert "Traceback" not in done.stderr
