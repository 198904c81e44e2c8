"""The stream of events: what is in it, how it is read, and what becomes of one that is damaged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.errors import AnimatorError
from animator.jobs.events import NO_EVENT, JobEvent, event_order
from animator.jobs.scripts import EVENTS
from animator.jobs.store import JobRequest, JobStore, connect
from animator.record import JobError, JobState, Progress, Result
from animator.spec import JobSpec
from tests.lost_answers import SentTwice

SPEC = JobSpec("/a/source.png", "/a/driving.mp4", "/a/out.mp4")
RESULT = Result("/a/out.mp4", 150, 20.0, 7.5)
STREAM = "animator:events"


@pytest.fixture(params=[JobStore, SentTwice])
def any_store(store: JobStore, request: pytest.FixtureRequest) -> JobStore:
    made: JobStore = request.param(store.client)
    return made


def told(events: list[JobEvent], job: str | None = None) -> list[tuple[str, str, int]]:
    """Kind, state and attempt of each event."""
    return [(one.kind, one.state.value, one.attempt) for one in events if job in (None, one.job)]


def succeeds(store: JobStore, job: str) -> None:
    store.report(job, 1, Progress("generate", 7, 150, 7.5, 19.0))
    store.succeed(job, 1, RESULT)


def fails_and_is_tried_again(store: JobStore, job: str) -> None:
    store.fail(job, 1, JobError("no_face", "No face."))
    store.retry(job)
    store.claim(job, "v")


def is_cancelled(store: JobStore, job: str) -> None:
    store.request_cancel(job)
    store.cancelled(job, 1)


def is_given_back_and_crashes(store: JobStore, job: str) -> None:
    store.requeue(job, 1)
    store.claim(job, "w")
    crash = JobError("worker_crashed", "It died.")
    store.requeue(job, 2, crash=crash, max_crashes=1)


def is_reaped(store: JobStore, job: str) -> None:
    for attempt in (1, 2):
        store.client.zadd("animator:leases", {job: 1})
        assert len(store.reap(2)) <= 1
        if attempt == 1:
            store.claim(job, "w")


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        (succeeds, [("progress", "running", 1), ("state", "succeeded", 1)]),
        (
            fails_and_is_tried_again,
            [("state", "failed", 1), ("state", "queued", 1), ("state", "running", 2)],
        ),
        (is_cancelled, [("state", "running", 1), ("state", "cancelled", 1)]),
        (
            is_given_back_and_crashes,
            [("state", "queued", 1), ("state", "running", 2), ("state", "failed", 2)],
        ),
        (
            is_reaped,
            [("state", "queued", 1), ("state", "running", 2), ("state", "failed", 2)],
        ),
    ],
)
def test_every_change_is_told_once_and_in_order(
    any_store: JobStore,
    life: Callable[[JobStore, str], None],
    expected: list[tuple[str, str, int]],
) -> None:
    job = any_store.create(SPEC).id
    any_store.claim(job, "w")
    life(any_store, job)
    events = any_store.events_after(NO_EVENT)
    begin = [("state", "queued", 0), ("state", "running", 1)]
    assert told(events, job) == begin + expected
    assert [event_order(one.id) for one in events] == sorted(event_order(one.id) for one in events)
    assert all(datetime.fromisoformat(one.time).tzinfo for one in events)
    # Removing a job that has not ended changes nothing and tells nothing.
    any_store.remove([job])
    last = any_store.get(job).state if events[-1].state is JobState.RUNNING else None
    gone = [] if last else [("removed", events[-1].state.value, events[-1].attempt)]
    assert told(any_store.events_after(events[-1].id)) == gone


def test_progress_comes_along_and_is_told_only_if_it_moved(store: JobStore) -> None:
    job = store.create(SPEC).id
    store.claim(job, "w")
    last = store.last_event_id()
    steps = [Progress("generate", number, 150, 7.5, 19.0) for number in (1, 1, 2)]
    for step in steps:
        assert store.report(job, 1, step)
    assert [one.progress for one in store.events_after(last)] == [steps[0], steps[2]]
    # One of an attempt that has lost the job is none.
    assert not store.report(job, 7, Progress("generate", 3))
    assert len(store.events_after(last)) == 2


def test_a_purged_and_a_cancelled_waiting_job_are_told(store: JobStore) -> None:
    job = store.create(SPEC).id
    store.request_cancel(job)
    assert store.purge(JobState, datetime.now(UTC) + timedelta(seconds=5)) == 1
    expected = [("state", "queued", 0), ("state", "cancelled", 0), ("removed", "cancelled", 0)]
    assert told(store.events_after(NO_EVENT)) == expected


def test_a_job_that_is_set_aside_is_told(any_store: JobStore) -> None:
    store = any_store
    lost, damaged = store.create(SPEC).id, store.create(SPEC).id
    store.client.delete(f"animator:job:{lost}")
    store.client.hset(f"animator:job:{damaged}", "spec", "{")
    last = store.last_event_id()
    assert store.waiting(0) == []
    assert told(store.events_after(last), damaged) == [("state", "failed", 0)]
    assert told(store.events_after(last), lost) == [("removed", "failed", 0)]


def test_reading_goes_on_after_an_id(store: JobStore) -> None:
    assert (store.last_event_id(), store.oldest_event_id()) == (NO_EVENT, NO_EVENT)
    store.create_many([JobRequest(SPEC)] * 25)
    everything = store.events_after(NO_EVENT)
    assert len(everything) == 25 == len({one.id for one in everything})
    assert (everything[0].id, everything[-1].id) == (store.oldest_event_id(), store.last_event_id())
    assert store.events_after(everything[9].id) == everything[10:]
    assert store.events_after(everything[9].id, limit=3) == everything[10:13]
    assert store.events_after(everything[-1].id) == []
    assert store.wait_events(everything[9].id, 0) == everything[10:]


def test_the_stream_is_kept_short(store: JobStore) -> None:
    store.create_many([JobRequest(SPEC)] * 1000)
    (first, *_) = store.events_after(NO_EVENT)
    for _ in range(EVENTS // 1000):
        store.create_many([JobRequest(SPEC)] * 1000)
    # Whole blocks of the stream go at once, by default of a hundred entries.
    assert EVENTS <= store.client.xlen(STREAM) <= EVENTS + 100
    oldest = store.oldest_event_id()
    assert event_order(first.id) < event_order(oldest)
    # Who was away reads what is left, from its beginning.
    assert store.events_after(first.id, limit=5)[0].id == oldest
    assert store.client.memory_usage(STREAM, samples=0) < 2_000_000


@contextmanager
def waiting(store: JobStore, last: str, seconds: float) -> Iterator[list[tuple[float, str]]]:
    """A thread that waits for events; what it got, and when."""
    got: list[tuple[float, str]] = []

    def wait() -> None:
        for event in store.wait_events(last, seconds):
            got.append((time.monotonic(), event.job))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    yield got
    thread.join(10)
    assert not thread.is_alive()


def test_who_waits_wakes_at_once_and_holds_up_nobody(store: JobStore) -> None:
    with waiting(store, store.last_event_id(), 8) as got, waiting(store, NO_EVENT, 8) as other:
        began = time.monotonic()
        job = store.create(SPEC).id
        assert time.monotonic() - began < 0.2
    for seen in (got, other):
        assert [name for _, name in seen] == [job]
        assert seen[0][0] - began < 0.2


def test_who_waits_in_vain_is_told_so_in_time(store: JobStore) -> None:
    began = time.monotonic()
    assert store.wait_events(store.last_event_id(), 0.3) == []
    assert 0.25 < time.monotonic() - began < 1


def test_waiting_is_longer_than_one_question_to_redis(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("animator.jobs.events._WAIT_SECONDS", 0.1)
    with waiting(store, NO_EVENT, 5) as got:
        job = store.create(SPEC).id
    assert [name for _, name in got] == [job]


DAMAGE: list[dict[str, str | bytes]] = [
    {"colour": "blue"},
    {"kind": "burnt"},
    {"state": "burnt"},
    {"attempt": "many"},
    {"time": "noon"},
    {"job": b"\xff\xfe"},
    {"kind": "progress", "progress": "{"},
    {"kind": "progress"},
]


def test_damaged_entries_are_skipped(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("animator.jobs.events._PAGE", 3)
    good = {"job": "j", "kind": "state", "state": "queued", "attempt": "0"}
    good["time"] = "2026-01-01T00:00:00.000+00:00"
    for damage in DAMAGE:
        whole: Any = damage if "colour" in damage else good | damage
        store.client.xadd(STREAM, whole)
    assert store.events_after(NO_EVENT) == []
    assert store.wait_events(NO_EVENT, 0.05) == []
    job = store.create(SPEC).id
    # Also where a whole page before it is damaged.
    assert [one.job for one in store.events_after(NO_EVENT, limit=2)] == [job]
    assert [one.job for one in store.wait_events(NO_EVENT, 5)] == [job]


@pytest.mark.parametrize("kind", ["string", "full"])
def test_a_stream_that_takes_no_entries_stops_no_job(store: JobStore, kind: str) -> None:
    if kind == "string":
        store.client.set(STREAM, "anything")
    else:
        largest = 2**64 - 1
        store.client.xadd(STREAM, {"job": "j"}, id=f"{largest}-{largest}")
    job = store.create(SPEC).id
    assert store.claim(job, "w") is not None
    assert told(store.events_after(NO_EVENT)) == [("state", "queued", 0), ("state", "running", 1)]


@pytest.mark.parametrize(
    "text",
    ["", "1", "0-0\n", "a-b", "-1-0", "1-2-3", "$", "+", "٣-٣", f"{2**64}-0", "9" * 21 + "-0"],
)
def test_what_is_no_id_is_refused(store: JobStore, text: str) -> None:
    for call in (lambda: store.events_after(text), lambda: store.wait_events(text, 1)):
        with pytest.raises(AnimatorError) as caught:
            call()
        assert caught.value.code == "invalid_option"


def test_a_change_and_its_event_are_never_apart(store: JobStore) -> None:
    """Who looks at both in one step at any time sees them agree."""
    over = threading.Event()
    looks, apart = 0, []
    job = store.create(SPEC).id

    def watch() -> None:
        nonlocal looks
        client = connect_like(store)
        while not over.is_set():
            pipeline = client.pipeline(transaction=True)
            pipeline.hmget(f"animator:job:{job}", "state", "attempt")
            pipeline.xrevrange(STREAM, count=1)
            (state, attempt), ((_, event),) = pipeline.execute()
            looks += 1
            if (state, attempt) != (event[b"state"], event[b"attempt"]):
                apart.append((state, attempt, event))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for attempt in range(1, 400):
            store.claim(job, "w")
            store.fail(job, attempt, JobError("no_face", "No face."))
            store.retry(job)
    finally:
        over.set()
        thread.join()
    assert looks > 100 and apart == []


def connect_like(store: JobStore) -> Any:
    """Another client of the same Redis."""
    return type(store.client)(connection_pool=store.client.connection_pool)


@pytest.mark.slow
def test_ids_go_on_after_a_restart_of_redis(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    try:
        store = JobStore(connect(server.url))
        job = store.create(SPEC).id
        before = store.events_after(NO_EVENT)
        server.stop()
        with pytest.raises(AnimatorError) as caught:
            store.wait_events(before[-1].id, 1)
        assert (caught.value.code, caught.value.retryable) == ("queue_unavailable", True)
        server.start()
        store = JobStore(connect(server.url))
        assert store.events_after(NO_EVENT) == before
        store.claim(job, "w")
        assert told(store.events_after(before[-1].id)) == [("state", "running", 1)]
    finally:
        server.stop()
