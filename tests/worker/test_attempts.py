"""How an attempt ends that may not publish, in the worker's own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import worker.tasks
from animator.errors import LeaseLost
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState, Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from worker.held_jobs import HeldJob
from worker.process import WorkerProcess

Meanwhile = Callable[[], object]


@pytest.fixture
def job(settings: Settings, store: JobStore, tmp_path: Path) -> JobRecord:
    """A job that is claimed for the first time."""
    (tmp_path / "out").mkdir()
    record = store.claim(store.create(JobSpec("/a", "/b", str(tmp_path / "out" / "o.mp4"))).id, "w")
    assert record is not None
    return record


@pytest.fixture
def attempt(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs an attempt; something happens just before it asks whether it may publish."""

    def run(record: JobRecord, meanwhile: Meanwhile = lambda: None, stop: bool = False) -> None:
        def pipeline(
            spec: JobSpec, *, workspace: Workspace, may_publish: Callable[[], bool], **_: Any
        ) -> Result:
            workspace.write("video", b"frames")
            meanwhile()
            if not may_publish():
                raise LeaseLost("it may not be published")
            workspace.publish("video")
            return Result(spec.output, 1, 1.0, 1.0)

        monkeypatch.setattr(worker.tasks, "load_pipeline", lambda: pipeline)
        held = HeldJob(record, stopping=lambda: stop)
        worker.tasks.JobRun(WorkerProcess(settings), held).run()

    return run


def files(record: JobRecord) -> list[str]:
    return [path.name for path in Path(record.spec.output).parent.iterdir()]


def test_a_job_that_is_cancelled_as_it_is_put_together_is_cancelled_at_once(
    store: JobStore, job: JobRecord, attempt: Callable[..., None]
) -> None:
    attempt(job, lambda: store.request_cancel(job.id))
    assert store.get(job.id).state is JobState.CANCELLED
    assert files(job) == []


def test_a_job_that_is_to_stop_as_it_is_put_together_is_given_back_at_once(
    store: JobStore, job: JobRecord, attempt: Callable[..., None]
) -> None:
    attempt(job, stop=True)
    record = store.get(job.id)
    assert (record.state, record.suspect) == (JobState.QUEUED, False)
    assert len(files(job)) == 1  # for the next attempt


def test_a_twin_that_wakes_after_the_end_leaves_nothing(
    store: JobStore, job: JobRecord, attempt: Callable[..., None]
) -> None:
    store.requeue(job.id, 1)
    later = store.claim(job.id, "other")
    assert later is not None
    attempt(later)
    assert files(job) == ["o.mp4"]
    attempt(job)  # it had been claimed, and no more
    assert store.get(job.id).attempt == 2
    assert files(job) == ["o.mp4"]


def test_a_twin_that_loses_leaves_the_folder_to_the_later_attempt(
    store: JobStore, job: JobRecord, attempt: Callable[..., None]
) -> None:
    def lose() -> None:
        store.requeue(job.id, 1)
        assert store.claim(job.id, "other") is not None

    attempt(job, lose)
    assert store.get(job.id).state is JobState.RUNNING
    assert len(files(job)) == 1


def test_an_attempt_that_redis_forgot_is_not_confused_with_the_next_one(
    store: JobStore, job: JobRecord, attempt: Callable[..., None]
) -> None:
    Workspace.take(job.spec.output, job.id, 1).write("00000.mp4", b"its worker goes on")
    attempt(job)
    record = store.get(job.id)
    assert (record.state, record.attempt, record.suspect) == (JobState.QUEUED, 1, False)
    following = store.claim(job.id, "other")
    assert following is not None and following.attempt == 2
    attempt(following)
    assert store.get(job.id).state is JobState.SUCCEEDED
    assert files(job) == ["o.mp4"]
