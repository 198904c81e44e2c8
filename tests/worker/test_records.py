"""Records, events and messages that nobody can read, and clocks that are set: others are served."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from animator.errors import AnimatorError
from animator.jobs.queue import Queue
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState
from animator.settings import Settings
from animator.spec import JobSpec
from tests.worker.workers import Submit, ended, until, worker
from worker import loop, metrics, reaper
from worker.dispatch import CeleryQueue
from worker.loop import start_loop
from worker.outbox import Outbox
from worker.reaper import Reaper

HOUR = 3_600_000
SPEC = JobSpec("/a/source.png", "/a/driving.mp4", "/a/out.mp4")


def damage(store: JobStore, job: JobRecord, how: str) -> None:
    key = f"animator:job:{job.id}"
    client = store.client
    if how == "unknown name":
        spec = {**json.loads(job.spec.to_json()), "watermark": True}
        client.hset(key, "spec", json.dumps(spec))
    elif how == "no hash":
        client.delete(key)
        client.set(key, "text")
    elif how == "no record":
        client.delete(key)
    elif how == "newer":
        client.hset(key, mapping={"spec": '{"other": 1}', "version": "999.0"})
    else:
        name, value = how.split("=", 1)
        client.hset(key, name, value)


DAMAGES = [
    "unknown name",
    "no hash",
    "no record",
    "spec=[]",
    "spec=" + "[" * 50_000,
    "options={",
    "options=7",
    "state=asleep",
    "created=yesterday",
    "attempt=many",
    "lapses=many",
    "error=null",
    "queue=nowhere",
]


@pytest.mark.parametrize("how", DAMAGES, ids=lambda how: how[:14])
@pytest.mark.parametrize("running", [False, True], ids=["queued", "running"])
def test_a_record_that_cannot_be_read_holds_up_no_other(
    settings: Settings,
    store: JobStore,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    running: bool,
) -> None:
    monkeypatch.setattr(reaper, "FORGOTTEN_SECONDS", 0.0)
    bad, good, lost = (store.create(SPEC) for _ in range(3))
    assert store.claim(good.id, "w", 0.01)
    if running:
        assert store.claim(bad.id, "w", 0.01)
    damage(store, bad, how)
    time.sleep(0.02)
    keeper = Reaper(store, CeleryQueue(settings, store), settings)
    keeper._answers_since = -1e9  # Redis has been there for long
    for _ in range(3):
        keeper.look()
    assert store.get(good.id).state is JobState.QUEUED
    assert store.get(lost.id).state is JobState.QUEUED
    assert {good.id, lost.id} <= {record.id for record in store.list_jobs()}
    assert store.client.zscore("animator:leases", bad.id) is None
    if how == "state=asleep":  # which it has no more once that is what failed
        assert store.get(bad.id).state in (JobState.FAILED, JobState.QUEUED)
    if how in ("options={", "no hash", "unknown name"):
        with pytest.raises(AnimatorError) as caught:
            store.get(bad.id)
        assert caught.value.code == "record_unreadable"
        (listed,) = [one for one in store.list_jobs() if one.id == bad.id]
        assert listed.error is not None
        assert (listed.state, listed.error.code) == (JobState.FAILED, "record_unreadable")
    if how == "no record":
        assert bad.id not in {record.id for record in store.list_jobs()}


def test_a_job_of_a_newer_version_is_left_to_its_workers(store: JobStore) -> None:
    job = store.create(SPEC)
    damage(store, job, "newer")
    with pytest.raises(AnimatorError) as caught:
        store.claim(job.id, "w", 5)
    assert caught.value.code == "record_unreadable"
    assert store.waiting(0) == []
    (listed,) = store.list_jobs()
    assert (listed.id, listed.state) == (job.id, JobState.QUEUED)
    assert store.counts()[JobState.QUEUED] == 1


def test_a_worker_goes_on_beside_a_bad_record(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    bad = submit(tell=False)
    damage(store, bad, "unknown name")
    with worker(queue):
        queue.enqueue(bad.id)
        assert ended(store, submit()).state is JobState.SUCCEEDED
        until(lambda: store.counts()[JobState.FAILED])


def test_signs_of_life_logs_and_rates_that_are_damaged(store: JobStore) -> None:
    job = store.create(SPEC)
    client = store.client
    client.sadd("animator:workers", "bad", b"\xff")
    client.set("animator:worker:bad", '{"id": 7}')
    client.rpush(f"animator:log:{job.id}", "garbage", "[1]")
    client.zadd("animator:jobs", {b"\xff\xfe": 5e15})
    assert store.workers() == []
    assert [line.text for line in store.logs(job.id)][-2:] == ["garbage", "[1]"]
    seconds, _ = client.time()
    client.hset(f"animator:ended:{seconds // 10}", "frames", "many")
    assert store.rates()[60].frames == 0
    assert [record.id for record in store.list_jobs()] == [job.id]


def test_a_key_of_an_unreadable_job_is_told(store: JobStore) -> None:
    from animator.spec import JobOptions

    job = store.create(SPEC, options=JobOptions(key="once"))
    damage(store, job, "unknown name")
    with pytest.raises(AnimatorError) as caught:
        store.create(SPEC, options=JobOptions(key="once"))
    assert caught.value.code == "record_unreadable"


def test_events_that_cannot_be_read_are_removed(store: JobStore) -> None:
    outbox = Outbox(store.client)
    newer = {"job": "x", "url": "http://h/", "state": "failed", "attempt": 1, "since": "2.0"}
    for number, text in enumerate(["[]", "{}", json.dumps({**newer, "url": 7}), None]):
        if text is not None:
            store.client.hset("animator:webhooks:events", f"bad-{number}", text)
        store.client.zadd("animator:webhooks", {f"bad-{number}": 0})
    store.client.hset("animator:webhooks:events", "x-9", json.dumps(newer))
    store.client.zadd("animator:webhooks", {"x-9": 0})
    assert [event.id for event in outbox.take(10, 60)] == ["x-9"]
    assert outbox.waiting() == 1


def test_a_loop_that_fails_is_counted_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop, "PAUSE_SECONDS", 0.01)
    left: list[BaseException] = [ValueError("a fault"), SystemExit(3)]
    over = threading.Event()

    def body() -> None:
        if left:
            raise left.pop()

    before = _restarts("test")
    start_loop("test", body, over).join(5)
    assert not left
    assert _restarts("test") == before + 2
    assert "a fault in 'test'" in caplog.text


def _restarts(name: str) -> float:
    labels = {"loop": name}
    return metrics.REGISTRY.get_sample_value("animator_loop_restarts_total", labels) or 0


# -- clocks


class Farm:
    """A reaper whose Redis has been there for long, and a job that a worker runs."""

    def __init__(self, store: JobStore, settings: Settings) -> None:
        self.store = store
        self.reaper = Reaper(store, CeleryQueue(settings, store), settings)
        self.reaper._answers_since = -1e9
        self.job = store.create(SPEC)
        assert store.claim(self.job.id, "w", 1)

    def look(self) -> JobState:
        self.reaper.look()
        return self.store.get(self.job.id).state

    def step(self, monkeypatch: pytest.MonkeyPatch, milliseconds: int) -> None:
        """As if the clock of Redis had been set: all times that are on record are off by so much,
        and so is the clock that the reaper knew."""
        for key in ("animator:leases", "animator:waiting:any.normal", "animator:webhooks"):
            for name, _ in self.store.client.zscan_iter(key):
                self.store.client.zincrby(key, -milliseconds, name)
        if self.reaper._offset is not None:
            self.reaper._offset -= milliseconds / 1000


@pytest.fixture
def farm(settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch) -> Farm:
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", "1")
    return Farm(store, Settings.from_environment())


def test_a_clock_set_forward_takes_no_job_away(
    farm: Farm, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert farm.look() is JobState.RUNNING
    farm.step(monkeypatch, HOUR)
    assert farm.look() is JobState.RUNNING
    store.renew({farm.job.id: 1}, 1)  # as its owner does
    time.sleep(0.6)
    store.renew({farm.job.id: 1}, 1)
    time.sleep(0.6)
    assert farm.look() is JobState.RUNNING
    # One whose owner is gone is found all the same.
    time.sleep(1.1)
    assert farm.look() is JobState.QUEUED


def test_a_clock_that_is_set_between_two_questions_takes_no_job_away(store: JobStore) -> None:
    job = store.create(SPEC)
    assert store.claim(job.id, "w", 0.01)
    time.sleep(0.02)
    assert store.reap(5, expected=(store.clock() - 3600, 1.0)) == []
    assert store.get(job.id).state is JobState.RUNNING
    assert [one.id for one in store.reap(5, expected=(store.clock(), 1.0))] == [job.id]


def test_a_clock_set_back_does_not_hold_the_lease_of_the_dead(
    farm: Farm, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert farm.look() is JobState.RUNNING
    farm.step(monkeypatch, -HOUR)
    assert (store.get(farm.job.id).lease or 0) > 3500
    deadline = time.monotonic() + 30
    while farm.look() is JobState.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_reminders_and_webhooks_after_a_clock_was_set_back(store: JobStore) -> None:
    job = store.create(SPEC)
    client = store.client
    client.zincrby("animator:waiting:any.normal", HOUR, job.id)
    assert store.waiting(0.05) == []
    time.sleep(0.1)
    assert [record.id for record in store.waiting(0.05)] == [job.id]
    outbox = Outbox(client)
    event: dict[str, Any] = {"job": "x", "url": "http://h/", "state": "failed", "attempt": 1}
    client.hset("animator:webhooks:events", "x-1", json.dumps(event))
    client.zadd("animator:webhooks", {"x-1": (time.time() * 1000) + HOUR})
    (taken,) = outbox.take(1, 60)
    # One that waits for its second try keeps its place, but waits no hour longer.
    outbox.postpone(taken, 5)
    client.zincrby("animator:webhooks", HOUR, "x-1")
    assert outbox.take(1, 0, 0.01) == []
    time.sleep(0.05)
    assert [one.id for one in outbox.take(1, 60, 0.01)] == ["x-1"]


def test_a_file_that_appeared_is_not_replaced_and_nothing_is_rendered_again(
    store: JobStore, queue: Queue, submit: Submit, tmp_path: Path
) -> None:
    from animator.spec import JobOptions

    with worker(queue):
        job = submit(options=JobOptions(overwrite=False), frames=40, seconds=2)
        until(lambda: (found := store.get(job.id).progress) and found.frame > 15)
        output = Path(job.spec.output)
        output.write_text("somebody's")
        record = ended(store, job)
        assert record.error is not None and record.error.code == "output_exists"
        assert "retry" in record.error.message
        assert output.read_text() == "somebody's"
        store.retry(job.id, overwrite=True)
        queue.enqueue(job.id)
        record = ended(store, job)
        assert (record.state, record.resumed) == (JobState.SUCCEEDED, 40)
        assert output.read_text() != "somebody's"
