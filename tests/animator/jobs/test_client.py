"""Submitting and waiting, with a queue that only notes what it is told."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.jobs import supervision
from animator.jobs.client import Client
from animator.jobs.content_key import content_key
from animator.jobs.queue import Announcement
from animator.jobs.store import JobRequest, JobStore, WorkerInfo
from animator.options import Kind, Priority
from animator.record import JobRecord, JobState, Result
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from animator.workspace.attempt import Workspace

RESULT = Result("/a/out.mp4", 150, 20.0, 7.5)


class Worker:
    """A worker process that is not there."""

    def __init__(self, queue: NotingQueue, number: int) -> None:
        self.id = f"worker-{number}"
        self.log = Path("/tmp/log")
        self.lives = True
        self.stopped = False
        self._queue = queue

    def alive(self) -> bool:
        return self.lives

    def runs_as(self, worker_id: str) -> bool:
        return worker_id == self.id

    def stop(self) -> None:
        self.stopped = True

    def kill(self) -> None:
        self.lives = False

    def beat(self, kind: str = "cpu") -> None:
        info = WorkerInfo(self.id, "host", 1, "2026", 1, True, "0", kind=kind)
        self._queue.store.heartbeat(info, 60)


class NotingQueue:
    """Notes what is enqueued, and starts workers that do what a test says."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.told: list[tuple[str, Priority, Kind]] = []
        self.away = False
        self.started: list[Worker] = []
        self.on_start: Callable[[Worker], None] = lambda worker: None

    def enqueue(self, job_id: str, priority: Priority = "normal", kind: Kind = "any") -> None:
        self.enqueue_many([Announcement(job_id, priority, kind)])

    def enqueue_many(self, jobs: Iterable[Announcement]) -> None:
        if self.away:
            raise AnimatorError("queue_unavailable", "Away.", retryable=True)
        self.told += [(job.job_id, job.priority, job.kind) for job in jobs]

    def waiting(self, kind: Kind, priority: Priority) -> int:
        return 0

    def alive_workers(self) -> list[WorkerInfo]:
        return [worker for worker in self.store.workers() if worker.consuming]

    def start_worker(self, environment: Mapping[str, str] | None = None) -> Worker:
        worker = Worker(self, len(self.started) + 1)
        self.started.append(worker)
        threading.Thread(target=self.on_start, args=[worker]).start()
        return worker


@pytest.fixture
def queue(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> NotingQueue:
    monkeypatch.setattr(supervision, "SUPERVISE_SECONDS", 0.05)
    monkeypatch.setattr(supervision, "CANCEL_SECONDS", 0.2)
    return NotingQueue(store)


@pytest.fixture
def client(settings: Settings, store: JobStore, queue: NotingQueue) -> Client:
    return Client(settings, store, queue)


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    source, driving = tmp_path / "source.png", tmp_path / "driving.mp4"
    source.write_bytes(b"picture")
    driving.write_bytes(b"video")
    return JobSpec(str(source), str(driving), str(tmp_path / "out.mp4"))


def test_submitting_tells_priority_and_kind(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    job = client.submit(replace(spec, device="cpu"), options=JobOptions(priority="high"))
    assert queue.told == [(job.id, "high", "cpu")]


def test_a_job_that_nobody_was_told_of_waits(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    queue.away = True
    job = client.submit(spec)
    assert client.store.get(job.id).state is JobState.QUEUED
    assert [record.id for record in client.store.waiting(0)] == [job.id]


def test_a_key_gives_the_job_that_is_there(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    options = JobOptions(key="mine")
    assert client.find(spec, options) is None
    job = client.submit(spec, options=options)
    assert client.store.claim(job.id, "w")
    client.store.succeed(job.id, 1, RESULT)
    Path(spec.output).touch()  # neither this nor a missing input matters any more
    os.unlink(spec.source)
    again = client.submit(spec, options=options)
    assert (again.id, again.state) == (job.id, JobState.SUCCEEDED)
    found = client.find(spec, options)
    assert found is not None and found.id == job.id
    assert len(queue.told) == 1


def test_the_automatic_key_is_of_the_content(
    client: Client, settings: Settings, spec: JobSpec, tmp_path: Path
) -> None:
    options = JobOptions(key="auto")
    job = client.submit(spec, options=options)
    key = client.store.get(job.id).options.key
    assert key is not None and key.startswith("sha256:") and len(key) == 71
    copy = tmp_path / "copy.mp4"
    shutil.copy(spec.driving, copy)
    elsewhere = replace(spec, driving=str(copy), output=str(tmp_path / "other.mp4"))
    assert client.submit(elsewhere, options=options).id == job.id
    assert content_key(replace(spec, size=512), settings) != key
    copy.write_bytes(b"wideo")
    assert content_key(elsewhere, settings) != key
    with pytest.raises(AnimatorError) as caught:
        client.submit(replace(spec, source="/nowhere.png"), options=options)
    assert caught.value.code == "no_such_file"


def test_many_are_submitted_or_none(client: Client, queue: NotingQueue, spec: JobSpec) -> None:
    folder = Path(spec.output).parent
    requests = [
        JobRequest(replace(spec, output=str(folder / f"{number}.mp4"))) for number in range(5)
    ]
    wrong = JobRequest(replace(spec, driving="/nowhere.mp4"))
    with pytest.raises(AnimatorError) as caught:
        client.submit_many([*requests, wrong])
    assert caught.value.code == "no_such_file"
    assert client.store.list_jobs() == []
    made = client.submit_many(requests)
    assert [told[0] for told in queue.told] == [one.record.id for one in made]
    taken = JobRequest(requests[0].spec)
    with pytest.raises(AnimatorError, match="1 of 2 jobs were not submitted") as caught:
        client.submit_many([taken, JobRequest(spec)])
    assert caught.value.code == "output_exists"
    assert len(queue.told) == 6
    assert client.submit_many([]) == []


def test_a_script_that_is_run_again_submits_what_is_missing(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    folder = Path(spec.output).parent
    requests = [
        JobRequest(replace(spec, output=str(folder / f"{number}.mp4")), JobOptions(key=f"{number}"))
        for number in range(6)
    ]
    first = client.submit_many(requests[1::2])
    again = client.submit_many(requests)
    assert [one.new for one in again] == [True, False] * 3
    assert [one.record.spec.output for one in again] == [one.spec.output for one in requests]
    assert [one.record.id for one in again[1::2]] == [one.record.id for one in first]
    assert len(queue.told) == 6


def test_retrying_tells_the_workers(client: Client, queue: NotingQueue, spec: JobSpec) -> None:
    job = client.submit(spec)
    assert client.cancel(job.id).state is JobState.CANCELLED
    assert client.retry(job.id).state is JobState.QUEUED
    assert len(queue.told) == 2


def test_cancelling_what_nobody_runs_removes_its_folder(client: Client, spec: JobSpec) -> None:
    job = client.submit(spec)
    assert client.store.claim(job.id, "w")
    folder = Workspace.take(spec.output, job.id, 1).path
    assert folder.is_dir()
    assert client.cancel(job.id).state is JobState.RUNNING
    assert folder.is_dir()
    client.store.requeue(job.id, 1)
    other = client.submit(spec, overwrite=True)
    assert client.store.claim(other.id, "w")
    client.store.requeue(other.id, 1)
    folder = Workspace.take(spec.output, other.id, 1).path
    assert client.cancel(other.id).state is JobState.CANCELLED
    assert not folder.exists()


def finish(queue: NotingQueue, job_id: str, worker: Worker) -> None:
    record = queue.store.claim(job_id, worker.id, 60)
    assert record is not None
    queue.store.succeed(job_id, record.attempt, RESULT)


def test_waiting_works_the_queue_itself(client: Client, queue: NotingQueue, spec: JobSpec) -> None:
    job = client.submit(spec)

    def work(worker: Worker) -> None:
        worker.beat()
        finish(queue, job.id, worker)

    queue.on_start = work
    assert client.wait(job.id, work=True).state is JobState.SUCCEEDED
    assert [worker.stopped for worker in queue.started] == [True]


def test_no_worker_is_started_where_one_takes_jobs(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    job = client.submit(spec)
    other = Worker(queue, 0)
    other.beat()
    threading.Timer(0.4, finish, (queue, job.id, other)).start()
    assert client.wait(job.id, work=True).state is JobState.SUCCEEDED
    assert queue.started == []


def test_a_worker_that_died_is_replaced(client: Client, queue: NotingQueue, spec: JobSpec) -> None:
    job = client.submit(spec)

    def work(worker: Worker) -> None:
        worker.beat()
        if worker.id == "worker-1":
            assert queue.store.claim(job.id, worker.id, 0.3)
            time.sleep(0.3)
            worker.lives = False  # its sign of life is still there
            return
        while not queue.store.reap(20):
            time.sleep(0.02)
        finish(queue, job.id, worker)

    queue.on_start = work
    record = client.wait(job.id, work=True)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)
    assert [worker.id for worker in queue.started] == ["worker-1", "worker-2"]


def test_a_worker_that_never_lived_is_told(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    job = client.submit(spec)
    queue.on_start = Worker.kill
    with pytest.raises(AnimatorError, match="ended at once; its log is") as caught:
        client.wait(job.id, work=True)
    assert caught.value.code == "queue_unavailable"
    assert client.store.get(job.id).state is JobState.QUEUED


def test_workers_that_always_die_are_told(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    job = client.submit(spec)

    def work(worker: Worker) -> None:
        worker.beat()
        time.sleep(0.3)
        worker.kill()

    queue.on_start = work
    with pytest.raises(AnimatorError, match="again and again"):
        client.wait(job.id, work=True)
    assert len(queue.started) == supervision.MOST_WORKERS


def test_a_device_that_no_worker_has_is_told(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    Worker(queue, 0).beat("cpu")
    job = client.submit(replace(spec, device="cuda"))
    queue.on_start = Worker.beat
    with pytest.raises(AnimatorError, match="'cuda', which no running worker has") as caught:
        client.wait(job.id, work=True)
    assert caught.value.code == "device_unavailable"
    Worker(queue, 9).beat("cuda")
    threading.Timer(0.3, finish, (queue, job.id, Worker(queue, 9))).start()
    assert client.wait(job.id, work=True).state is JobState.SUCCEEDED


def test_a_worker_that_does_not_obey_is_ended(
    client: Client, queue: NotingQueue, spec: JobSpec
) -> None:
    job = client.submit(spec)

    def work(worker: Worker) -> None:
        worker.beat()
        assert queue.store.claim(job.id, worker.id, 60)

    queue.on_start = work
    changes: list[JobRecord] = []
    record = client.wait(
        job.id,
        work=True,
        on_change=changes.append,
        should_stop=lambda: changes[-1].state is JobState.RUNNING,
    )
    assert record.state is JobState.CANCELLED
    assert not queue.started[0].lives
