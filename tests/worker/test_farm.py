"""Workers that die, hang, sleep and are told to end: no job is lost, none is made twice."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from animator.jobs.queue import Queue
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState
from animator.spec import JobOptions
from animator.workspace.attempt import Workspace
from tests.worker.workers import Submit, ended, until, worker

pytestmark = pytest.mark.slow

LEASE = 1


@pytest.fixture(autouse=True)
def short(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short times, so that tests need not wait."""
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", str(LEASE))
    monkeypatch.setenv("ANIMATOR_STALL_SECONDS", "2")


def frame_of(store: JobStore, job: JobRecord) -> int:
    progress = store.get(job.id).progress
    return 0 if progress is None else progress.frame


def texts(store: JobStore, job: JobRecord) -> str:
    return "\n".join(line.text for line in store.logs(job.id))


def leftovers(job: JobRecord) -> list[str]:
    return [path.name for path in Path(job.spec.output).parent.glob(f".*.{job.id}.parts")]


def test_a_job_of_a_killed_worker_goes_on_elsewhere(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue) as first, worker(queue):
        job = submit(frames=60, seconds=6)
        until(lambda: frame_of(store, job) > 25)
        # It does not wait behind those that were not begun.
        others = [submit(frames=30, seconds=3) for _ in range(8)]
        victim = store.get(job.id).worker
        assert victim is not None
        os.kill(int(victim.split("-")[-2]), signal.SIGKILL)
        began = time.monotonic()
        until(lambda: store.get(job.id).attempt == 2)
        assert time.monotonic() - began < LEASE + 15
        record = ended(store, job)
        assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)
        assert record.suspect and record.crashes == 0
        assert record.resumed >= 20
        made = Path(job.spec.output).read_text()
        assert made.endswith(": " + "".join(f"{frame} " for frame in range(9, 60, 10)))
        until(lambda: not leftovers(job))
        assert "attempt 2 begins in a process of its own" in texts(store, job)
        assert store.get(others[-1].id).state is JobState.QUEUED
        first.kill()


@pytest.mark.parametrize("publishing", [False, True])
def test_a_worker_that_wakes_after_its_lease_is_gone_touches_nothing(
    store: JobStore, queue: Queue, submit: Submit, publishing: bool
) -> None:
    with worker(queue) as sleeper:
        plan = {"frames": 10, "seconds": 0.1, "wait_publish": 2} if publishing else {}
        job = submit(**plan or {"frames": 60, "seconds": 6})
        until(lambda: frame_of(store, job) >= (10 if publishing else 25))
        time.sleep(0.5)
        sleeper.send_signal(signal.SIGSTOP)
        with worker(queue):
            record = ended(store, job, 30)
            assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)
            made = Path(job.spec.output).stat()
            sleeper.send_signal(signal.SIGCONT)
            # It is free for other jobs as soon as it has found out.
            until(lambda: [info for info in store.workers() if not info.jobs and info.consuming])
            time.sleep(2.5)
            after = Path(job.spec.output).stat()
            assert (after.st_ino, after.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
            assert store.get(job.id) == record
            until(lambda: not leftovers(job))
        assert ended(store, submit()).state is JobState.SUCCEEDED


def test_a_job_that_brings_its_process_down_ends_and_its_neighbour_succeeds(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue, "-c", "2"), worker(queue, "-c", "2"):
        good = submit(frames=30, seconds=3)
        until(lambda: frame_of(store, good) >= 10)
        bad = submit(abort=5)
        also = submit(frames=20, seconds=2)
        record = ended(store, bad, 40)
        assert record.state is JobState.FAILED and record.error is not None
        assert (record.error.code, record.error.retryable) == ("worker_crashed", True)
        assert "SIGABRT (Aborted) in the stage 'generate'" in record.error.message
        assert record.crashes == 2
        for job in (good, also):
            record = ended(store, job)
            assert (record.state, record.crashes) == (JobState.SUCCEEDED, 0)
        until(lambda: not leftovers(bad))


def test_a_job_that_hangs_is_given_up_and_its_thread_replaced(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue) as process:
        bad = submit(hang=1000)
        until(lambda: frame_of(store, bad) == 5)
        good = [submit(frames=5) for _ in range(3)]
        record = ended(store, bad, 30)
        assert record.state is JobState.FAILED and record.error is not None
        assert record.error.code == "stalled"
        assert record.error.message == (
            "The job made no progress for 2 seconds in the stage 'generate'."
        )
        assert "stalled: no progress for 2 seconds in 'generate'" in texts(store, bad)
        assert all(ended(store, job).state is JobState.SUCCEEDED for job in good)
        until(lambda: store.client.hlen("animator:celery:unacked") == 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0  # although the thread still hangs


def test_a_process_with_too_many_threads_that_hang_ends(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue) as process:
        for _ in range(2):
            submit(hang=1000)
        assert process.wait(30) == 70
        assert not store.counts()[JobState.RUNNING]
        assert store.workers() == []


def test_a_job_that_eats_memory_ends(
    store: JobStore, queue: Queue, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_JOB_MEMORY_MB", "200")
    with worker(queue) as process:
        job = submit(memory_mb=300)
        process.wait(20)  # taken by the kernel
    with worker(queue):
        record = ended(store, job, 30)
        assert record.state is JobState.FAILED and record.error is not None
        assert record.error.code == "out_of_memory"
        assert record.crashes == 2


def test_ending_quickly_although_a_job_hangs(
    store: JobStore, queue: Queue, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_STALL_SECONDS", "300")
    with worker(queue, "-c", "2") as process:
        hanging, running = submit(hang=1000), submit(frames=200, seconds=20)
        until(lambda: frame_of(store, hanging) == 5 and frame_of(store, running) > 10)
        began = time.monotonic()
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        process.wait(12)
        assert time.monotonic() - began < 10
        for job in (hanging, running):
            record = store.get(job.id)
            assert (record.state, record.suspect) == (JobState.QUEUED, False)
        assert store.workers() == []


def test_a_shutdown_with_a_limit_gives_back_and_another_worker_goes_on(
    store: JobStore, queue: Queue, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_SHUTDOWN_SECONDS", "1")
    with worker(queue) as process:
        job = submit(frames=60, seconds=6)
        until(lambda: frame_of(store, job) > 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(4) == 0
        assert store.get(job.id).state is JobState.QUEUED
    with worker(queue):
        record = ended(store, job)
        assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)
        assert record.resumed >= 10 and not record.suspect


def test_cancelling_where_nobody_or_a_process_of_its_own_runs_the_job(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue) as process:
        orphan, suspect = submit(frames=600, seconds=60), submit(frames=600, seconds=60)
        until(lambda: frame_of(store, orphan) > 25)
        process.kill()
    store.request_cancel(orphan.id)
    assert leftovers(orphan)
    with worker(queue):
        assert ended(store, orphan).state is JobState.CANCELLED
        until(lambda: not leftovers(orphan))
        until(lambda: frame_of(store, suspect) > 5)
        store.requeue(suspect.id, 1, suspect=True)
        queue.enqueue(suspect.id)
        until(lambda: store.get(suspect.id).attempt == 2 and frame_of(store, suspect) > 5)
        before = frame_of(store, suspect)
        store.request_cancel(suspect.id)
        assert ended(store, suspect).state is JobState.CANCELLED
        assert frame_of(store, suspect) < before + 20  # those of two seconds
        until(lambda: not leftovers(suspect))


def test_the_urgent_come_first_and_doubled_messages_do_no_harm(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    jobs = [
        submit(options=JobOptions(priority=priority), device=device)
        for priority in ("low", "normal", "high")
        for device in ("auto", "cpu")
    ]
    elsewhere = submit(device="cuda", options=JobOptions(priority="high"))
    for job in jobs:
        queue.enqueue(job.id, job.options.priority, job.spec.kind)
    with ExitStack() as stack:
        stack.enter_context(worker(queue))
        began = [ended(store, job).started or "" for job in jobs]
        assert began[4:] < began[2:4] < began[:2]
        assert {store.get(job.id).attempt for job in jobs} == {1}
        assert store.get(elsewhere.id).state is JobState.QUEUED


def test_a_job_whose_message_is_lost_is_told_again(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue):
        assert ended(store, submit(tell=False)).state is JobState.SUCCEEDED


def test_two_workers_never_have_the_same_job(store: JobStore, queue: Queue, submit: Submit) -> None:
    with worker(queue, "-c", "3"), worker(queue, "-c", "3"):
        jobs = [submit(frames=5, seconds=0.2) for _ in range(20)]
        for job in jobs:
            queue.enqueue(job.id)
        for job in jobs:
            record = ended(store, job)
            assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)


def test_a_failed_job_is_tried_again_from_its_record(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue):
        job = submit(error="no_face")
        assert ended(store, job).state is JobState.FAILED
        Path(job.spec.driving).write_text("{}")
        record = store.retry(job.id)
        queue.enqueue(record.id)
        record = ended(store, job)
        assert (record.state, record.attempt, record.error) == (JobState.SUCCEEDED, 2, None)


def test_a_worker_says_what_it_does(store: JobStore, queue: Queue, submit: Submit) -> None:
    with worker(queue):
        job = submit(frames=100, seconds=10)
        info = until(lambda: next((one for one in store.workers() if one.fps), None))
        assert info.jobs == (job.id,)
        assert (info.kind, info.device) == ("cpu", "cpu")
        assert info.memory_mb > 10 and info.fps == 10
        assert {"animator.cpu.high", "animator.any.low"} <= set(info.queues)
        assert not any(".cuda." in name for name in info.queues)


def test_what_a_worker_left_of_an_ended_job_is_removed(
    store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue):
        job = submit(frames=2)
        assert ended(store, job).state is JobState.SUCCEEDED
        until(lambda: not leftovers(job))
        # As if it had been killed between the end on record and that of the folder.
        Workspace.take(job.spec.output, job.id, 1)
        assert leftovers(job)
        until(lambda: not leftovers(job))


@pytest.mark.parametrize("code", ["signing_failed", "no_face"])
def test_what_is_rendered_waits_where_only_the_signature_failed(
    code: str, store: JobStore, queue: Queue, submit: Submit
) -> None:
    with worker(queue):
        job = submit(error=code)
        record = ended(store, job)
        assert record.error is not None and record.error.code == code
        if code == "signing_failed":
            time.sleep(1.0)  # a clean-up would come at once
            assert leftovers(job)
        else:
            until(lambda: not leftovers(job))
