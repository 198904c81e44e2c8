"""Metrics as Prometheus scrapes them."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from animator.jobs.store import JobStore, WorkerInfo, connect
from animator.record import Result
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from worker import metrics


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(settings: Settings, store: JobStore) -> Iterator[int]:
    port = free_port()
    server = metrics.serve(replace(settings, metrics_port=port), store)
    assert server is not None
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()


def scrape(port: int, host: str = "127.0.0.1") -> dict[tuple[str, ...], float]:
    """Values by name and the values of the labels, in the order of the labels' names."""
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_nothing_is_served_unless_asked_for(settings: Settings, store: JobStore) -> None:
    assert metrics.serve(settings, store) is None


def test_what_redis_knows(settings: Settings, store: JobStore, tmp_path: Path) -> None:
    def submit(name: str, device: str = "auto", **options: str) -> str:
        spec = JobSpec("/a.png", "/b.mp4", str(tmp_path / name), device=device)
        return store.create(spec, options=JobOptions(**options)).id  # type: ignore[arg-type]

    submit("1.mp4"), submit("2.mp4"), submit("3.mp4", "cuda:0", priority="high")
    running = submit("4.mp4", webhook="http://127.0.0.1:1/")
    assert store.claim(running, "worker-1", 15) is not None
    store.heartbeat(WorkerInfo("w1", "here", 1, "", 2, True, "1"), 10)
    store.heartbeat(WorkerInfo("w2", "here", 2, "", 2, False, "1"), 10)
    with served(settings, store) as port:
        found = scrape(port)
        assert found["animator_redis_up",] == 1
        assert found["animator_jobs", "queued"] == 3
        assert found["animator_jobs", "running"] == 1
        assert found["animator_jobs", "failed"] == 0
        assert found["animator_queue_depth", "any", "normal"] == 2
        assert found["animator_queue_depth", "cuda", "high"] == 1
        assert found["animator_workers", "yes"] == found["animator_workers", "no"] == 1
        assert found["animator_webhooks_waiting",] == 0
        store.succeed(running, 1, Result(str(tmp_path / "4.mp4"), 5, 1.0, 5.0))
        found = scrape(port)
        assert found["animator_jobs", "succeeded"] == 1
        assert found["animator_webhooks_waiting",] == 1


def test_an_outage_of_redis_leaves_the_rest(settings: Settings) -> None:
    store = JobStore(connect(f"redis://127.0.0.1:{free_port()}/0"))
    with served(settings, store) as port:
        found = scrape(port)
    assert found["animator_redis_up",] == 0
    assert ("animator_jobs", "queued") not in found
    assert found["process_resident_memory_bytes",] > 1e6


def test_what_the_worker_counts(settings: Settings, store: JobStore) -> None:
    with served(settings, store) as port:
        before = scrape(port)
        metrics.observe_start(isolated=True)
        metrics.observe_end("failed", "no_face")
        metrics.observe_result(Result("/o.mp4", 60, 4.0, 15.0, {"decode": 0.75}, resumed=48))
        metrics.observe_lease_loss()
        metrics.observe_crash("stalled")
        metrics.observe_webhook("retried")
        after = scrape(port)
    changes = {key: after[key] - before.get(key, 0) for key in after if key[0].startswith("anim")}
    for key, change in {
        ("animator_jobs_started_total", "yes"): 1,
        ("animator_jobs_ended_total", "no_face", "failed"): 1,
        ("animator_frames_total",): 12,  # the others an earlier attempt had rendered
        ("animator_job_seconds_sum",): 4,
        ("animator_stage_seconds_sum", "decode"): 0.75,
        ("animator_stage_seconds_bucket", "1.0", "decode"): 1,
        ("animator_lease_losses_total",): 1,
        ("animator_crashes_total", "stalled"): 1,
        ("animator_webhooks_total", "retried"): 1,
    }.items():
        assert changes[key] == pytest.approx(change), key


def test_a_port_that_is_taken_is_told_and_not_fatal(
    settings: Settings, store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    with served(settings, store) as port:
        assert metrics.serve(replace(settings, metrics_port=port), store) is None
        (warning,) = caplog.records
        assert f"port {port}" in warning.getMessage() and "own" in warning.getMessage()
        assert scrape(port)["animator_redis_up",] == 1
    nowhere = replace(settings, metrics_port=free_port(), metrics_host="not a host")
    assert metrics.serve(nowhere, store) is None
