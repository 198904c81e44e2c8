"""The link between a running job and its record, and the settings of the application."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import worker.presence
from animator.errors import AnimatorError
from animator.jobs.store import JobStore, connect
from animator.record import JobRecord, JobState, Progress
from animator.settings import Settings
from animator.spec import JobSpec
from worker import queues, shutdown, watchdog
from worker.celery import PARENT_VARIABLE, make_app
from worker.dispatch import CeleryQueue
from worker.failures import describe
from worker.held_jobs import HeldJob, LeaseKeeper
from worker.presence import Presence
from worker.queues import ByPriority, own_kind, queues_of
from worker.reaper import Reaper
from worker.watchdog import Watchdog

NOWHERE = "redis+socket:///nowhere/redis.sock"


@pytest.fixture
def record(store: JobStore) -> JobRecord:
    record = store.claim(store.create(JobSpec("/a", "/b", "/c.mp4")).id, "w", 1)
    assert record is not None
    return record


@pytest.fixture
def keeper(store: JobStore) -> LeaseKeeper:
    keeper = LeaseKeeper(store, 1)
    keeper.start()
    return keeper


def seen(condition: object) -> bool:
    for _ in range(200):
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_a_lease_is_renewed_and_progress_written_seldom(
    store: JobStore, keeper: LeaseKeeper, record: JobRecord
) -> None:
    job = HeldJob(record)
    with keeper.hold(job):
        calls = store.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            for _ in range(100):
                frame = 1 + (job.progress.frame if job.progress else 0)
                job.report(Progress("generate", frame, None))
            time.sleep(0.01)
        calls = store.client.info("commandstats")["cmdstat_evalsha"]["calls"] - calls
        assert 3 <= calls <= 15
        progress = store.get(record.id).progress
        assert progress is not None and progress.stage == "generate"
        assert not store.reap(9)
        assert not job.should_stop()
    keeper.flush(job)
    assert store.get(record.id).progress == job.progress
    time.sleep(1.1)
    assert [reaped.id for reaped in store.reap(9)] == [record.id]


def test_cancelling_and_losing_a_job_are_seen_and_cheap_to_ask_for(
    store: JobStore, keeper: LeaseKeeper, record: JobRecord
) -> None:
    job = HeldJob(record)
    with keeper.hold(job):
        commands = store.client.info("stats")["total_commands_processed"]
        assert not any(job.should_stop() for _ in range(100_000))
        assert store.client.info("stats")["total_commands_processed"] - commands < 100
        assert keeper.may_publish(job)
        store.request_cancel(record.id)
        assert seen(job.should_stop) and job.cancelled and not job.lost
        assert not keeper.may_publish(job)
    other = store.claim(store.create(JobSpec("/a", "/b", "/d.mp4")).id, "w", 1)
    assert other is not None
    lost = HeldJob(other)
    store.requeue(other.id, other.attempt)
    assert not keeper.may_publish(lost)
    with keeper.hold(lost):
        assert seen(lambda: lost.lost)


def test_a_store_that_is_away_does_not_stop_a_job(record: JobRecord) -> None:
    keeper = LeaseKeeper(JobStore(connect(NOWHERE)), 1)
    keeper.start()
    job = HeldJob(record)
    with keeper.hold(job):
        job.report(Progress("generate", 1))
        time.sleep(0.5)
        assert not job.should_stop()


def test_a_job_that_is_begun_again_in_the_same_process_loses_its_first_thread(
    store: JobStore, record: JobRecord
) -> None:
    keeper = LeaseKeeper(store, 1)
    first = HeldJob(record)
    with keeper.hold(first), keeper.hold(HeldJob(record)) as second:
        assert first.lost and not second.lost


def test_a_reaper_waits_after_redis_was_away(
    settings: Settings, store: JobStore, record: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", "1")
    settings = Settings.from_environment()
    reaper = Reaper(store, CeleryQueue(settings, store), settings)
    time.sleep(1.1)
    reaper.look()  # it does not know for how long Redis has been there
    assert store.get(record.id).state is JobState.RUNNING
    time.sleep(1.1)
    reaper.look()
    assert store.get(record.id).state is JobState.QUEUED


def test_workers_that_wait_ask_redis_for_little(settings: Settings, store: JobStore) -> None:
    queue, lease = CeleryQueue(settings, store), LeaseKeeper(store, 9)
    reaper, presence = Reaper(store, queue, settings), Presence(store, settings, lease)
    store.heartbeat(presence.info(), 12)  # the first

    def commands(work: Callable[[], object]) -> dict[str, int]:
        store.client.config_resetstat()
        work()
        found = store.client.info("commandstats")
        return {
            name.removeprefix("cmdstat_"): values["calls"]
            for name, values in found.items()
            if not name.endswith(("resetstat", "info"))
        }

    # Every two seconds, and every five.
    assert commands(reaper.look) == {"time": 1, "exists": 1}
    assert commands(lambda: store.heartbeat(presence.info(), 12)) == {"set": 1}
    assert commands(lambda: queue.any_messages(["a", "b"])) == {"exists": 1}


def test_what_jobs_a_reaper_looks_after_does_not_grow_with_the_workers(
    settings: Settings, store: JobStore
) -> None:
    queue = CeleryQueue(settings, store)
    reapers = [Reaper(store, queue, settings) for _ in range(5)]
    jobs = [store.create(JobSpec("/a", "/b", f"/{number}.mp4")) for number in range(20)]
    store.client.zadd("animator:waiting:any.normal", {job.id: 0 for job in jobs})
    queue.enqueue(jobs[0].id)  # messages wait, so nothing is lost
    store.client.config_resetstat()
    for reaper in reapers:
        reaper.look()
    assert store.client.info("commandstats")["cmdstat_hgetall"]["calls"] == len(jobs)


def test_a_worker_follows_its_parent_but_is_not_hurried(
    settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: list[int] = []
    monkeypatch.setenv(PARENT_VARIABLE, "2")
    monkeypatch.setattr(os, "getppid", lambda: 1)
    monkeypatch.setattr(os, "kill", lambda process, number: signals.append(number))
    monkeypatch.setattr(worker.presence, "ending", lambda: True)
    Presence(store, settings, LeaseKeeper(store, 1))._follow_parent()
    assert signals == []
    monkeypatch.setattr(worker.presence, "ending", lambda: False)
    orphan = Presence(store, settings, LeaseKeeper(store, 1))
    orphan._follow_parent()
    orphan._follow_parent()
    assert signals == [signal.SIGTERM]


def test_a_shutdown_gives_jobs_back_when_it_is_asked_for_twice_or_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutdown, "_requests", [])
    assert not shutdown.ending() and not shutdown.stopping(0)
    shutdown._requests.append(time.monotonic() - 5)
    assert shutdown.ending() and not shutdown.stopping()
    assert shutdown.stopping(4) and not shutdown.stopping(6)
    shutdown._requests.append(time.monotonic())
    assert shutdown.stopping()


def test_the_application_suits_long_jobs() -> None:
    conf = make_app("redis://localhost/3", concurrency=2, kind="cpu").conf
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"
    assert conf.result_backend is None
    assert conf.task_ignore_result
    assert conf.task_acks_late and conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_concurrency == 2
    assert not conf.worker_hijack_root_logger
    assert conf.broker_connection_retry_on_startup
    assert conf.broker_connection_max_retries is None
    assert conf.broker_transport_options["visibility_timeout"] >= 6 * 3600
    assert conf.worker_send_task_events and conf.task_send_sent_event
    assert [queue.name for queue in conf.task_queues] == list(queues_of("cpu"))


def test_queues_are_looked_into_by_urgency() -> None:
    assert queues_of("any")[:3] == (
        "animator.any.high.begun", "animator.any.high", "animator.any.normal.begun",
    )  # fmt: skip
    expected = [
        f"animator.{kind}.{priority}{begun}"
        for priority in ("high", "normal", "low")
        for begun in (".begun", "")
        for kind in ("cuda", "any")
    ]
    assert list(queues_of("cuda")) == expected
    order = ByPriority()
    order.update([*sorted(expected), "another"])
    assert order.consume(99) == [*expected, "another"]
    order.rotate(expected[0])
    assert order.consume(2) == expected[:2]


def test_what_a_worker_can_run(
    tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "0000:00:05.0"
    folder.mkdir()
    (folder / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:  5\n")
    monkeypatch.setattr(queues, "GPUS", tmp_path)
    monkeypatch.setattr(queues, "_torch_for_cpu_only", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert queues.gpu_names() == ["NVIDIA H200"]
    assert own_kind(Settings(state_dir)) == "cuda"
    assert own_kind(Settings(state_dir, device="cpu")) == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert own_kind(Settings(state_dir)) == "cpu"
    assert own_kind(Settings(state_dir, device="cuda:1")) == "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(queues, "GPUS", tmp_path / "none")
    assert own_kind(Settings(state_dir)) == "cpu"


def test_what_is_put_on_record_about_exceptions() -> None:
    assert describe(AnimatorError("no_face", "None.")).code == "no_face"
    assert describe(MemoryError()).code == "out_of_memory"
    text = "[enforce fail] DefaultCPUAllocator: can't allocate memory"
    assert describe(RuntimeError(text)).code == "out_of_memory"
    assert describe(ZeroDivisionError("x")).message.startswith("ZeroDivisionError: x (the trace")


def test_a_consumer_that_leaves_messages_lying_begins_again(
    settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LISTEN_SECONDS", 0.0)
    monkeypatch.setattr(watchdog, "DEAF_SECONDS", 0.2)
    queue, leases = CeleryQueue(settings, store), LeaseKeeper(store, 1)
    presence = Presence(store, settings, leases)
    presence.queues = queues_of("cpu")
    dog = Watchdog(store, queue, leases, presence, settings)

    def deaf() -> bool:
        presence.tick()
        dog.look()
        time.sleep(0.3)
        presence.tick()
        dog.look()
        return dog.deaf.is_set()

    assert not deaf()
    queue.enqueue("job", "low", "cuda")  # for others
    assert not deaf()
    queue.enqueue("job", "low", "cpu")
    dog.look()
    leases.begun += 1
    dog.look()
    assert not dog.deaf.is_set()
    assert deaf()
