"""Previews in the store: who wants one, who may store one, and how long they live."""

from __future__ import annotations

import pytest

from animator.jobs.leases import Renewal
from animator.jobs.previews import KEPT_SECONDS, WANTED_SECONDS
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState, Result
from animator.spec import JobSpec
from tests.lost_answers import SentTwice

PICTURE = b"\xff\xd8\x00 any bytes \xff\xd9"


@pytest.fixture
def running(store: JobStore) -> JobRecord:
    record = store.claim(store.create(JobSpec("/a", "/b", "/c.mp4")).id, "w")
    assert record is not None
    return record


def test_a_wish_is_told_to_the_worker_and_holds_for_a_while(
    store: JobStore, running: JobRecord
) -> None:
    other = store.claim(store.create(JobSpec("/a", "/b", "/d.mp4")).id, "w")
    assert other is not None
    asked = {running.id: 1, other.id: 1}
    assert not any(answer.preview for answer in store.renew(asked, 0).values())
    store.want_preview(running.id)
    assert store.renew(asked, 0) == {
        running.id: Renewal(owned=True, cancel=False, preview=True),
        other.id: Renewal(owned=True, cancel=False, preview=False),
    }
    store.request_cancel(running.id)
    assert store.renew(asked, 60)[running.id] == Renewal(True, True, True)
    assert store.renew({running.id: 2}, 0)[running.id] == Renewal(False, False, False)
    wanted = f"animator:preview:wanted:{running.id}"
    assert WANTED_SECONDS * 1000 - 1000 < store.client.pttl(wanted) <= WANTED_SECONDS * 1000
    store.client.delete(wanted)  # as if its time were over
    assert not store.renew(asked, 0)[running.id].preview


@pytest.mark.parametrize("kind", [JobStore, SentTwice])
def test_only_the_latest_attempt_stores_frames(
    store: JobStore, running: JobRecord, kind: type[JobStore]
) -> None:
    store = kind(store.client)
    assert store.preview(running.id) is None
    assert store.store_preview(running.id, 1, PICTURE)
    assert store.preview(running.id) == PICTURE
    assert not store.store_preview(running.id, 2, b"later")
    store.requeue(running.id, 1)
    assert not store.store_preview(running.id, 1, b"late")
    assert not store.store_preview("nothing", 1, b"of no job")
    assert store.preview("nothing") is None
    store.claim(running.id, "v")
    assert store.store_preview(running.id, 2, b"newer") and store.preview(running.id) == b"newer"


def test_a_frame_outlives_its_job_for_a_while_and_goes_with_its_record(
    store: JobStore, running: JobRecord
) -> None:
    store.store_preview(running.id, 1, PICTURE)
    store.succeed(running.id, 1, Result("/c.mp4", 1, 1.0, 1.0))
    assert store.get(running.id).state is JobState.SUCCEEDED
    assert store.preview(running.id) == PICTURE
    assert 0 < store.client.ttl(f"animator:preview:{running.id}") <= KEPT_SECONDS
    store.remove([running.id])
    assert store.preview(running.id) is None
