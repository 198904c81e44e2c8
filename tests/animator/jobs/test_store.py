from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from animator.errors import AnimatorError
from animator.jobs.store import JobRequest, JobStore, Submission, WorkerInfo, connect
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.spec import JobOptions, JobSpec
from tests.lost_answers import SentTwice
from tests.racing import racing

SPEC = JobSpec("/a/source.png", "/a/driving.mp4", "/a/out.mp4", face=2)
RESULT = Result("/a/out.mp4", 150, 20.0, 7.5, {"generate": 12.0}, ("two faces",), ((3, 9),))


def info(worker: str, *, consuming: bool = True) -> WorkerInfo:
    return WorkerInfo(worker, "host", 1, "2026-01-01T00:00:00+00:00", 1, consuming, "0")


@pytest.fixture(params=[JobStore, SentTwice])
def any_store(store: JobStore, request: pytest.FixtureRequest) -> JobStore:
    """The store, also with lost answers."""
    made: JobStore = request.param(store.client)
    return made


@pytest.fixture
def running(store: JobStore) -> JobRecord:
    """A job that the worker "w" runs."""
    record = store.claim(store.create(SPEC).id, "w")
    assert record is not None
    return record


def test_a_new_job_is_queued(store: JobStore) -> None:
    record = store.create(SPEC)
    assert record.state is JobState.QUEUED
    assert store.get(record.id) == record
    assert record.as_dict()["output"] == "/a/out.mp4"
    assert store.counts()[JobState.QUEUED] == 1


def test_a_job_knows_whose_it_is(store: JobStore) -> None:
    record = store.create(SPEC, options=JobOptions(owner="studio"))
    assert store.get(record.id).as_dict()["owner"] == "studio"
    # As an older version wrote it.
    store.client.hset(f"animator:job:{record.id}", "options", '{"priority": "low"}')
    assert store.get(record.id).as_dict()["owner"] == ""


def test_an_unknown_job_is_said_to_be_unknown(store: JobStore) -> None:
    for call in (store.get, store.request_cancel):
        with pytest.raises(AnimatorError) as caught:
            call("nothing")
        assert caught.value.code == "no_such_job"
    assert store.claim("nothing", "w") is None


def test_only_one_of_many_workers_gets_a_job(store: JobStore) -> None:
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
    assert store.requeue(running.id, 1) is JobState.QUEUED
    record = store.get(running.id)
    assert record.state is JobState.QUEUED and not record.suspect
    assert (record.progress, record.started, record.worker) == (None, None, None)
    again = store.claim(running.id, "w")
    assert again is not None and again.attempt == 2


def test_cancelling(store: JobStore, running: JobRecord) -> None:
    queued = store.create(SPEC)
    assert store.request_cancel(queued.id) is JobState.CANCELLED
    assert store.claim(queued.id, "w") is None
    assert not store.get(running.id).cancel_requested
    assert store.request_cancel(running.id) is JobState.RUNNING
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
    assert store.requeue(running.id, 1) is JobState.CANCELLED
    record = store.get(running.id)
    assert record.state is JobState.CANCELLED and record.finished is not None


def test_two_jobs_do_not_write_one_file(store: JobStore) -> None:
    first = store.create(SPEC, overwrite=False)
    with pytest.raises(AnimatorError, match=first.id) as caught:
        store.create(SPEC, overwrite=False)
    assert caught.value.code == "output_exists"
    second = store.create(SPEC, overwrite=True)
    store.request_cancel(first.id)  # the file is the second job's now
    with pytest.raises(AnimatorError, match=second.id):
        store.create(SPEC, overwrite=False)
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
    # One that was silent for long, and one that is missing on the list.
    store.heartbeat(info("c"), 60)
    store.client.srem("animator:workers", "a")
    store.heartbeat(info("a"), 60)
    assert store.workers() == [info("c")]
    store.heartbeat(info("a"), 60, enrol=True)
    assert store.workers() == [info("a"), info("c")]


def test_a_queue_that_is_away_is_told_at_once(tmp_path: Path) -> None:
    store = JobStore(connect(f"redis+socket://{tmp_path}/none.sock"))
    began = time.monotonic()
    for call in (store.ping, store.list_jobs, store.workers, lambda: store.create(SPEC)):
        with pytest.raises(AnimatorError) as caught:
            call()
        assert (caught.value.code, caught.value.retryable) == ("queue_unavailable", True)
    assert time.monotonic() - began < 8


def test_an_answer_that_is_lost_changes_nothing(any_store: JobStore) -> None:
    store = any_store
    job = store.create(SPEC, overwrite=False)
    claimed = store.claim(job.id, "w", 60)
    assert claimed is not None and claimed.attempt == 1
    assert store.requeue(job.id, 1, crash=JobError("stalled", "x")) is JobState.QUEUED
    assert store.get(job.id).crashes == 1
    claimed = store.claim(job.id, "w", 60)
    assert claimed is not None and claimed.attempt == 2
    assert store.fail(job.id, 2, JobError("no_face", "x"))
    assert store.retry(job.id).state is JobState.QUEUED
    claimed = store.claim(job.id, "w", 60)
    assert claimed is not None and claimed.attempt == 3
    assert store.succeed(job.id, 3, RESULT)
    assert [record.id for record in store.list_jobs()] == [job.id]
    assert store.rates()[1].jobs == 2
    assert store.rates()[1].frames == 150


def test_what_an_older_version_wrote_can_be_read_and_run(store: JobStore) -> None:
    for number, state in enumerate(("queued", "running", "succeeded")):
        fields: dict[Any, Any] = {
            "spec": SPEC.to_json(),
            "state": state,
            "attempt": "1",
            "version": "0.1.0",
        }
        fields |= {"created": "2026-01-01T00:00:00.000+00:00", "output": "/a/out.mp4"}
        if state == "succeeded":
            fields |= {"finished": "2026-01-02T00:00:00.000+00:00"}
            fields |= {"result": '{"output": "/o", "frames": 9, "seconds": 1.0, "fps": 9.0}'}
        store.client.hset(f"animator:job:{state}", mapping=fields)
        for index in ("jobs", f"jobs:{state}"):
            store.client.zadd(f"animator:{index}", {state: 1_767_225_600_000_000 + number})
    assert [record.id for record in store.list_jobs()] == ["succeeded", "running", "queued"]
    record = store.get("succeeded")
    assert (record.options, record.suspect, record.crashes) == (JobOptions(), False, 0)
    assert record.result is not None and record.result.resumed == 0
    # The queued one is told again, and the running one gets a lease that can run out.
    assert [record.id for record in store.waiting(10)] == ["queued"]
    assert store.depths()["any", "normal"] == 1
    assert store.reap(20) == []
    lease = store.get("running").lease
    assert lease is not None and 55 < lease <= 60
    assert store.claim("queued", "w") is not None
    assert store.succeed("queued", 2, RESULT)
    assert store.purge([JobState.SUCCEEDED], datetime(2026, 1, 3, tzinfo=UTC)) == 1
    assert {record.id for record in store.list_jobs()} == {"queued", "running"}


def test_a_job_is_tried_again(store: JobStore, running: JobRecord) -> None:
    with pytest.raises(AnimatorError) as caught:
        store.retry(running.id)
    assert caught.value.code == "wrong_state"
    store.requeue(running.id, 1, crash=JobError("stalled", "x"), max_crashes=1)
    assert store.get(running.id).state is JobState.FAILED
    other = store.create(SPEC)
    with pytest.raises(AnimatorError, match=other.id) as caught:
        store.retry(running.id)
    assert caught.value.code == "output_exists"
    store.request_cancel(other.id)
    record = store.retry(running.id)
    assert (record.state, record.attempt, record.error) == (JobState.QUEUED, 1, None)
    assert (record.crashes, record.suspect, record.finished) == (0, False, None)
    assert not store.succeed(running.id, 1, RESULT)  # the attempt from before
    again = store.claim(running.id, "w")
    assert again is not None and again.attempt == 2
    with pytest.raises(AnimatorError) as caught:
        store.retry("nothing")
    assert caught.value.code == "no_such_job"


def test_a_key_is_used_once(store: JobStore) -> None:
    keyed = JobOptions(key="mine")
    first = store.create(SPEC, options=keyed)
    assert store.create(replace(SPEC, output="/a/b.mp4"), options=keyed, overwrite=False) == first
    assert store.create(SPEC).id != first.id
    store.request_cancel(first.id)
    assert store.create(SPEC, options=keyed).state is JobState.CANCELLED
    assert store.find_keys(["mine", "other"])["mine"].id == first.id
    assert store.purge(JobState, datetime.now(UTC) + timedelta(seconds=1)) == 1
    assert store.find_keys(["mine"]) == {}
    assert store.create(SPEC, options=keyed).id != first.id


def test_many_jobs_are_made_at_once(store: JobStore) -> None:
    count = 1203
    requests = [
        JobRequest(replace(SPEC, output=f"/a/{number}.mp4"), JobOptions(key=f"k{number % 1200}"))
        for number in range(count)
    ]
    made = store.create_many(requests, overwrite=False)
    assert [isinstance(one, Submission) and one.new for one in made] == [True] * 1200 + [False] * 3
    listed = [record.spec.output for record in store.list_jobs(limit=2000)]
    assert listed == [f"/a/{number}.mp4" for number in reversed(range(1200))]
    taken = store.create_many([JobRequest(requests[0].spec)], overwrite=False)
    assert isinstance(taken[0], AnimatorError) and taken[0].code == "output_exists"


def test_each_key_makes_one_job_however_many_processes_submit(
    store: JobStore, redis_url: str
) -> None:
    code = f"""
import sys, time
from animator.spec import JobOptions, JobSpec
from animator.jobs.store import JobRequest, JobStore, Submission, connect
store = JobStore(connect({redis_url!r}))
spec = JobSpec("/a/source.png", "/a/driving.mp4", "/a/out.mp4")
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    store.create(spec, options=JobOptions(key=f"one-{{number}}"))
many = [JobRequest(spec, JobOptions(key=f"many-{{number}}")) for number in range(300)]
print(sum(one.new for one in store.create_many(many)))
"""
    processes = racing(code, 4)
    assert sum(int(output) for output in processes) == 300
    assert len(store.list_jobs(limit=1000)) == 400
