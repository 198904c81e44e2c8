"""A Redis that restarts, fails over and holds garbage: the same worker goes on, nothing is lost.

`ANIMATOR_LONG_TESTS=1` runs the long form: 25 restarts and fail-overs.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.queue import Queue, load_queue
from animator.jobs.store import JobStore, connect
from animator.record import JobRecord, JobState
from animator.settings import Settings
from tests.worker.workers import Submit, ended, until, worker

LONG = bool(os.environ.get("ANIMATOR_LONG_TESTS"))
QUEUE = "animator:celery:animator.any.normal"
MESSAGE = {
    "body": "W1siam9iIl0sIHt9LCB7fV0=",
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"lang": "py", "task": "animator.animate", "id": "0"},
    "properties": {
        "body_encoding": "base64",
        "delivery_tag": "tag",
        "delivery_info": {"exchange": "", "routing_key": "animator.any.normal"},
    },
}


@pytest.fixture
def redis_url(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Redis of the test's own."""
    server = EmbeddedRedis(state_dir)
    server.start()
    monkeypatch.setenv("ANIMATOR_BROKER_URL", server.url)
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", "3")
    yield server.url


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings.from_environment()


@pytest.fixture
def store(redis_url: str) -> JobStore:
    return JobStore(connect(redis_url))


@pytest.fixture
def queue(settings: Settings, store: JobStore) -> Queue:
    return load_queue(settings, store)


def garbage() -> list[bytes]:
    """Fifty messages of which none can be read or handled."""

    def changed(**parts: object) -> bytes:
        return json.dumps({**MESSAGE, **parts}).encode()

    properties = MESSAGE["properties"]
    assert isinstance(properties, dict)
    kinds = [
        b"\xff garbage",
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        b'{"properties": {}}',
        b"x" * 5_000_000,
        json.dumps(MESSAGE)[:-20].encode(),
        changed(properties=None),
        changed(properties={**properties, "delivery_tag": None}),
        changed(properties={**properties, "delivery_tag": ["a", "list"]}),
        changed(properties={**properties, "delivery_info": "text"}),
        changed(properties={**properties, "delivery_info": {}}),
        changed(properties={**properties, "body_encoding": "rot13"}),
        changed(headers=None),
        changed(headers=[]),
        changed(headers={}),
        changed(headers={"task": "no.such.task", "id": "1"}),
        changed(headers={"task": "animator.animate", "id": "1", "eta": "soon"}),
        changed(headers={"task": ["animator.animate"], "id": {}}),
        changed(body=None),
        changed(body="???"),
        changed(body="bm8ganNvbg=="),
        changed(body="W10=" * 1_000_000),
        changed(**{"content-type": "application/x-python-serialize"}),
        changed(**{"content-type": 7}),
        changed(**{"content-encoding": "utf-99"}),
        json.dumps(MESSAGE).encode(),  # of a job that there is not
    ]
    return (kinds * 2)[:50]


def disturb(how: str, server: EmbeddedRedis, store: JobStore) -> None:
    if how == "garbage":
        for message in garbage():
            store.client.lpush(QUEUE, message)
    elif how == "failover":
        store.client.execute_command("REPLICAOF", "127.0.0.1", "1")
        time.sleep(1)
        store.client.execute_command("REPLICAOF", "NO", "ONE")
    else:
        pid = server.status().pid
        assert pid is not None
        # On a slow disk what was answered may wait for its file; a second of it may be lost.
        until(lambda: not store.client.info("persistence")["aof_buffer_length"])
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)
        server.start()


def test_a_worker_outlives_its_broker(
    settings: Settings, store: JobStore, queue: Queue, submit: Submit, state_dir: Path
) -> None:
    server = EmbeddedRedis(state_dir)
    rounds = ["restart", "failover", "garbage", "restart"]
    if LONG:
        rounds = ["restart"] * 25 + ["failover"] * 25 + ["garbage"]
        random.Random(1).shuffle(rounds)
    jobs: list[JobRecord] = []
    with worker(queue, "-c", "2") as process:
        for how in rounds:
            # Under load: two jobs run, others wait.
            jobs += [submit(frames=30, seconds=1.5) for _ in range(3)]
            running = {job.id for job in jobs}
            until(lambda ids=running: set(_running(store)) & ids)
            disturb(how, server, store)
            jobs.append(submit(frames=2, seconds=0.1))
            assert process.poll() is None, how
        # One whose message was lost is told again only once its queue is empty.
        patience = 600 if LONG else 90
        records = [ended(store, job, patience) for job in jobs]
        assert process.poll() is None
    assert {record.state for record in records} == {JobState.SUCCEEDED}
    for job in jobs:
        ends = [line.text for line in store.logs(job.id) if line.text.startswith("succeeded")]
        assert len(ends) == 1
    assert until(lambda: store.client.llen(QUEUE) == 0)


def _running(store: JobStore) -> list[str]:
    return [record.id for record in store.list_jobs(JobState.RUNNING)]
