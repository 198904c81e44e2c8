"""Runs whose jobs are made by hand: what is submitted, when, and what comes of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from animator.dataset import scheduler as scheduling
from animator.dataset import shard_book
from animator.dataset.claims import Claims
from animator.dataset.index import write_index
from animator.dataset.options import RunOptions
from animator.dataset.packing import pack
from animator.dataset.progress import BatchProgress
from animator.dataset.run_folder import RunFolder
from animator.dataset.scheduler import Control, Scheduler
from animator.dataset.tars import members
from animator.errors import AnimatorError
from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.jobs.supervision import OwnWorker
from animator.record import JobError, JobRecord, JobState
from animator.settings import Settings
from tests.animator.dataset.made_runs import (
    NO_FACE,
    Bench,
    begin,
    connected,
    fail,
    files,
    make,
    samples,
    stats_of,
    working,
)

REPOSITORY = Path(__file__).parents[3]
OPTIONS = RunOptions(shard_size=4)
PLAN = samples(10)
AWAY = JobError("storage_unavailable", "The store is away.", True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with less waiting, and nobody is to be started."""
    monkeypatch.setattr(scheduling, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(scheduling, "REST_SECONDS", 0.05)
    monkeypatch.setattr(shard_book, "OTHERS_SECONDS", 0.05)
    monkeypatch.setattr(OwnWorker, "see_to", lambda *arguments: None)


@pytest.fixture
def client(settings: Settings, store: JobStore) -> Client:
    return connected(settings)


def work(
    run: RunFolder,
    client: Client,
    control: Control | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[BatchProgress], None] = lambda progress: None,
) -> Scheduler:
    worker = OwnWorker(client.store, client.queue)
    with Claims(client.store, run.info.run) as claims:
        control = control or Control(in_flight=3)
        scheduler = Scheduler(run, PLAN, client, claims, worker, control)
        if scheduler.work(should_stop, report):
            write_index(run, run.shards(PLAN))
    return scheduler


def names_in(run: RunFolder) -> list[str]:
    tars = sorted(name for name in files(run) if name.endswith(".tar"))
    return [name for tar in tars for name, _ in members(Path(run.storage.location(tar)))]


def test_all_samples_are_made_a_few_at_a_time(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    seen: list[BatchProgress] = []
    with working(Bench(client.store)) as bench:
        work(run, client, report=seen.append)
    assert names_in(run) == [f"{one.id}{end}" for one in PLAN for end in (".mp4", ".json")]
    assert bench.most_queued <= 3 and bench.made == [one.id for one in PLAN]
    assert max(progress.running for progress in seen) == 3
    assert (seen[-1].done, seen[-1].total, seen[-1].failed) == (10, 10, 0)
    assert [one["samples"] for one in run.stats()] == [4, 4, 2]
    assert client.store.list_jobs() == []  # the folder tells of them now
    assert not (tmp_path / "parts").exists()


def test_a_call_that_is_over_finds_nothing_to_do(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    with working(Bench(client.store)):
        work(run, client)
    before = files(run)
    again = work(run, client)
    assert again.book.completed == 0 and files(run) == before


def test_what_is_there_is_not_made_again(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    first, second, _ = run.shards(PLAN)
    make(run, first, first.samples[2])
    fail(run, second, second.samples[0])
    with working(Bench(client.store)) as bench:
        scheduler = work(run, client)
    assert sorted(bench.made) == [one.id for one in PLAN if one.id not in ("s002", "s004")]
    assert dict(scheduler.book.tally) == {"succeeded": 9, "failed": 1}


def test_a_failure_is_put_down_and_stops_nothing(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    bad = {"s001", "s007"}

    def behave(job: JobRecord) -> JobError | None:
        return NO_FACE if Path(job.spec.output).stem in bad else None

    with working(Bench(client.store, behave)):
        work(run, client)
    rows = run.all_rows(PLAN)
    assert [row["id"] for row in rows if row["state"] == "failed"] == ["s001", "s007"]
    assert rows[1]["code"] == "no_face" and rows[1]["attempts"] == 1
    whole = begin(tmp_path / "whole", PLAN, OPTIONS)
    with working(Bench(client.store)):
        work(whole, client)
        work(run, client, Control(3, retry_failed=True))
    for name in (f"shards/0000{n}{end}" for n in range(3) for end in (".tar", ".parquet")):
        assert run.storage.read(name) == whole.storage.read(name)
    assert stats_of(run) == stats_of(whole)


def test_what_another_try_can_help_is_tried_again(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)

    def behave(job: JobRecord) -> JobError | None:
        number = int(Path(job.spec.output).stem[1:])
        return AWAY if job.attempt <= number else None

    with working(Bench(client.store, behave)):
        work(run, client, Control(10, retries=3))
    states = [row["state"] for row in run.all_rows(PLAN)]
    assert states == ["succeeded"] * 4 + ["failed"] * 6


def test_a_fault_of_the_machines_ends_the_call(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "HOPELESS", 3)
    run = begin(tmp_path, PLAN, OPTIONS)
    with working(Bench(client.store, lambda job: AWAY)), pytest.raises(AnimatorError) as error:
        work(run, client, Control(2, retries=0))
    assert error.value.code == "storage_unavailable" and "--retry-failed" in error.value.message
    with working(Bench(client.store)):
        work(run, client, Control(3, retry_failed=True))
    assert {row["state"] for row in run.all_rows(PLAN)} == {"succeeded"}


def test_a_limit_ends_the_call(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    for call in range(1, 5):
        with working(Bench(client.store)) as bench:
            scheduler = work(run, client, Control(2, limit=3))
        assert len(bench.made) == min(3, 10 - 3 * (call - 1))
        assert scheduler.book.through == (call == 4)
    assert len(run.all_rows(PLAN)) == 10


def test_a_call_that_is_stopped_cancels_what_has_not_begun(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    began = time.monotonic()
    work(run, client, should_stop=lambda: time.monotonic() > began + 0.2)
    assert {job.state for job in client.store.list_jobs()} == {JobState.CANCELLED}
    with working(Bench(client.store)) as bench:
        work(run, client)
    assert len(bench.made) == 10


def test_jobs_that_a_killed_call_left_are_found(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)

    def die() -> bool:
        raise KeyboardInterrupt

    for _ in range(2):
        turns = iter(range(10**6))
        with pytest.raises(KeyboardInterrupt):
            work(run, client, should_stop=lambda turns=turns: next(turns) > 2 and die())  # type: ignore[misc]
    assert len(client.store.list_jobs()) == 3
    with working(Bench(client.store)) as bench:
        work(run, client)
    assert sorted(bench.made) == [one.id for one in PLAN]


def test_jobs_that_redis_forgot_are_submitted_again(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    turns = iter(range(10**6))

    def forget(progress: BatchProgress) -> None:
        if next(turns) == 3:
            client.store.client.flushall()

    bench = Bench(client.store)
    with working(bench):
        work(run, client, report=forget)
    assert {row["state"] for row in run.all_rows(PLAN)} == {"succeeded"}


def test_a_sample_whose_files_are_gone_is_made_again(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    with working(Bench(client.store)):
        work(run, client, Control(2, limit=3))
    for name in run.storage.names("parts/00000"):
        run.storage.delete([name])
    with working(Bench(client.store)) as bench:
        work(run, client)
    assert sorted(bench.made) == [one.id for one in PLAN]


def test_two_submitters_share_a_run(tmp_path: Path, client: Client, settings: Settings) -> None:
    from concurrent.futures import ThreadPoolExecutor

    run = begin(tmp_path, PLAN, OPTIONS)
    with working(Bench(client.store)) as bench, ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(work, run, connected(settings)) for _ in range(2)]
        completed = [call.result().book.completed for call in calls]
    assert sorted(bench.made) == [one.id for one in PLAN]
    assert sum(completed) == 3 and len(run.all_rows(PLAN)) == 10


def test_the_shards_of_a_dead_submitter_are_taken_over(tmp_path: Path, client: Client) -> None:
    run = begin(tmp_path, PLAN, OPTIONS)
    dead = Claims(client.store, run.info.run, seconds=0.5)
    assert dead.take("00001")
    with working(Bench(client.store)):
        work(run, client)
    assert len(run.stats()) == 3


def test_a_claim_is_one_submitters(store: JobStore) -> None:
    with Claims(store, "run", seconds=0.3) as one, Claims(store, "run", seconds=0.3) as two:
        assert one.take("00000") and not two.take("00000")
        time.sleep(0.7)
        assert one.holds("00000") and not two.take("00000")
        two.release("00000")
        assert one.take("00000")
        one.release("00000")
        assert two.take("00000")
        store.client.flushall()
        assert one.take("00000")
        time.sleep(0.3)
        assert one.holds("00000") and not two.holds("00000")
    assert not store.client.keys("animator:dataset:*")


def test_the_claim_of_a_process_that_was_killed_is_free_at_once(
    store: JobStore, settings: Settings
) -> None:
    code = """if True:
        import os, signal
        from animator.dataset.claims import Claims
        from animator.settings import Settings
        from animator.jobs.queue import open_store
        claims = Claims(open_store(Settings.from_environment()), "run", seconds=600)
        assert claims.take("00000")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY)
    with Claims(store, "run") as claims:
        assert claims.take("00000")


def test_queued_jobs_are_few_however_many_samples_there_are(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_book, "pack", slow_pack)
    plan = [replace(one, id=f"x{n}") for n, one in enumerate(samples(1) * 300)]
    run = begin(tmp_path, plan, RunOptions(shard_size=10))
    keys: list[int] = []
    worker = OwnWorker(client.store, client.queue)
    with working(Bench(client.store)) as bench, Claims(client.store, run.info.run) as claims:
        scheduler = Scheduler(run, plan, client, claims, worker, Control(20))
        scheduler.work(lambda: False, lambda progress: keys.append(client.store.client.dbsize()))
    assert bench.most_queued <= 20 and len(run.all_rows(plan)) == 300
    # Records are removed with their shards, so that Redis does not grow with the run, be packing
    # as slow as it may: 20 jobs are with the workers, of 4 shards at most, then nothing is opened
    # before those that are packed are no more than 20 samples and what was open by then.
    assert max(keys) < 3 * (20 + 40 + 20 + 40)


def slow_pack(*arguments: Any, **named: Any) -> dict[str, Any]:
    time.sleep(0.1)
    return pack(*arguments, **named)
