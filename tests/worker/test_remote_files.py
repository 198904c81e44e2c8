"""Workers with files elsewhere: fetched, made, uploaded, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from animator.jobs.queue import Queue, load_queue
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState, Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from tests.faulty_proxy import FaultyProxy, Plan
from tests.object_store import Bucket
from tests.worker.workers import ended, until, worker
from worker import tasks as worker_tasks
from worker.held_jobs import HeldJob
from worker.process import WorkerProcess

pytestmark = pytest.mark.slow

LEASE = 2
SubmitRemote = Callable[..., JobRecord]


@pytest.fixture
def proxy(settings: Settings, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """Stands between the workers and the store."""
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", str(LEASE))
    monkeypatch.setenv("ANIMATOR_STALL_SECONDS", "8")
    with FaultyProxy(s3.endpoint, Plan()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def queue(proxy: FaultyProxy, store: JobStore) -> Queue:
    return load_queue(Settings.from_environment(), store)


@pytest.fixture
def submit(store: JobStore, queue: Queue, s3: Bucket) -> SubmitRemote:
    """Submits a job all of whose files are in the bucket; it does what its arguments say."""
    s3.put("in/face.png", b"a picture")

    def submit_plan(name: str = "v", **plan: Any) -> JobRecord:
        s3.put(f"in/{name}.json", json.dumps(plan).encode())
        spec = JobSpec(
            f"{s3.url}/in/face.png",
            f"{s3.url}/in/{name}.json",
            f"{s3.url}/out/{name}.mp4",
            keep_result=True,
        )
        record = store.create(spec)
        queue.enqueue(record.id, record.options.priority, record.spec.kind)
        return record

    return submit_plan


def outbox() -> list[Path]:
    return list((Settings.from_environment().state_dir / "outbox").glob("*"))


def outputs(s3: Bucket) -> list[str]:
    return [key for key in s3.keys() if key.startswith("out/")]


def test_a_job_of_a_killed_worker_goes_on_and_is_uploaded(
    store: JobStore, queue: Queue, submit: SubmitRemote, s3: Bucket
) -> None:
    with worker(queue) as first, worker(queue):
        job = submit(frames=60, seconds=6)
        until(lambda: (progress := store.get(job.id).progress) and progress.frame > 25)
        victim = store.get(job.id).worker
        assert victim is not None
        os.kill(int(victim.split("-")[-2]), signal.SIGKILL)
        record = ended(store, job, 40)
        until(lambda: not outbox())
        first.kill()
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2), record.error
    assert record.suspect and record.resumed >= 20
    assert outputs(s3) == ["out/v.mp4", "out/v.result.json"]
    video = s3.get("out/v.mp4").decode()
    assert video.endswith(": " + "".join(f"{frame} " for frame in range(9, 60, 10)))
    assert Result.from_json(s3.get("out/v.result.json")) == record.result
    assert record.result is not None and record.result.output == job.spec.output


def test_a_job_goes_on_on_another_machine(
    store: JobStore,
    queue: Queue,
    submit: SubmitRemote,
    s3: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers that share nothing but Redis and the store; the first dies."""
    monkeypatch.setenv("ANIMATOR_STORAGE", f"{s3.url}/shared")
    with worker(queue) as first:
        job = submit(frames=80, seconds=8)
        until(lambda: sum(".mp4" in key for key in s3.keys() if "segments" in key) >= 2)
        monkeypatch.setenv("ANIMATOR_STATE_DIR", str(tmp_path / "other"))
        with worker(queue):
            first.kill()
            record = ended(store, job, 40)
            until(lambda: not outbox())
            until(lambda: not [key for key in s3.keys() if "segments" in key])
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2), record.error
    assert record.resumed >= 20
    assert outputs(s3) == ["out/v.mp4", "out/v.result.json"]


def test_jobs_through_a_network_that_fails_all_succeed(
    store: JobStore, queue: Queue, submit: SubmitRemote, proxy: FaultyProxy, s3: Bucket
) -> None:
    proxy.plan = Plan(seed=7, share=0.25)
    with worker(queue, "-c", "4"):
        jobs = [submit(f"v{number}", frames=10) for number in range(8)]
        records = [ended(store, job, 60) for job in jobs]
        until(lambda: not outbox())
    assert {record.state for record in records} == {JobState.SUCCEEDED}, records
    assert len(outputs(s3)) == 16 and s3.unfinished() == []
    for record in records:
        name = record.spec.output.removeprefix(f"{s3.url}/")
        assert s3.get(name).endswith(b": 9 ")
    assert sum(proxy.faults.values()) >= 5


def test_a_slow_store_is_no_stalled_job(
    store: JobStore, queue: Queue, submit: SubmitRemote, proxy: FaultyProxy
) -> None:
    proxy.plan = Plan(
        seed=1,
        share=1,
        faults=("delay",),
        delay_seconds=7,
        matches=lambda method, _: method != "HEAD",
    )
    with worker(queue):
        record = ended(store, submit(frames=10), 120)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)


def test_a_job_that_is_cancelled_or_fails_leaves_nothing(
    store: JobStore, queue: Queue, submit: SubmitRemote, s3: Bucket
) -> None:
    with worker(queue, "-c", "2"):
        slow = submit("slow", frames=100, seconds=20)
        bad = submit("bad", error="no_face", message="No face at all.")
        until(lambda: (progress := store.get(slow.id).progress) and progress.frame > 15)
        store.request_cancel(slow.id)
        assert ended(store, slow).state is JobState.CANCELLED
        assert ended(store, bad).state is JobState.FAILED
        until(lambda: not outbox())
    assert outputs(s3) == []


def test_a_job_that_is_given_back_keeps_its_segments(
    store: JobStore, queue: Queue, submit: SubmitRemote, s3: Bucket
) -> None:
    with worker(queue) as first:
        job = submit(frames=60, seconds=6)
        until(lambda: (progress := store.get(job.id).progress) and progress.frame > 25)
        for _ in range(2):
            first.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        first.wait(30)
    assert store.get(job.id).state is JobState.QUEUED
    assert len(outbox()) == 1 and outputs(s3) == []
    with worker(queue):
        record = ended(store, job, 40)
        until(lambda: not outbox())
    assert record.state is JobState.SUCCEEDED and record.resumed >= 20


def test_an_attempt_that_is_no_longer_the_latest_uploads_nothing(
    store: JobStore, queue: Queue, submit: SubmitRemote, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loses the job between putting the video in place on its machine and the upload."""
    job = submit()
    record = store.claim(job.id, "here")
    assert record is not None

    def pipeline(spec: JobSpec, *, workspace: Workspace, **_: Any) -> Result:
        workspace.write("video", b"frames")
        workspace.publish("video")
        store.requeue(job.id, 1)
        assert store.claim(job.id, "there") is not None
        return Result(spec.output, 1, 1.0, 1.0)

    monkeypatch.setattr(worker_tasks, "load_pipeline", lambda: pipeline)
    run = worker_tasks.JobRun(WorkerProcess(Settings.from_environment()), HeldJob(record))
    run.run()
    assert outputs(s3) == []
    found = store.get(job.id)
    assert (found.state, found.attempt) == (JobState.RUNNING, 2)


def test_a_url_that_the_worker_may_not_use_fails_the_job(
    store: JobStore, queue: Queue, submit: SubmitRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANIMATOR_ALLOWED_URLS")
    with worker(queue):
        record = ended(store, submit())
        until(lambda: not outbox())
    assert record.error is not None and record.error.code == "url_refused"
