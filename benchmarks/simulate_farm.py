"""The farm with many GPUs, on a machine without one: workers whose steps only sleep.

Worker processes, Redis, records, leases, segments and videos are real (`sleeping_pipeline.py`); a
step sleeps for as long as a GPU would take. For each number of workers the same jobs are queued;
what each worker does between its first and its last job is its rate, and the farm's is their sum.
It is compared with so many times the rate of one worker, if one is among the numbers, and with what
the steps alone would allow.

The table tells the throughput, what Redis is asked for a frame and for by workers that only wait
(signs of life, leases, looking for messages), how busy Redis and the machine's cores are, and how
long segments take to write. Where the throughput falls below 95 % of what it should be, the line
below says what was at its end. 64 workers need some 6 GB and a core for every 20 of them or so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from environment import describe
from farm_figures import Counts, Load, bends, compare, summary, table
from redis_server import redis_server

from animator.jobs.client import Client
from animator.jobs.store import JobRequest, JobStore, connect
from animator.media.encode import VideoWriter
from animator.record import JobState
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SHARES = np.linspace(0.5, 1.5, 11)
"""Lengths of jobs in units of the mean one: of one length, all would be joined in one moment."""
_START_SECONDS = 300.0
_SETTLE_SECONDS = 3.0


def main() -> None:
    """Simulate farms of several sizes and write down what they did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--step-ms", type=float, default=10.0, help="of a frame")
    parser.add_argument("--segment", type=int, default=48)
    parser.add_argument("--state-kb", type=float, default=400, help="of the state after a segment")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--most-seconds", type=float, default=120, help="of each size")
    parser.add_argument("--idle-seconds", type=float, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "farm_simulation.json")
    parser.add_argument("--append", action="store_true", help="to the farms in --out")
    options = parser.parse_args()
    load = Load(
        options.jobs, options.frames, options.step_ms / 1000, options.segment,
        int(1000 * options.state_kb), options.concurrency, options.most_seconds,
        options.idle_seconds,
    )  # fmt: skip
    report: dict[str, Any] = {"environment": describe(), "load": asdict(load), "farms": []}
    if options.append and options.out.exists():
        report["farms"] = json.loads(options.out.read_text())["farms"]
    for workers in options.workers:
        again = {"workers": workers, "step ms": options.step_ms}
        report["farms"] = [farm for farm in report["farms"] if not again.items() <= farm.items()]
        with tempfile.TemporaryDirectory(prefix="simulated-farm-") as folder:
            found = simulate(Path(folder), workers, load)
        report["farms"].append(found)
        report["farms"].sort(key=lambda farm: (farm["step ms"], farm["workers"]))
        print(f"{workers} workers: {found['frames a second']} frames a second", flush=True)
        compare(report["farms"])
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(["", *table(report["farms"]), "", *bends(report["farms"])]))


def simulate(folder: Path, workers: int, load: Load) -> dict[str, Any]:
    """A farm of one size, with a Redis and folders of its own."""
    requests = prepared(folder, load)
    with redis_server(folder / "redis") as url:
        settings = Settings(state_dir=folder / "state", broker_url=url)
        client = Client.connect(settings)
        store = JobStore(connect(url))
        with running(folder, workers, load.concurrency, settings, client):
            # Waiting workers, once they have said all that they say in the beginning.
            time.sleep(_SETTLE_SECONDS)
            before = Counts.now(store)
            time.sleep(load.idle_seconds)
            idle = Counts.now(store).since(before)
            # Working ones.
            client.submit_many(requests)
            before = Counts.now(store)
            wait(store, load)
            working = Counts.now(store).since(before)
        records = store.list_jobs(JobState.SUCCEEDED, limit=load.jobs)
        failed = store.counts()[JobState.FAILED]
    return summary(workers, load, records, idle, working) | {"failed": failed}


def prepared(folder: Path, load: Load) -> list[JobRequest]:
    """The jobs: the same inputs, an output for each, and one segment that all of them write."""
    video, source = folder / "segment.mp4", folder / "source.png"
    noise = np.random.default_rng(0).integers(96, 160, (32, 32, 3), np.uint8)
    picture = noise.repeat(8, 0).repeat(8, 1)
    rate = Fraction(25)
    with VideoWriter(video, width=256, height=256, time_base=1 / rate, rate=rate) as writer:
        for number in range(load.segment):
            writer.write(np.roll(picture, 3 * number, axis=1), number)
    source.touch()
    given: dict[str, Any] = {"seconds": load.step, "segment": load.segment, "video": str(video)}
    given["state_bytes"] = load.state_bytes
    plans = []
    for share in SHARES:
        plans.append(folder / f"plan-{share:.2f}.json")
        plan = given | {"frames": max(1, round(share * load.frames))}
        plans[-1].write_text(json.dumps(plan), encoding="utf-8")
    (folder / "out").mkdir()
    drawn = np.random.default_rng(0).integers(len(plans), size=load.jobs)
    return [
        JobRequest(
            JobSpec(str(source), str(plans[plan]), str(folder / "out" / f"{number}.mp4")),
            JobOptions(key=str(number)),
        )
        for number, plan in enumerate(drawn)
    ]


@contextmanager
def running(
    folder: Path, workers: int, concurrency: int, settings: Settings, client: Client
) -> Iterator[None]:
    """So many worker processes that take jobs."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ANIMATOR_")} | {
        "ANIMATOR_STATE_DIR": str(settings.state_dir),
        "ANIMATOR_BROKER_URL": str(settings.broker_url),
        "ANIMATOR_CONCURRENCY": str(concurrency),
        "ANIMATOR_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(HERE), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }
    command = [sys.executable, "-m", "celery", "-A", "farm_worker", "worker", "--loglevel", "ERROR"]
    command += ["--without-mingle", "--without-gossip"]
    processes: list[subprocess.Popen[bytes]] = []
    deadline = time.monotonic() + _START_SECONDS
    with (folder / "workers.log").open("wb") as log:
        try:
            for number in range(workers):
                name = ["--hostname", f"{number}@%h"]
                processes.append(
                    subprocess.Popen([*command, *name], env=environment, stdout=log, stderr=log)
                )
            while sum(info.consuming for info in client.queue.alive_workers()) < workers:
                if any(process.poll() is not None for process in processes):
                    raise SystemExit(f"a worker ended: {(folder / 'workers.log').read_text()}")
                if time.monotonic() > deadline:
                    raise SystemExit("the workers do not start")
                time.sleep(0.2)
            yield
        finally:
            # Twice is at once: what is left undone is not waited for.
            for _ in range(2):
                for process in processes:
                    process.terminate()
                time.sleep(0.2)
            for process in processes:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def wait(store: JobStore, load: Load) -> None:
    """Until all jobs have ended, or their time is over."""
    deadline = time.monotonic() + load.most_seconds
    while time.monotonic() < deadline:
        counts = store.counts()
        if sum(count for state, count in counts.items() if state.ended) >= load.jobs:
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main()
