"""Memory that a worker holds after many jobs, against what it held after the first twenty.

A worker with narrow, random networks and clips of a few frames in all output modes, so that many
jobs fit into minutes: what grows is what a job leaves behind, however large it was. Exits with 1
if the worker holds more than 1.1 times as much at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from environment import describe

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.client import Client
from animator.jobs.store import JobRequest
from animator.record import JobState
from animator.samples.media import write_samples
from animator.spec import JobSpec
from gfla import checkpoint
from tests.chaos.farm import MODES
from tests.helpers import small_generator
from tests.worker.workers import REPOSITORY, worker_command

RESULTS = Path(__file__).parent / "results"
FIRST, LIMIT = 20, 1.1


def main() -> int:
    """Run the jobs, and write down what the worker holds after each fifty."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "memory.json")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        held = measure(Path(name), options.jobs, options.concurrency)
    growth = held[-1][1] / held[0][1]
    report = {
        "environment": describe(),
        "concurrency": options.concurrency,
        "jobs": [count for count, _ in held],
        "MiB": [round(megabytes, 1) for _, megabytes in held],
        "growth": round(growth, 3),
        "seconds": round(time.monotonic() - began),
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"after {held[-1][0]} jobs {growth:.3f} x of what it held after {held[0][0]}")
    return int(growth > LIMIT)


def measure(folder: Path, jobs: int, concurrency: int) -> list[tuple[int, float]]:
    """Jobs that have ended, and MiB that the idle worker holds then."""
    server = EmbeddedRedis(folder / "state")
    os.environ |= {"ANIMATOR_STATE_DIR": str(folder / "state"), "ANIMATOR_BROKER_URL": server.url}
    source, driving = write_samples(folder)
    weights = folder / "random.safetensors"
    checkpoint.save(weights, small_generator(), {"name": "random"})
    kinds = [
        JobSpec(
            str(source), str(driving), "/", end="0.15", size=128, margin=1.75,
            output_mode=mode, weights=str(weights),
        )
        for mode in MODES
    ]  # fmt: skip
    server.start()
    command = worker_command("-c", str(concurrency), app="worker")
    with open(folder / "worker.log", "wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
        try:
            return [
                (upto, held_after(process.pid, kinds, range(first, upto), folder))
                for first, upto in steps(jobs)
            ]
        finally:
            process.kill()
            process.wait()
            server.stop()


def steps(jobs: int) -> list[tuple[int, int]]:
    """Where each round begins and ends."""
    ends = [FIRST, *range(50, jobs, 50), jobs]
    return list(zip([0, *ends], ends, strict=False))


def held_after(process: int, kinds: list[JobSpec], numbers: range, folder: Path) -> float:
    """Run some jobs and look what the worker holds when it is idle again."""
    client = Client.connect()
    outputs = [folder / f"{number}.mp4" for number in numbers]
    requests = [
        JobRequest(replace(kinds[number % len(kinds)], output=str(output)))
        for number, output in zip(numbers, outputs, strict=True)
    ]
    ids = [made.record.id for made in client.submit_many(requests)]
    for job_id in ids:
        record = client.wait(job_id)
        assert record.state is JobState.SUCCEEDED and not record.suspect, record
    for output in outputs:
        output.unlink()
    time.sleep(1)
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1024**2
    print(f"{numbers.stop} jobs: {megabytes:.1f} MiB", flush=True)
    return megabytes


if __name__ == "__main__":
    sys.exit(main())
