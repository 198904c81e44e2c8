"""The link between a running job and its record, and the settings of the application."""

from __future__ import annotations

import os
import signal
import time

import pytest

import worker.presence
from animator.spec import JobRecord, JobSpec, Progress
from animator.store import JobStore, WorkerInfo, connect
from worker.celery import PARENT_VARIABLE, make_app
from worker.presence import Presence
from worker.tasks import JobMonitor


@pytest.fixture
def record(store: JobStore) -> JobRecord:
    store.heartbeat(WorkerInfo("w", "host", 1, "2026", 1, True, "0"), 60)
    record = store.claim(store.create(JobSpec("/a", "/b", "/c.mp4")).id, "w")
    assert record is not None
    return record


def test_progress_is_written_seldom_and_at_the_end(store: JobStore, record: JobRecord) -> None:
    monitor = JobMonitor(store, record)
    writes = store.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    for frame in range(1, 1001):
        monitor.report(Progress("landmarks", frame, 1000))
    for frame in range(1, 1001):
        monitor.report(Progress("generate", frame, 1000))
    monitor.flush()
    monitor.flush()
    written = store.client.info("commandstats")["cmdstat_evalsha"]["calls"] - writes
    assert 3 <= written <= 6
    assert store.get(record.id).progress == Progress("generate", 1000, 1000)


def test_cancelling_is_seen_and_cheap_to_ask_for(store: JobStore, record: JobRecord) -> None:
    monitor = JobMonitor(store, record)
    began = time.monotonic()
    assert not any(monitor.should_stop() for _ in range(10_000))
    assert time.monotonic() - began < 1
    store.request_cancel(record.id)
    time.sleep(0.3)
    assert monitor.should_stop()
    assert monitor.cancelled()


def test_a_store_that_is_away_does_not_stop_a_job(record: JobRecord) -> None:
    monitor = JobMonitor(JobStore(connect("redis+socket:///nowhere/redis.sock")), record)
    monitor.report(Progress("generate", 1))
    assert not monitor.should_stop()


def test_a_worker_follows_its_parent_but_is_not_hurried(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: list[int] = []
    monkeypatch.setenv(PARENT_VARIABLE, "1")
    monkeypatch.setattr(os, "kill", lambda process, number: signals.append(number))
    monkeypatch.setattr(worker.presence, "_shutdowns", ["Warm"])
    Presence(store, 1)._follow_parent()
    assert signals == []
    monkeypatch.setattr(worker.presence, "_shutdowns", [])
    orphan = Presence(store, 1)
    orphan._follow_parent()
    orphan._follow_parent()
    assert signals == [signal.SIGTERM]


def test_the_application_suits_long_jobs() -> None:
    conf = make_app("redis://localhost/3", concurrency=2).conf
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"
    assert conf.result_backend is None
    assert conf.task_ignore_result
    assert conf.task_acks_late and conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_concurrency == 2
    assert not conf.worker_hijack_root_logger
    assert conf.broker_connection_retry_on_startup
    assert conf.broker_transport_options["visibility_timeout"] >= 6 * 3600
