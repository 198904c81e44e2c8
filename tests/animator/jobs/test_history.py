from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from animator.jobs.store import JobStore
from animator.record import JobError, JobState, Result
from animator.spec import JobOptions, JobSpec

SPEC = JobSpec("/a/source.png", "/a/driving.mp4", "/a/out.mp4")


def end(store: JobStore, *, frames: int = 10) -> str:
    job = store.create(SPEC)
    record = store.claim(job.id, "w", 60)
    assert record is not None
    store.succeed(job.id, 1, Result("/a/out.mp4", frames, 1.0, 1.0))
    return job.id


def age(store: JobStore, job_id: str, *, created: timedelta, finished: timedelta) -> None:
    """Make a job look older than it is."""
    now = datetime.now(UTC)
    score = int((now - created).timestamp() * 1e6)
    state = store.get(job_id).state.value
    for index in ("jobs", f"jobs:{state}"):
        store.client.zadd(f"animator:{index}", {job_id: score})
    when = (now - finished).isoformat(timespec="milliseconds")
    store.client.hset(f"animator:job:{job_id}", "finished", when)


def test_the_list_is_newest_first_and_by_state(store: JobStore) -> None:
    jobs = [store.create(replace(SPEC, face=face)) for face in range(1, 6)]
    store.request_cancel(jobs[1].id)
    assert [job.spec.face for job in store.list_jobs()] == [5, 4, 3, 2, 1]
    assert [job.spec.face for job in store.list_jobs(limit=2, offset=1)] == [4, 3]
    assert [job.spec.face for job in store.list_jobs(JobState.CANCELLED)] == [2]
    assert len(store.list_jobs(JobState.QUEUED)) == 4


def test_the_list_is_cut_by_time(store: JobStore) -> None:
    jobs = [store.create(SPEC).id for _ in range(4)]
    for hours, job_id in enumerate(jobs):
        age(store, job_id, created=timedelta(hours=hours), finished=timedelta())
    moment = datetime.now(UTC) - timedelta(hours=1.5)
    assert [job.id for job in store.list_jobs(since=moment)] == jobs[:2]
    assert [job.id for job in store.list_jobs(until=moment)] == jobs[2:]
    assert [job.id for job in store.list_jobs(until=moment, limit=1, offset=1)] == jobs[3:]
    assert store.list_jobs(JobState.FAILED, since=moment) == []


def test_rates_are_of_what_ended(store: JobStore) -> None:
    assert store.rates()[60].jobs == 0
    for _ in range(3):
        end(store, frames=20)
    job = store.create(SPEC)
    assert store.claim(job.id, "w", 60)
    store.fail(job.id, 1, JobError("no_face", "x"))
    store.request_cancel(store.create(SPEC).id)
    rates = store.rates()
    assert (rates[1].jobs, rates[1].frames) == (4, 60)
    assert (rates[10].jobs, rates[10].frames) == (0.4, 6)
    assert (rates[60].jobs, rates[60].frames) == (4 / 60, 1)
    assert all(store.client.ttl(key) > 3600 for key in store.client.keys("animator:ended:*"))


def test_only_what_ended_before_is_purged(store: JobStore) -> None:
    old, late, new, waiting = end(store), end(store), end(store), store.create(SPEC).id
    age(store, old, created=timedelta(days=40), finished=timedelta(days=39))
    age(store, late, created=timedelta(days=40), finished=timedelta(days=1))
    store.client.zadd("animator:jobs", {waiting: 0})
    store.client.zadd("animator:jobs:queued", {waiting: 0})
    assert store.retain(0) == 0
    assert store.retain(30) == 1
    assert {job.id for job in store.list_jobs()} == {late, new, waiting}
    assert store.logs(old) == [] and store.logs(new)
    assert store.purge([JobState.FAILED], datetime.now(UTC)) == 0
    assert store.purge(JobState, datetime.now(UTC) + timedelta(seconds=1)) == 2
    assert [job.id for job in store.list_jobs()] == [waiting]
    assert store.counts()[JobState.SUCCEEDED] == 0
    assert not store.client.keys(f"animator:*:{old}")


def test_a_purge_of_many_passes_those_that_stay(store: JobStore) -> None:
    jobs = [store.create(SPEC).id for _ in range(1200)]
    for job in jobs:
        store.request_cancel(job)
    for job in jobs[:700]:
        age(store, job, created=timedelta(days=9), finished=timedelta())
    for job in jobs[700:]:
        age(store, job, created=timedelta(days=8), finished=timedelta(days=7))
    assert store.purge([JobState.CANCELLED], datetime.now(UTC) - timedelta(days=1)) == 500


def test_named_jobs_are_removed_once_they_have_ended(store: JobStore) -> None:
    ended, waiting = end(store), store.create(SPEC, options=JobOptions(key="mine")).id
    assert store.states([ended, waiting, "nothing"]) == {
        ended: JobState.SUCCEEDED,
        waiting: JobState.QUEUED,
    }
    assert store.remove([ended, waiting, "nothing"]) == 1
    assert store.states([ended, waiting]) == {waiting: JobState.QUEUED}
    store.request_cancel(waiting)
    assert store.remove([waiting]) == 1 and store.remove([]) == 0
    assert store.list_jobs() == [] and store.find_keys(["mine"]) == {}
    assert not store.client.keys(f"animator:*:{waiting}")
    assert store.counts()[JobState.CANCELLED] == 0


def test_a_log_tells_what_happened(store: JobStore) -> None:
    job = store.create(SPEC)
    store.log(job.id, "waits for \udcff 'ж'")
    assert store.claim(job.id, "w", 60)
    store.log(job.id, "stage generate", "w")
    store.fail(job.id, 1, JobError("no_face", "No face in 'ж\udcff'."))
    store.retry(job.id)
    lines = store.logs(job.id)
    assert [(line.worker, line.text) for line in lines] == [
        ("", "waits for \\udcff 'ж'"),
        ("w", "attempt 1 begins"),
        ("w", "stage generate"),
        ("w", "failed [no_face]: No face in 'ж\\udcff'."),
        ("", "to be tried again"),
    ]
    assert lines[0].time <= lines[-1].time
    for number in range(250):
        store.log(job.id, str(number))
    assert [line.text for line in store.logs(job.id)] == [str(number) for number in range(50, 250)]
    store.log("nothing", "x")
    assert store.logs("nothing") == []


def test_ids_are_found_by_their_beginning(store: JobStore) -> None:
    jobs = [store.create(SPEC).id for _ in range(50)]
    assert store.ids_beginning(jobs[7][:8], 5) == [jobs[7]]
    assert store.ids_beginning("nothing", 5) == []
    assert len(store.ids_beginning("", 5)) == 5
