"""The event hub: what it keeps for streams, and what it does about slow ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState, Progress
from animator.spec import JobOptions, JobSpec
from animator.web.access.callers import Caller
from animator.web.api.events import EventHub, Subscription
from animator.web.api.news import News, take_snapshot


def news(number: int, kind: str = "progress", job: str = "a", owner: str | None = "") -> News:
    return News(f"{number}-0", (number, 0), job, kind, JobState.RUNNING, owner, "{}")


def taken(subscription: Subscription) -> list[int]:
    return [one.order[0] for one in asyncio.run(subscription.next(0.1))]


@pytest.fixture
def hub(store: JobStore) -> Iterator[EventHub]:
    hub = EventHub(store)
    hub.start()
    yield hub
    hub.close()


def reached(hub: EventHub, event_id: str) -> None:
    deadline = time.monotonic() + 30
    while hub.position != event_id:
        assert time.monotonic() < deadline, (hub.position, event_id)
        time.sleep(0.01)


def new_job(store: JobStore, owner: str = "") -> JobRecord:
    return store.create(JobSpec("/a", "/b", "/c.mp4"), options=JobOptions(owner=owner))


def test_who_reads_in_time_gets_everything() -> None:
    subscription = Subscription(None, Caller())
    for number in range(1, 40):
        subscription.offer(news(number))
    assert taken(subscription) == [*range(1, 40)]
    assert taken(subscription) == []


def test_who_is_slow_gets_less_progress_and_every_state() -> None:
    subscription = Subscription(None, Caller())
    for number in range(1, 10_001):
        kind = "state" if number % 1000 == 0 else "progress"
        subscription.offer(news(number, kind, job="ab"[number % 2]))
    found = taken(subscription)
    assert found == sorted(found) and len(found) <= 110
    assert {*range(1000, 10_001, 1000)} <= {*found} and {9998, 9999} <= {*found}


def test_who_falls_far_behind_is_closed() -> None:
    subscription = Subscription(None, Caller())
    for number in range(1, 5000):
        subscription.offer(news(number, "state"))
    assert subscription.closed and len(taken(subscription)) <= 4000


def test_events_are_those_of_the_job_and_of_the_owner() -> None:
    ann, everybody = Caller("ann", False), Caller()
    for caller, job, owner, shown in (
        (ann, "a", "ann", True), (ann, "a", "bob", False), (ann, "a", None, False),
        (ann, "a", "", False), (everybody, "a", None, True), (everybody, "b", "bob", True),
    ):  # fmt: skip
        assert Subscription(None, caller).concerns(news(1, job=job, owner=owner)) is shown
        assert not Subscription("other", caller).concerns(news(1, job=job, owner=owner))


def test_what_was_before_the_hub_is_known_to_it(store: JobStore, hub: EventHub) -> None:
    job = new_job(store)
    first = store.last_event_id()
    assert store.claim(job.id, "w", 1000) is not None
    last = store.last_event_id()
    reached(hub, last)

    async def look() -> None:
        with hub.subscribed(job.id) as subscription:
            missed = hub.missed(first, subscription)
            assert missed is not None and [one.id for one in missed] == [last]
            assert hub.missed(last, subscription) == []
            everything = hub.missed("0-0", subscription)
            assert everything is not None and [one.id for one in everything] == [first, last]
            for unknown in ("1-1", "99999999999999-0"):
                assert hub.missed(unknown, subscription) is None

    asyncio.run(look())


def test_an_end_is_waited_for_without_asking_redis(store: JobStore, hub: EventHub) -> None:
    job = new_job(store)

    async def wait() -> bool:
        waiting = asyncio.create_task(hub.ended(job.id, 10))
        await asyncio.sleep(0.3)
        calls = store.client.info("commandstats")["cmdstat_hget"]["calls"]
        await asyncio.sleep(1)
        assert store.client.info("commandstats")["cmdstat_hget"]["calls"] == calls
        store.request_cancel(job.id)
        began = time.monotonic()
        ended = await waiting
        assert time.monotonic() - began < 1
        return ended

    assert asyncio.run(wait())
    assert asyncio.run(EventHub(store).ended(job.id, 0.1))


def test_a_snapshot_is_of_a_moment_between_two_events(store: JobStore) -> None:
    job = new_job(store)
    record = store.claim(job.id, "w", 60_000)
    assert record is not None
    frames = iter((1, 2))

    def read() -> list[JobRecord]:
        found = [store.get(job.id)]
        # Something happens while it is read, twice
        if (frame := next(frames, None)) is not None:
            store.report(job.id, record.attempt, Progress("generate", frame))
        return found

    snapshot = take_snapshot(store, read)
    assert snapshot.event_id == store.last_event_id()
    assert snapshot.records[0].progress == Progress("generate", 2)
