"""The farm against one job after another: throughput, overhead of the queue, time to start.

Real jobs on the sample media with the default weights. A round is the same jobs by a worker that
takes one at a time, by one that takes all, and one of them by `animator run`; rounds repeat all
three in turn, and ratios are of medians.
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
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from environment import describe

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.client import Client
from animator.record import JobRecord, JobState
from animator.samples.media import write_samples
from animator.spec import JobSpec

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure all three and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of the driving video")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "farm.json")
    options = parser.parse_args()
    report: dict[str, object] = {"environment": describe(), "jobs": options.jobs}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ANIMATOR_STATE_DIR"] = f"{folder}/state"
        bench = Bench(Path(folder), options.jobs, options.seconds)
        try:
            rounds = [bench.round(number) for number in range(options.rounds)]
        finally:
            EmbeddedRedis(Path(folder, "state")).stop()
    medians = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    found = medians | ratios(medians)
    report |= {"rounds": rounds, "found": found}
    print(json.dumps(found, indent=1))
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def ratios(medians: dict[str, float]) -> dict[str, float]:
    """What the medians say."""
    return {
        "together against one by one": medians["one by one"] / medians["together"],
        "job on an idle worker against run": medians["job"] / medians["run"],
        "the same without start and loading": medians["job's work"] / medians["run's work"],
    }


class Bench:
    """Jobs on the sample media.

    Args:
        folder: where everything is.
        jobs: how many.
        seconds: how much of the driving video each takes.
    """

    def __init__(self, folder: Path, jobs: int, seconds: float) -> None:
        self.folder, self.jobs, self.end = folder, jobs, str(seconds)
        self.source, self.driving = write_samples(folder)
        self.client = Client.connect()

    def round(self, number: int) -> dict[str, float]:
        """All three once: seconds by name."""
        found = {}
        for name, concurrency in (("one by one", 1), ("together", self.jobs)):
            with self.worker(concurrency):
                self.wait(self.submit(f"{number}-{concurrency}-warm", 1))  # loads the model
                began = time.monotonic()
                self.wait(self.submit(f"{number}-{concurrency}", self.jobs))
                found[name] = time.monotonic() - began
                if concurrency == 1:
                    found |= self.job(f"{number}-alone")
        found |= self.run(f"{number}-run")
        print({name: round(seconds, 3) for name, seconds in found.items()}, flush=True)
        return found

    def job(self, name: str) -> dict[str, float]:
        """One job on the idle worker: until it starts, its work, and until its end is seen."""
        began = time.monotonic()
        [record] = self.wait(self.submit(name, 1))
        seconds = time.monotonic() - began
        assert record.result is not None and record.started is not None
        waited = datetime.fromisoformat(record.started) - datetime.fromisoformat(record.created)
        work = record.result.seconds - record.result.timings["load"]
        return {"job": seconds, "job's work": work, "start": waited.total_seconds()}

    def run(self, name: str) -> dict[str, float]:
        """`animator run` of the same: the whole command, and its work without loading."""
        command = [sys.executable, "-m", "animator", "run", str(self.source), str(self.driving)]
        command += ["--end", self.end, "--size", "256", "--margin", "1.75"]
        command += ["-o", str(self.folder / f"{name}.mp4"), "--json"]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, record = time.monotonic() - began, json.loads(done.stdout)
        work = record["seconds"] - record["timings"]["load"]
        return {"run": seconds, "run's work": work}

    def submit(self, name: str, count: int) -> list[str]:
        """Queue jobs; their ids."""
        specs = [
            JobSpec(
                str(self.source), str(self.driving), str(self.folder / f"{name}-{index}.mp4"),
                end=self.end, size=256, margin=1.75,
            )
            for index in range(count)
        ]  # fmt: skip
        return [self.client.submit(spec).id for spec in specs]

    def wait(self, ids: list[str]) -> list[JobRecord]:
        """Their records, once all have succeeded."""
        records = [self.client.wait(job_id) for job_id in ids]
        assert all(record.state is JobState.SUCCEEDED for record in records), records
        return records

    @contextmanager
    def worker(self, concurrency: int) -> Iterator[None]:
        """A worker that takes so many jobs at once."""
        environment = os.environ | {"ANIMATOR_CONCURRENCY": str(concurrency)}
        command = [sys.executable, "-m", "celery", "-A", "worker", "worker", "--loglevel", "ERROR"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            while not self.client.queue.alive_workers():
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait()
            while self.client.queue.alive_workers():
                time.sleep(0.05)


if __name__ == "__main__":
    main()
