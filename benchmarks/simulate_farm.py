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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from environment import describe
from redis_server import redis_server

from animator.jobs.client import Client
from animator.jobs.store import JobRequest, JobStore, connect
from animator.media.encode import VideoWriter
from animator.record import JobRecord, JobState
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec

HERE = Path(__file__).parent
RESULTS = HERE / "results"
GOOD = 0.95
"""The share of the ideal throughput under which the farm bends."""
BUSY = 0.9
"""The share of the time from which on something counts as at its end."""
_START_SECONDS = 300.0


@dataclass(frozen=True)
class Load:
    """What the workers get to do.

    Attributes:
        jobs: that are queued.
        frames: of a job.
        step: seconds of a frame.
        segment: frames of a segment.
        state_bytes: of the state after one.
        concurrency: jobs of a worker at a time; a step is one of all of them.
        most_seconds: after which the jobs that are left are not waited for.
        idle_seconds: for which waiting workers are watched.
    """

    jobs: int
    frames: int
    step: float
    segment: int
    state_bytes: int
    concurrency: int
    most_seconds: float
    idle_seconds: float


def main() -> None:
    """Simulate farms of several sizes and write down what they did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--step-ms", type=float, default=10.0)
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
        report["farms"] = [farm for farm in report["farms"] if farm["workers"] != workers]
        with tempfile.TemporaryDirectory(prefix="simulated-farm-") as folder:
            found = simulate(Path(folder), workers, load)
        report["farms"].append(found)
        report["farms"].sort(key=lambda farm: farm["workers"])
        print(f"{workers} workers: {found['frames a second']} frames a second", flush=True)
        compare(report["farms"], load)
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
            # Waiting workers.
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
    video, plan, source = folder / "segment.mp4", folder / "plan.json", folder / "source.png"
    noise = np.random.default_rng(0).integers(96, 160, (32, 32, 3), np.uint8)
    picture = noise.repeat(8, 0).repeat(8, 1)
    rate = Fraction(25)
    with VideoWriter(video, width=256, height=256, time_base=1 / rate, rate=rate) as writer:
        for number in range(load.segment):
            writer.write(np.roll(picture, 3 * number, axis=1), number)
    source.touch()
    given = {"frames": load.frames, "seconds": load.step, "segment": load.segment}
    given |= {"state_bytes": load.state_bytes, "video": str(video)}
    plan.write_text(json.dumps(given), encoding="utf-8")
    (folder / "out").mkdir()
    return [
        JobRequest(
            JobSpec(str(source), str(plan), str(folder / "out" / f"{number}.mp4")),
            JobOptions(key=str(number)),
        )
        for number in range(load.jobs)
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


@dataclass(frozen=True)
class Counts:
    """What Redis and the machine have done, at a moment or between two.

    Attributes:
        seconds: the moment, or between them.
        calls: of each of Redis's commands.
        redis_seconds: of a core, in Redis.
        sent: bytes that Redis has sent.
        received: bytes that it was sent.
        busy: seconds of all cores that were not idle.
    """

    seconds: float
    calls: dict[str, int]
    redis_seconds: float
    sent: int
    received: int
    busy: float

    @classmethod
    def now(cls, store: JobStore) -> Counts:
        """At this moment."""
        about: Any = store.client.info("all")
        stats = {
            name.removeprefix("cmdstat_"): values["calls"]
            for name, values in about.items()
            if name.startswith("cmdstat_")
        }
        used = about["used_cpu_user"] + about["used_cpu_sys"]
        sent, received = about["total_net_output_bytes"], about["total_net_input_bytes"]
        return cls(time.monotonic(), stats, used, sent, received, _busy())

    def since(self, before: Counts) -> Counts:
        """What came between."""
        calls = {n: count - before.calls.get(n, 0) for n, count in self.calls.items()}
        return Counts(
            self.seconds - before.seconds,
            {name: count for name, count in calls.items() if count},
            self.redis_seconds - before.redis_seconds,
            self.sent - before.sent,
            self.received - before.received,
            self.busy - before.busy,
        )

    @property
    def all_calls(self) -> int:
        """Calls of all commands, those within scripts too."""
        return sum(self.calls.values())


def _busy() -> float:
    """Seconds of all cores that were not idle, since the machine started."""
    try:
        fields = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def summary(
    workers: int, load: Load, records: Sequence[JobRecord], idle: Counts, working: Counts
) -> dict[str, Any]:
    """The figures of a farm."""
    jobs_a_second = sum(rates(records))
    frames = len(records) * load.frames
    cores, results = os.cpu_count() or 1, [r.result for r in records if r.result is not None]
    most = sorted(working.calls.items(), key=lambda item: -item[1])[:6]
    return {
        "workers": workers,
        "jobs": len(records),
        "jobs a second": round(jobs_a_second, 3),
        "frames a second": round(jobs_a_second * load.frames, 1),
        "redis calls a frame": round(working.all_calls / max(frames, 1), 3),
        "redis calls a second": round(working.all_calls / working.seconds, 1),
        "redis calls of most": {name: round(n / working.seconds, 1) for name, n in most},
        "redis core": round(working.redis_seconds / working.seconds, 4),
        "redis kB/s": round((working.sent + working.received) / working.seconds / 1000, 1),
        "idle calls a second and worker": round(idle.all_calls / idle.seconds / workers, 2),
        "idle kB/s and worker": round(
            (idle.sent + idle.received) / idle.seconds / workers / 1000, 3
        ),
        "cores busy": round(working.busy / working.seconds / cores, 3),
        "ms of writing a segment": _mean(results, "write", load, 1000 * load.segment),
        "ms of joining": _mean(results, "join", load, 1000 * load.frames),
        "steps' lateness": round(
            (_mean(results, "generate", load, 1) + _mean(results, "write", load, 1)) / load.step
            - 1,
            4,
        ),
    }


def _mean(results: Sequence[Any], stage: str, load: Load, scale: float) -> float:
    """Of a stage's time for each frame, in a unit."""
    total = sum(result.timings[stage] for result in results)
    return round(scale * total / max(1, len(results) * load.frames), 6)


def rates(records: Sequence[JobRecord]) -> list[float]:
    """Jobs a second of each worker that has ended at least two, between the first and the last.

    So neither its start counts nor the end of the queue, when some have nothing left to do.
    """
    ends: dict[str, list[float]] = {}
    for record in records:
        if record.finished is not None:
            end = datetime.fromisoformat(record.finished).timestamp()
            ends.setdefault(record.worker or "", []).append(end)
    return [
        (len(times) - 1) / (max(times) - min(times))
        for times in ends.values()
        if len(times) > 1 and max(times) > min(times)
    ]


def compare(farms: list[dict[str, Any]], load: Load) -> None:
    """Add to each farm its share of so many times one worker, and of what the steps allow."""
    alone = next((farm for farm in farms if farm["workers"] == 1), None)
    for farm in farms:
        ideal = farm["workers"] * load.concurrency / (load.frames * load.step)
        farm["of the steps alone"] = round(farm["jobs a second"] / ideal, 4)
        if alone is not None and alone["jobs a second"]:
            expected = farm["workers"] * alone["jobs a second"]
            farm["of one worker times so many"] = round(farm["jobs a second"] / expected, 4)


COLUMNS = (
    *("workers", "jobs", "frames a second", "of one worker times so many", "of the steps alone"),
    *("redis calls a frame", "redis calls a second", "redis core", "redis kB/s"),
    *("idle calls a second and worker", "idle kB/s and worker", "cores busy"),
    *("ms of writing a segment", "steps' lateness"),
)


def table(farms: Sequence[dict[str, Any]]) -> list[str]:
    """All of them, as Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for farm in farms:
        lines.append(f"| {' | '.join(str(farm.get(name, '-')) for name in COLUMNS)} |")
    return lines


def bends(farms: Sequence[dict[str, Any]]) -> list[str]:
    """Where the throughput falls behind, and what was at its end there, in sentences."""
    share = "of one worker times so many"
    behind = [farm for farm in farms if farm.get(share, farm["of the steps alone"]) < GOOD]
    if not behind:
        return [f"No farm falls below {GOOD:.0%} of what it should do."]
    first = behind[0]
    causes = []
    if first["cores busy"] >= BUSY:
        causes.append("the cores of this machine, which are not those of a farm")
    if first["redis core"] >= BUSY:
        causes.append("Redis, which has one core")
    quick = min(farm["ms of writing a segment"] for farm in farms)
    if first["ms of writing a segment"] > 3 * max(quick, 1):
        causes.append("the disk: a segment takes three times as long to write as with fewer")
    if first["steps' lateness"] > 1 - GOOD and not causes:
        causes.append("processes that are woken late")
    why = "; ".join(causes) or "nothing that is measured here: look at what jobs wait for"
    value = first.get(share, first["of the steps alone"])
    return [f"It bends at {first['workers']} workers ({value:.0%}): {why}."]


if __name__ == "__main__":
    main()
