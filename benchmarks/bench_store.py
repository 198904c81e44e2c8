"""The job records: submitting many, listing among many, claiming, renewing.

A Redis of its own on a Unix socket with its append-only file, as the embedded queue is. Submitting
is measured whole (files checked, records made, messages sent through Celery) and the records alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from environment import describe

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.client import Client
from animator.jobs.store import JobRequest, JobStore, connect
from animator.record import JobState
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec

RESULTS = Path(__file__).parent / "results"
LEASE_SECONDS = 15.0


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submits", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS / "store.json")
    options = parser.parse_args()
    report: dict[str, object] = {"environment": describe()}
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder))
        server.start()
        try:
            store = JobStore(connect(server.url))
            report["redis"] = store.client.info("server")["redis_version"]
            report |= submits(Path(folder), store, options.submits)
            report |= one_by_one(Path(folder), store)
            store.client.flushall()
            report |= many(Path(folder), store, options.records, options.repeats)
        finally:
            server.stop()
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def requests(folder: Path, count: int) -> list[JobRequest]:
    """Jobs with the same inputs, which exist, each with an output of its own."""
    source, driving = folder / "source.png", folder / "driving.mp4"
    source.touch()
    driving.touch()
    spec = JobSpec(str(source), str(driving), str(folder / "out.mp4"))
    return [
        JobRequest(replace(spec, output=str(folder / f"{number}.mp4")), JobOptions(key=f"{number}"))
        for number in range(count)
    ]


def submits(folder: Path, store: JobStore, count: int) -> dict[str, object]:
    """Seconds for many submits at once: whole, the records alone, and all of it once more."""
    client = Client.connect(Settings(folder))
    jobs = requests(folder, count)
    before = time.process_time()
    whole = lasting(lambda: client.submit_many(jobs))
    cpu = round(time.process_time() - before, 3)
    again = lasting(lambda: client.submit_many(jobs))
    depth = sum(store.depths().values())
    store.client.flushall()
    records = lasting(lambda: store.create_many(jobs))
    print(f"{count} submits: {whole:.2f} s ({cpu:.2f} s of this process), ", end="")
    print(f"of these the records {records:.2f} s")
    print(f"the same keys again: {again:.2f} s ({depth} jobs are queued)")
    return {
        "submits": {
            "count": count,
            "seconds": whole,
            "cpu seconds": cpu,
            "records": records,
            "again": again,
        },
    }


def one_by_one(folder: Path, store: JobStore) -> dict[str, object]:
    """Milliseconds of `Client.submit`."""
    client = Client.connect(Settings(folder))
    store.client.flushall()
    jobs = iter(requests(folder, 200))
    return {"submit ms": spread("submit", lambda: client.submit(next(jobs).spec), 200)}


def many(folder: Path, store: JobStore, count: int, repeats: int) -> dict[str, object]:
    """Milliseconds of what is done while many records are there."""
    store.create_many(requests(folder, count))
    ids = iter([record.id for record in store.list_jobs(limit=repeats + 32)])
    renewed = [next(ids) for _ in range(32)]
    attempts = {}
    for job_id in renewed:
        record = store.claim(job_id, "worker", 600)
        assert record is not None
        attempts[job_id] = record.attempt
    environment = {**os.environ, "ANIMATOR_STATE_DIR": str(folder), "ANIMATOR_BROKER_URL": ""}
    command = [sys.executable, "-m", "animator", "list", "--json"]
    bare = [sys.executable, "-m", "animator", "--version"]

    def call(arguments: list[str]) -> None:
        subprocess.run(arguments, env=environment, stdout=subprocess.DEVNULL, check=True)

    calls: dict[str, Callable[[], object]] = {
        "list of 20": lambda: store.list_jobs(limit=20),
        "list of 20 queued": lambda: store.list_jobs(JobState.QUEUED, limit=20),
        f"list of 20, {count // 2} back": lambda: store.list_jobs(limit=20, offset=count // 2),
        "list of 1,000": lambda: store.list_jobs(limit=1000),
        "counts": store.counts,
        "depths": store.depths,
        "rates": store.rates,
        "by the beginning of an id": lambda: store.ids_beginning(renewed[0][:6], 2),
        "claim": lambda: store.claim(next(ids), "worker", 600),
        "renew 32 jobs": lambda: store.renew(attempts, LEASE_SECONDS),
        "reap, nothing lapsed": lambda: store.reap(20),
        "waiting, nothing old": lambda: store.waiting(3600),
        "animator list --json, the command": lambda: call(command),
        "animator --version, the command": lambda: call(bare),
    }
    figures = {name: spread(name, work, repeats) for name, work in calls.items()}
    memory = store.client.info("memory")["used_memory"] / count
    print(f"{memory:.0f} bytes of Redis a record")
    return {"records": count, "ms": figures, "bytes a record": round(memory)}


def lasting(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 3)


def spread(name: str, work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median and most of several calls, in milliseconds."""
    times = sorted(1000 * lasting_exactly(work) for _ in range(repeats))
    print(f"{name}: {statistics.median(times):.2f} ms, at most {times[-1]:.2f} ms")
    return {"median": round(statistics.median(times), 3), "most": round(times[-1], 3)}


def lasting_exactly(work: Callable[[], object]) -> float:
    """Seconds of one call, unrounded."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
