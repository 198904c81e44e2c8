from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.spec import JobError, JobRecord, JobSpec, JobState, Progress, Result
from animator.store import JobStore, WorkerInfo, connect

SPEC = JobSpec("/a/source.png", "/a/driving.mp4", "/a/out.mp4", face=2)
RESULT = Result("/a/out.mp4", 150, 20.0, 7.5, {"generate": 12.0}, ("two faces",), ((3, 9),))


def info(worker: str, *, consuming: bool = True) -> WorkerInfo:
    return WorkerInfo(worker, "host", 1, "2026-01-01T00:00:00+00:00", 1, consuming, "0")


@pytest.fixture
def running(store: JobStore) -> JobRecord:
    """A job that the living worker "w" runs."""
    store.heartbeat(info("w"), 60)
    record = store.claim(store.create(SPEC).id, "w")
    assert record is not None
    return record


def test_a_new_job_is_queued(store: JobStore) -> None:
    record = store.create(SPEC)
    assert record.state is JobState.QUEUED
    assert store.get(record.id) == record
    assert record.as_dict()["output"] == "/a/out.mp4"
    assert store.counts()[JobState.QUEUED] == 1


def test_an_unknown_job_is_said_to_be_unknown(store: JobStore) -> None:
    for call in (store.get, store.request_cancel):
        with pytest.raises(AnimatorError) as caught:
            call("nothing")
        assert caught.value.code == "no_such_job"
    assert store.claim("nothing", "w") is None


def test_only_one_of_many_workers_gets_a_job(store: JobStore) -> None:
    for worker in range(8):
        store.heartbeat(info(str(worker)), 60)
    job = store.create(SPEC)
    start = threading.Barrier(8)
    claimed: list[JobRecord] = []

    def claim(worker: int) -> None:
        start.wait()
        if record := store.claim(job.id, str(worker)):
            claimed.append(record)

    threads = [threading.Thread(target=claim, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 1
    assert claimed[0].state is JobState.RUNNING
    assert claimed[0].attempt == 1


def test_a_job_whose_worker_is_gone_can_be_claimed_again(
    store: JobStore, running: JobRecord
) -> None:
    assert store.claim(running.id, "v") is None
    store.forget("w")
    store.heartbeat(info("v"), 60)
    again = store.claim(running.id, "v")
    assert again is not None
    assert again.attempt == 2
    # The first worker wakes up and must not touch the job any more.
    assert not store.report(running.id, 1, Progress("generate"))
    assert not store.succeed(running.id, 1, RESULT)
    assert not store.fail(running.id, 1, JobError("internal", "x"))
    assert not store.requeue(running.id, 1)
    assert store.get(running.id) == again


def test_a_job_succeeds(store: JobStore, running: JobRecord) -> None:
    progress = Progress("generate", 7, 150, 7.5, 19.0)
    assert store.report(running.id, 1, progress)
    assert store.get(running.id).progress == progress
    assert store.succeed(running.id, 1, RESULT)
    record = store.get(running.id)
    assert (record.state, record.result) == (JobState.SUCCEEDED, RESULT)
    assert record.finished is not None and record.started is not None
    assert record.as_dict()["missing"] == [[3, 9]]
    assert not store.fail(running.id, 1, JobError("internal", "too late"))
    assert not store.report(running.id, 1, progress)


def test_a_job_fails_with_its_reason(store: JobStore, running: JobRecord) -> None:
    error = JobError("no_face", "No face in 'ж\n'.", False)
    assert store.fail(running.id, 1, error)
    record = store.get(running.id)
    assert (record.state, record.error) == (JobState.FAILED, error)


def test_a_job_that_is_given_back_is_queued_again(store: JobStore, running: JobRecord) -> None:
    store.report(running.id, 1, Progress("generate"))
    assert store.requeue(running.id, 1)
    record = store.get(running.id)
    assert record.state is JobState.QUEUED
    assert (record.progress, record.started, record.worker) == (None, None, None)
    again = store.claim(running.id, "w")
    assert again is not None and again.attempt == 2


def test_cancelling(store: JobStore, running: JobRecord) -> None:
    queued = store.create(SPEC)
    assert store.request_cancel(queued.id) is JobState.CANCELLED
    assert store.claim(queued.id, "w") is None
    assert not store.cancel_requested(running.id)
    assert store.request_cancel(running.id) is JobState.RUNNING
    assert store.cancel_requested(running.id)
    assert store.get(running.id).cancel_requested
    assert store.cancelled(running.id, 1)
    assert store.get(running.id).state is JobState.CANCELLED
    assert not store.get(running.id).cancel_requested
    assert store.request_cancel(running.id) is JobState.CANCELLED
    assert store.counts()[JobState.CANCELLED] == 2


def test_cancelling_is_not_lost_when_a_job_is_given_back(
    store: JobStore, running: JobRecord
) -> None:
    store.request_cancel(running.id)
    assert store.requeue(running.id, 1)
    record = store.get(running.id)
    assert record.state is JobState.CANCELLED and record.finished is not None


def test_only_jobs_without_a_living_worker_are_abandoned(
    store: JobStore, running: JobRecord
) -> None:
    assert not store.abandon(running.id)
    store.forget("w")
    assert store.abandon(running.id)
    record = store.get(running.id)
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert (record.error.code, record.error.retryable) == ("interrupted", True)
    assert not store.abandon(running.id)


def test_an_abandoned_job_that_was_to_be_cancelled_is_cancelled(
    store: JobStore, running: JobRecord
) -> None:
    store.request_cancel(running.id)
    store.forget("w")
    assert store.abandon(running.id)
    assert store.get(running.id).state is JobState.CANCELLED


def test_the_list_is_newest_first_and_by_state(store: JobStore) -> None:
    jobs = [store.create(replace(SPEC, face=face)) for face in range(1, 6)]
    store.request_cancel(jobs[1].id)
    assert [job.spec.face for job in store.list_jobs()] == [5, 4, 3, 2, 1]
    assert [job.spec.face for job in store.list_jobs(limit=2, offset=1)] == [4, 3]
    assert [job.spec.face for job in store.list_jobs(JobState.CANCELLED)] == [2]
    assert len(store.list_jobs(JobState.QUEUED)) == 4


def test_two_jobs_do_not_write_one_file(store: JobStore) -> None:
    first = store.create(SPEC, overwrite=False)
    with pytest.raises(AnimatorError, match=first.id) as caught:
        store.create(SPEC, overwrite=False)
    assert caught.value.code == "output_exists"
    second = store.create(SPEC, overwrite=True)
    store.request_cancel(first.id)  # the file is the second job's now
    with pytest.raises(AnimatorError, match=second.id):
        store.create(SPEC, overwrite=False)
    store.heartbeat(info("w"), 60)
    assert store.claim(second.id, "w")
    with pytest.raises(AnimatorError, match=second.id):
        store.create(SPEC, overwrite=False)
    assert store.fail(second.id, 1, JobError("no_face", "x"))
    assert store.create(SPEC, overwrite=False)


def test_workers_live_as_long_as_they_say_so(store: JobStore) -> None:
    assert store.workers() == []
    store.heartbeat(info("b"), 60)
    store.heartbeat(info("a", consuming=False), 60)
    store.heartbeat(info("c"), 0.05)
    time.sleep(0.1)
    assert store.workers() == [info("a", consuming=False), info("b")]
    store.forget("b")
    assert store.workers() == [info("a", consuming=False)]


def test_a_queue_that_is_away_is_told_at_once(tmp_path: Path) -> None:
    store = JobStore(connect(f"redis+socket://{tmp_path}/none.sock"))
    began = time.monotonic()
    for call in (store.ping, store.list_jobs, store.workers, lambda: store.create(SPEC)):
        with pytest.raises(AnimatorError) as caught:
            call()
        assert (caught.value.code, caught.value.retryable) == ("queue_unavailable", True)
    assert time.monotonic() - began < 8
