"""What a real worker does besides its jobs: metrics, webhooks, logs, events."""

from __future__ import annotations

import json
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.record import JobState
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from tests.worker.receivers import receiver, wait_for
from tests.worker.test_metrics import free_port, scrape
from tests.worker.workers import ended, until, worker
from worker.celery import make_app

pytestmark = pytest.mark.slow


@pytest.fixture
def client(settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client, and an environment of workers, that allow webhooks to this machine."""
    monkeypatch.setenv("ANIMATOR_WEBHOOK_HOSTS", "127.0.0.1")
    monkeypatch.setenv("ANIMATOR_WEBHOOK_SECRET", "a secret of the tests")
    return Client.connect(Settings.from_environment())


def job(client: Client, folder: Path, name: str, webhook: str | None = None, **plan: Any) -> Any:
    """A job that does what its plan says."""
    driving = folder / f"{name}.json"
    driving.write_text(json.dumps(plan))
    spec = JobSpec(str(driving), str(driving), str(folder / f"{name}.mp4"))
    record = client.store.create(spec, options=JobOptions(webhook=webhook))
    client.queue.enqueue(record.id, record.options.priority, record.spec.kind)
    return record


def test_metrics_and_logs_of_a_worker(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, log = free_port(), tmp_path / "worker.log"
    monkeypatch.setenv("ANIMATOR_METRICS_PORT", str(port))
    monkeypatch.setenv("ANIMATOR_LOG_FORMAT", "json")
    with worker(client.queue, "-f", str(log)):
        good, bad = (
            job(client, tmp_path, "a", frames=7),
            job(client, tmp_path, "b", error="no_face"),
        )
        assert ended(client.store, good).state is JobState.SUCCEEDED
        assert ended(client.store, bad).state is JobState.FAILED
        until(lambda: scrape(port).get(("animator_jobs_ended_total", "no_face", "failed")) == 1)
        found = scrape(port)
        assert found["animator_jobs_started_total", "no"] == 2
        assert found["animator_jobs_ended_total", "", "succeeded"] == 1
        assert found["animator_frames_total",] == 7
        assert found["animator_stage_seconds_count", "generate"] == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for record in (good, bad):
        about = [line for line in lines if line.get("job") == record.id]
        assert len(about) >= 2 and {line["attempt"] for line in about} == {1}
        # No line tells of a job without naming it.
        assert about == [line for line in lines if record.id in json.dumps(line)]
    assert "celery" in {line["logger"].split(".")[0] for line in lines}


def test_two_workers_with_one_port(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, log = free_port(), tmp_path / "second.log"
    monkeypatch.setenv("ANIMATOR_METRICS_PORT", str(port))
    with worker(client.queue), worker(client.queue, "-f", str(log)) as second:
        assert f"port {port} cannot be used" in log.read_text()
        assert second.poll() is None
        assert scrape(port)["animator_workers", "yes"] == 2


def test_the_last_job_of_a_worker_that_ends_is_told(client: Client, tmp_path: Path) -> None:
    with receiver() as here, worker(client.queue) as process:
        record = job(client, tmp_path, "a", here.url, frames=20, seconds=2)
        until(lambda: client.store.get(record.id).progress)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert client.store.get(record.id).state is JobState.SUCCEEDED
        wait_for(1, here, 1)
        assert json.loads(here.received[0].body)["event"] == "job.succeeded"
        texts = [line.text for line in client.store.logs(record.id)]
        assert "webhook delivered" in texts


def test_a_killed_worker_leaves_its_webhooks_to_others(client: Client, tmp_path: Path) -> None:
    """It dies between the job's end and the receiver's answer."""
    with receiver("hang") as here:
        with worker(client.queue) as process:
            record = job(client, tmp_path, "a", here.url)
            wait_for(1, here, 20)
            process.kill()
        assert client.store.get(record.id).state is JobState.SUCCEEDED
        client.store.client.zadd("animator:webhooks", {_only_event(client): 0})  # as time will do
        with worker(client.queue):
            wait_for(2, here, 20)
            until(lambda: client.store.client.zcard("animator:webhooks") == 0)
    first, second = here.received
    assert first.body == second.body


def _only_event(client: Client) -> str:
    (event,) = client.store.client.zrange("animator:webhooks", 0, -1)
    assert isinstance(event, bytes)
    return event.decode()


def test_events_for_monitors(client: Client, tmp_path: Path, settings: Settings) -> None:
    """What Flower lives on."""
    assert settings.broker_url is not None
    app, seen = make_app(settings.broker_url), []
    stop = threading.Event()

    def listen() -> None:
        with app.connection() as connection:
            events = app.events.Receiver(connection, handlers={"*": seen.append})
            while not stop.is_set():
                try:
                    events.capture(limit=None, timeout=0.5, wakeup=False)
                except TimeoutError:
                    continue

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        with worker(client.queue):
            record = job(client, tmp_path, "a")
            ended(client.store, record)
            until(lambda: "task-succeeded" in {event["type"] for event in seen}, 30)
    finally:
        stop.set()
        thread.join()
    mine = [event for event in seen if event.get("uuid", "").startswith(record.id)]
    assert {"task-received", "task-started", "task-succeeded"} <= {event["type"] for event in mine}
    assert any(event["hostname"].endswith(socket.gethostname()) for event in seen)
