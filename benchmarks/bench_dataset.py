"""What is around the making of a large data set: planning, the queue, going on after a kill.

    python benchmarks/bench_dataset.py --rows 100000

Jobs are done by real workers whose pipeline does nothing but copy a few bytes
(`tests.fake_pipeline`) in place of networks. The submitter is `animator batch` in a process of its
own, killed in the middle.
Results go to benchmarks/results/dataset.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.store import JobStore, connect
from benchmarks.environment import describe
from tests.worker.workers import Fleet, worker_command

RESULTS = Path(__file__).parent / "results" / "dataset.json"


@dataclass
class Queue:
    """The most that was seen in Redis."""

    messages: int = 0
    records: int = 0
    megabytes: float = 0.0


@contextmanager
def watched(store: JobStore) -> Iterator[Queue]:
    """Look at Redis again and again."""
    most, end = Queue(), threading.Event()

    def look() -> None:
        while not end.wait(0.1):
            names = list(store.client.scan_iter("animator:celery:animator.*", _type="list"))
            most.messages = max(most.messages, sum(store.client.llen(name) for name in names))
            most.records = max(most.records, store.client.zcard("animator:jobs"))
            used = store.client.info("memory")["used_memory"] / 1e6
            most.megabytes = round(max(most.megabytes, used), 1)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        end.set()
        thread.join()


def write_manifest(folder: Path, rows: int) -> Path:
    """So many rows of a thousand pictures and as many videos as it takes."""
    sources = [folder / f"source-{number}.png" for number in range(min(rows, 1000))]
    drivings = [folder / f"driving-{number}.mp4" for number in range(-(-rows // len(sources)))]
    for source in sources:
        source.write_bytes(b"picture")
    for driving in drivings:
        driving.write_text(json.dumps({"frames": 1, "segment": 1, "seconds": 0}))
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "source", "driving"])
        for number in range(rows):
            pair = sources[number % len(sources)].name, drivings[number // len(sources)].name
            table.writerow([f"sample{number}", *pair])
    return path


class Batch:
    """`animator batch` on the manifest."""

    def __init__(self, manifest: Path, out: Path, *options: str) -> None:
        command = [sys.executable, "-m", "animator", "batch", str(manifest), "--out", str(out)]
        command += ["--no-measure", "--json", *options]
        self.began = time.monotonic()
        self.out = out
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def planned(self) -> float:
        """Seconds until the plan was written."""
        while not (self.out / "run.json").exists():
            assert self.process.poll() is None, "the call has ended"
            time.sleep(0.01)
        return time.monotonic() - self.began

    def kill(self) -> None:
        """End it at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> tuple[float, float]:
        """Seconds that it took, and its largest resident set in megabytes."""
        kilobytes = 0
        # Not by wait4(): its figure includes this process as it was when it forked.
        while self.process.poll() is None:
            with suppress(OSError):
                lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
                sizes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
                kilobytes = max([kilobytes, *sizes])
            time.sleep(0.05)
        assert self.process.returncode == 0, self.process.returncode
        return time.monotonic() - self.began, kilobytes * 1024 / 1e6


def measure(rows: int, workers: int, concurrency: int, folder: Path) -> dict[str, Any]:
    """One run with a kill in its middle."""
    manifest, out = write_manifest(folder, rows), folder / "run"
    server = EmbeddedRedis(folder / "state")
    server.start()
    os.environ |= {"ANIMATOR_BROKER_URL": server.url, "ANIMATOR_STATE_DIR": str(folder / "state")}
    store = JobStore(connect(server.url))
    log = (folder / "workers.log").open("wb")
    fleet = Fleet(lambda: worker_command("-c", str(concurrency)), workers, log)
    try:
        with watched(store) as most:
            first = Batch(manifest, out)
            planned = first.planned()
            while len([*out.glob("shards/*_stats.json")]) < rows // 2000:
                time.sleep(0.1)
            seconds = time.monotonic() - first.began - planned
            done = len([*out.glob("shards/*_stats.json")]) * 1000
            first.kill()
            went_on, _ = Batch(manifest, out, "--limit", "1").end()
            _, megabytes = Batch(manifest, out).end()
            scan, scan_megabytes = Batch(manifest, out).end()
    finally:
        fleet.end()
        server.stop()
    return {
        "rows": rows,
        "planning, seconds": round(planned, 2),
        "samples a second": round(done / seconds, 1),
        "one sample after the kill, seconds": round(went_on, 2),
        "a call that finds all done, seconds": round(scan, 2),
        "submitter, largest resident set, MB": round(max(megabytes, scan_megabytes), 1),
        "most messages in Redis": most.messages,
        "most records in Redis": most.records,
        "Redis, MB": most.megabytes,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures = measure(**vars(options), folder=Path(folder))
    told = {"machine": describe(), "options": vars(options), **figures}
    print(json.dumps(told, indent=2))
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
