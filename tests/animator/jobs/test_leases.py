from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.store import JobStore, Renewal, connect
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.spec import JobOptions, JobSpec
from tests.racing import racing

SPEC = JobSpec("/a/source.png", "/a/driving.mp4", "/a/out.mp4")
RESULT = Result("/a/out.mp4", 150, 20.0, 7.5)
CRASH = JobError("worker_crashed", "Signal 11.", True)


def claim(store: JobStore, job_id: str, seconds: float = 60) -> JobRecord:
    record = store.claim(job_id, "w", seconds)
    assert record is not None
    return record


def lapse(store: JobStore, job_id: str) -> JobRecord:
    """Claim a job and let its lease run out."""
    claim(store, job_id, 0.01)
    time.sleep(0.03)
    store.reap(20)
    return store.get(job_id)


def test_a_lease_is_told_and_renewed(store: JobStore) -> None:
    job, other = store.create(SPEC), store.create(SPEC)
    assert job.lease is None
    assert claim(store, job.id, 5).lease == pytest.approx(5, abs=0.5)
    answers = store.renew({job.id: 1, other.id: 1, "nothing": 1}, 60)
    assert [answers[one].owned for one in (job.id, other.id, "nothing")] == [True, False, False]
    assert store.get(job.id).lease == pytest.approx(60, abs=0.5)
    assert not store.renew({job.id: 2}, 60)[job.id].owned
    store.request_cancel(job.id)
    assert store.renew({job.id: 1}, 60)[job.id].cancel
    assert store.renew({}, 60) == {}
    store.cancelled(job.id, 1)
    assert store.get(job.id).lease is None
    assert not store.renew({job.id: 1}, 60)[job.id].owned


def test_a_lease_that_runs_out_makes_the_job_suspect_and_queued(store: JobStore) -> None:
    options = JobOptions(priority="high")
    job = store.create(replace(SPEC, device="cuda"), options=options)
    claim(store, job.id, 0.05)
    assert store.reap(20) == []
    time.sleep(0.1)
    (reaped,) = store.reap(20)
    assert (reaped.id, reaped.state, reaped.attempt) == (job.id, JobState.QUEUED, 1)
    assert reaped.record is not None
    assert (reaped.worker, reaped.record.spec, reaped.record.options) == ("w", job.spec, options)
    assert store.reap(20) == []
    record = store.get(job.id)
    assert (record.state, record.suspect, record.lease) == (JobState.QUEUED, True, None)
    # Whoever had it wakes up, and may not touch it any more.
    assert not store.renew({job.id: 1}, 60)[job.id].owned
    assert not store.report(job.id, 1, Progress("generate"))
    assert not store.succeed(job.id, 1, RESULT)
    assert not store.cancelled(job.id, 1)
    assert store.requeue(job.id, 1) is None
    assert claim(store, job.id).attempt == 2
    assert not store.fail(job.id, 1, CRASH)
    assert store.succeed(job.id, 2, RESULT)


def test_a_lease_that_is_renewed_late_is_still_the_workers(store: JobStore) -> None:
    job = store.create(SPEC)
    claim(store, job.id, 0.01)
    time.sleep(0.05)  # and nobody has reaped it
    assert store.renew({job.id: 1}, 60)[job.id].owned
    assert store.reap(20) == []
    assert store.succeed(job.id, 1, RESULT)


def test_a_reaped_job_that_was_to_be_cancelled_is_cancelled(store: JobStore) -> None:
    job = store.create(SPEC)
    claim(store, job.id, 0.01)
    store.request_cancel(job.id)
    time.sleep(0.03)
    (reaped,) = store.reap(20)
    assert reaped.state is JobState.CANCELLED
    assert store.get(job.id).finished is not None
    assert store.create(SPEC, overwrite=False)  # its output is free again


def test_a_job_whose_workers_always_vanish_ends(store: JobStore) -> None:
    job = store.create(SPEC)
    for _ in range(2):
        assert lapse(store, job.id).state is JobState.QUEUED
    # Those that are given back in good order do not count.
    claim(store, job.id)
    assert store.requeue(job.id, 3) is JobState.QUEUED
    claim(store, job.id, 0.01)
    time.sleep(0.03)
    (reaped,) = store.reap(3)
    assert reaped.state is JobState.FAILED
    error = store.get(job.id).error
    assert error is not None and (error.code, error.retryable) == ("too_many_attempts", True)
    assert lapse(store, store.retry(job.id).id).state is JobState.QUEUED  # and counts anew


def test_crashes_count_and_end_a_job(store: JobStore) -> None:
    job = store.create(SPEC)
    assert not claim(store, job.id).suspect
    assert store.requeue(job.id, 1, suspect=True) is JobState.QUEUED
    record = claim(store, job.id)
    assert (record.suspect, record.crashes) == (True, 0)
    assert store.requeue(job.id, 2, crash=CRASH, max_crashes=2) is JobState.QUEUED
    assert store.get(job.id).crashes == 1
    assert lapse(store, job.id).crashes == 1  # its parent died with it, perhaps for other reasons
    claim(store, job.id)
    assert store.requeue(job.id, 4, crash=CRASH, max_crashes=2) is JobState.FAILED
    record = store.get(job.id)
    assert (record.error, record.crashes, record.lease) == (CRASH, 2, None)
    assert store.counts()[JobState.FAILED] == 1


def test_a_crash_of_a_job_that_was_to_be_cancelled_cancels_it(store: JobStore) -> None:
    job = store.create(SPEC)
    claim(store, job.id)
    store.request_cancel(job.id)
    assert store.requeue(job.id, 1, crash=CRASH, max_crashes=1) is JobState.CANCELLED
    assert store.get(job.id).error is None


def test_jobs_that_nobody_was_told_of_lately_are_found(store: JobStore) -> None:
    plain = store.create(SPEC)
    urgent = store.create(SPEC, options=JobOptions(priority="high"))
    running = store.create(SPEC)
    claim(store, running.id)
    assert store.waiting(10) == []
    assert {record.id for record in store.waiting(0)} == {plain.id, urgent.id}
    time.sleep(0.05)
    store.told(plain.id, running.id, "nothing")
    assert [record.id for record in store.waiting(0.03)] == [urgent.id]
    store.requeue(running.id, 1)
    assert {record.id for record in store.waiting(0)} == {plain.id, urgent.id, running.id}
    assert len(store.waiting(0, limit=1)) == 2  # of each queue


def test_depths_follow_the_jobs(store: JobStore) -> None:
    job = store.create(replace(SPEC, device="cuda:1"), options=JobOptions(priority="low"))
    store.create(replace(SPEC, device="cpu"))
    assert store.depths()["cuda", "low"] == store.depths()["cpu", "normal"] == 1
    claim(store, job.id)
    assert store.depths()["cuda", "low"] == 0
    assert sum(store.depths().values()) == 1


def test_no_attempt_is_given_twice_while_leases_run_out(store: JobStore, redis_url: str) -> None:
    """Workers claim, reap and end the same jobs, in processes of their own."""
    jobs = [store.create(SPEC).id for _ in range(20)]
    code = f"""
import json, os, random, sys, time
from animator.record import JobState, Result
from animator.jobs.store import JobStore, connect
store = JobStore(connect({redis_url!r}))
jobs, name = {jobs!r}, str(os.getpid())
print("ready", flush=True)
sys.stdin.readline()
claims, wins = [], []
until = time.monotonic() + 20
while time.monotonic() < until and store.counts()[JobState.SUCCEEDED] < len(jobs):
    store.reap(10**6)
    record = store.claim(random.choice(jobs), name, 0.01)
    if record is None:
        continue
    claims.append([record.id, record.attempt])
    time.sleep(random.choice([0, 0, 0.03]))  # as often as not too long
    if store.succeed(record.id, record.attempt, Result("/a/out.mp4", 1, 1.0, 1.0)):
        wins.append(record.id)
print(json.dumps([claims, wins]))
"""
    found = [json.loads(output) for output in racing(code, 4)]
    claims = [tuple(one) for each, _ in found for one in each]
    assert len(set(claims)) == len(claims)
    assert sorted(job for _, wins in found for job in wins) == sorted(jobs)
    assert store.counts()[JobState.SUCCEEDED] == len(jobs)
    assert store.client.zcard("animator:leases") == 0
    for job in jobs:
        attempts = [attempt for one, attempt in claims if one == job]
        assert sorted(attempts) == list(range(1, store.get(job).attempt + 1))


def test_leases_outlive_a_killed_redis(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    try:
        store = JobStore(connect(server.url))
        short, long, queued = (store.create(SPEC).id for _ in range(3))
        claim(store, short, 0.5)
        claim(store, long, 60)
        store.request_cancel(long)
        time.sleep(1.2)  # what was written a second ago is on the disk
        pid = server.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while server.status().running:
            time.sleep(0.01)
        server.start()
        assert [reaped.id for reaped in store.reap(20)] == [short]
        assert store.renew({long: 1}, 60)[long] == Renewal(owned=True, cancel=True)
        assert {record.id for record in store.waiting(0)} == {short, queued}
        assert [line.text for line in store.logs(long)] == ["attempt 1 begins", "asked to cancel"]
        assert claim(store, short).attempt == 2
    finally:
        server.stop()


def test_one_glance_tells_whether_any_job_is_to_be_looked_after(store: JobStore) -> None:
    clock, there = store.glance()
    assert abs(clock - time.time()) < 60 and not there
    job = store.create(SPEC)
    assert store.glance()[1]  # it waits
    claim(store, job.id)
    assert store.glance()[1]  # it runs
    store.succeed(job.id, 1, RESULT)
    assert store.glance()[1]  # it may have left a folder
    store.swept(job.id)
    assert not store.glance()[1]
    # Jobs of older versions, which are on none of today's lists.
    for state in ("queued", "running"):
        store.client.zadd(f"animator:jobs:{state}", {"old": 1})
        assert store.glance()[1]
        store.client.delete(f"animator:jobs:{state}")


def test_a_turn_is_one_workers_for_a_while_whatever_the_clock_does(store: JobStore) -> None:
    assert store.take_turn("reap", 60)
    assert not store.take_turn("reap", 60) and store.take_turn("remind", 0.05)
    time.sleep(0.1)
    assert store.take_turn("remind", 60)
    # Taken before the clock of Redis was set back by an hour.
    store.client.pexpire("animator:turn:reap", 3_660_000)
    assert store.take_turn("reap", 60)
    assert not store.take_turn("reap", 60)


def test_jobs_that_ended_are_swept_once(store: JobStore) -> None:
    outputs = (replace(SPEC, output=f"/a/{number}.mp4") for number in range(4))
    done, waiting, running, never = map(store.create, outputs)
    for job in (done, waiting, running):
        claim(store, job.id)
    store.succeed(done.id, 1, RESULT)
    store.fail(waiting.id, 1, CRASH)
    store.retry(waiting.id)
    store.request_cancel(never.id)
    assert store.unswept(60) == {}
    found = store.unswept(0)
    assert set(found) == {done.id, waiting.id}
    assert [found[job.id].state.ended for job in (done, waiting) if found[job.id]] == [True, False]
    store.swept(*found)
    assert store.unswept(0) == {}
    store.cancelled(running.id, 1)
    store.purge([JobState.CANCELLED], datetime.now(UTC) + timedelta(seconds=1))
    assert store.unswept(0) == {running.id: None}
