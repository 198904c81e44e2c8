"""Webhooks against a real server, from a real outbox."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from animator.errors import AnimatorError
from animator.jobs.store import JobStore
from animator.jobs.webhook import signature
from animator.record import JobError, JobRecord, JobState, Result
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from tests.worker.receivers import Receiver, receiver, wait_for
from worker import webhooks
from worker.outbox import Outbox
from worker.webhooks import Deliverer

REPOSITORY = Path(__file__).parents[2]
SECRET = "a secret of the tests"
Make = Callable[..., JobRecord]


@pytest.fixture
def submit(store: JobStore, tmp_path: Path) -> Make:
    """Records a job that has a webhook."""

    def make(url: str) -> JobRecord:
        output = tmp_path / f"{len(store.list_jobs())}.mp4"
        spec = JobSpec("/in/source.png", "/in/driving.mp4", str(output))
        return store.create(spec, options=JobOptions(webhook=url))

    return make


def succeed(store: JobStore, job: JobRecord) -> None:
    claimed = store.claim(job.id, "worker-1", 15)
    assert claimed is not None
    assert store.succeed(job.id, claimed.attempt, Result(job.spec.output, 5, 1.0, 5.0))


@contextmanager
def deliverer(
    store: JobStore, hosts: tuple[str, ...] = ("127.0.0.1",), **settings: float
) -> Iterator[None]:
    given = {"first_wait": 0.05, "try_seconds": 1.0, "taken_seconds": 3.0, **settings}
    here = Deliverer(store, SECRET, hosts, **given)
    here.start()
    try:
        yield
    finally:
        here.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "POLL_SECONDS", 0.05)


def empty(store: JobStore, seconds: float = 10) -> None:
    """Wait until nothing is left in the outbox."""
    deadline = time.monotonic() + seconds
    while store.client.keys("animator:webhooks*") not in ([], [b"animator:webhooks:number"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def message(here: Receiver, index: int = -1) -> dict[str, Any]:
    value = json.loads(here.received[index].body)
    assert isinstance(value, dict)
    return value


def test_a_job_that_succeeded_is_told_once_and_signed(store: JobStore, submit: Make) -> None:
    with receiver() as here, deliverer(store):
        job = submit(here.url)
        succeed(store, job)
        wait_for(1, here)
        empty(store)
        time.sleep(0.3)
        (request,) = here.received
        assert request.path == "/hook?for=tests"
        timestamp = int(request.headers["Animator-Timestamp"])
        assert abs(timestamp - time.time()) < 30
        expected = signature(SECRET, timestamp, request.body)
        assert request.headers["Animator-Signature"] == expected
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["Host"] == f"127.0.0.1:{here.port}"
        told = message(here)
        assert told["event"] == "job.succeeded"
        assert told["delivery"] == request.headers["Animator-Delivery"]
        assert told["job"] == json.loads(json.dumps(store.get(job.id).as_dict()))
        assert told["job"]["frames"] == 5


def test_every_end_is_told(store: JobStore, submit: Make) -> None:
    with receiver() as here, deliverer(store):
        failing, waiting, running = submit(here.url), submit(here.url), submit(here.url)
        claimed = store.claim(failing.id, "worker-1", 15)
        assert claimed is not None
        assert store.fail(failing.id, claimed.attempt, JobError("no_face", "None."))
        wait_for(1, here)
        assert message(here)["event"] == "job.failed"
        assert message(here)["job"]["error"]["code"] == "no_face"
        store.request_cancel(waiting.id)
        wait_for(2, here)
        assert message(here)["job"]["id"] == waiting.id
        claimed = store.claim(running.id, "worker-1", 15)
        assert claimed is not None
        assert store.cancelled(running.id, claimed.attempt)
        wait_for(3, here)
        assert message(here)["event"] == "job.cancelled"
        # Giving back is not an end.
        again = submit(here.url)
        claimed = store.claim(again.id, "worker-1", 15)
        assert claimed is not None
        store.requeue(again.id, claimed.attempt)
        assert Outbox(store.client).waiting() == 0


def test_a_job_without_a_webhook_leaves_nothing(store: JobStore, tmp_path: Path) -> None:
    job = store.create(JobSpec("/in/a.png", "/in/b.mp4", str(tmp_path / "c.mp4")))
    succeed(store, job)
    assert store.client.keys("animator:webhooks*") == []


def test_failures_are_tried_again_with_the_same_message(store: JobStore, submit: Make) -> None:
    with receiver(500, 302, "close", 404) as here, deliverer(store):
        succeed(store, submit(here.url))
        wait_for(5, here)
        empty(store)
    assert len({request.body for request in here.received}) == 1
    assert len({request.headers["Animator-Delivery"] for request in here.received}) == 1
    # A redirect is a failure, not followed.
    assert {request.path for request in here.received} == {"/hook?for=tests"}


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_slow_receiver_is_left_and_holds_up_nobody(
    store: JobStore, submit: Make, fault: str
) -> None:
    with receiver(fault) as slow, receiver() as good, deliverer(store, first_wait=0.2):
        succeed(store, submit(slow.url))
        wait_for(1, slow)
        succeed(store, submit(good.url))
        wait_for(1, good)
        assert len(slow.received) == 1  # it is still waited for
        wait_for(2, slow)
        empty(store)


def test_waits_grow_up_to_their_cap(
    store: JobStore, submit: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LONGEST_WAIT", 40.0)
    succeed(store, submit("http://127.0.0.1:1/"))
    outbox = Outbox(store.client)
    here = Deliverer(store, SECRET, ("127.0.0.1",))
    waits = []
    for _ in range(5):
        (event,) = outbox.take(1, 0)
        here._settle(event, "retried", "as planned")
        due = store.client.zscore("animator:webhooks", event.id)
        assert due is not None
        waits.append(due / 1000 - time.time())
        assert outbox.take(1, 0) == []
        store.client.zadd("animator:webhooks", {event.id: 0})
    for wait, middle in zip(waits, (5, 10, 20, 40, 40), strict=True):
        assert 0.7 * middle < wait < 1.25 * middle


def test_it_is_given_up_in_the_end(
    store: JobStore, submit: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhooks, "MAX_TRIES", 3)
    with receiver(*[500] * 9) as here, deliverer(store):
        succeed(store, submit(here.url))
        wait_for(3, here)
        empty(store)
        time.sleep(0.5)
        assert len(here.received) == 3
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "status 500" in warning.getMessage()
    assert "for=tests" not in caplog.text  # an address may hold a secret


def test_who_is_gone_is_not_asked_again(store: JobStore, submit: Make) -> None:
    with receiver(410, 410) as here, deliverer(store):
        succeed(store, submit(here.url))
        wait_for(1, here)
        empty(store)


def test_hosts_are_looked_at_again_before_sending(store: JobStore, submit: Make) -> None:
    with receiver() as here:
        with deliverer(store, ("hooks.example.com",)):
            succeed(store, submit(here.url))
            empty(store)  # given up at once
        with deliverer(store, ("*",)):
            # Any public host may be told; this one's name leads to this machine.
            for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
                succeed(store, submit(f"http://{host}:{here.port}/"))
            deadline = time.monotonic() + 30
            while min(_tries(store), default=0) < 2 or len(_tries(store)) < 4:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert here.received == []
        with deliverer(store, ("localhost",)):
            succeed(store, submit(f"http://localhost:{here.port}/"))
            wait_for(1, here)
            assert here.received[0].headers["Host"] == f"localhost:{here.port}"


def _tries(store: JobStore) -> list[int]:
    return [int(value) for value in store.client.hvals("animator:webhooks:tries")]


def test_a_job_that_has_gone_on_is_told_by_its_end(store: JobStore, submit: Make) -> None:
    with receiver() as here:
        job = submit(here.url)
        succeed(store, job)
        store.client.delete(f"animator:job:{job.id}")  # as retention does
        with deliverer(store):
            wait_for(1, here)
        assert message(here)["job"] == {"id": job.id, "state": "succeeded", "attempt": 1}


def test_an_outage_of_redis_ends_nothing(
    store: JobStore, submit: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, failures = Outbox.take, [True] * 3

    def failing(self: Outbox, *arguments: Any) -> Any:
        if failures:
            failures.pop()
            raise AnimatorError("queue_unavailable", "Away.", retryable=True)
        return take(self, *arguments)

    monkeypatch.setattr(Outbox, "take", failing)
    with receiver() as here, deliverer(store):
        succeed(store, submit(here.url))
        wait_for(1, here)


CHILD = """
import sys, time
from animator.jobs.store import JobStore, connect
from worker import webhooks
url, seconds = sys.argv[1], float(sys.argv[2])
store = JobStore(connect(url))
webhooks.Deliverer(store, "a secret of the tests", ("127.0.0.1",), taken_seconds=seconds).start()
time.sleep(60)
"""


def test_a_killed_worker_loses_none(settings: Settings, store: JobStore, submit: Make) -> None:
    """One process is killed while it waits for the answer; another sends the message again."""
    assert settings.broker_url is not None
    with receiver("hang") as here:
        succeed(store, submit(here.url))
        command = [sys.executable, "-c", CHILD, settings.broker_url, "2"]
        child = subprocess.Popen(command, cwd=REPOSITORY)
        try:
            wait_for(1, here, 30)
            os.kill(child.pid, signal.SIGKILL)
        finally:
            child.kill()
            child.wait()
        assert Outbox(store.client).waiting() == 1
        with deliverer(store):
            wait_for(2, here)
            empty(store)
        first, second = here.received
        assert first.body == second.body
        assert store.get(message(here)["job"]["id"]).state is JobState.SUCCEEDED
