"""Runs whose samples are made by hand, for tests of what is around the making."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from animator.dataset.options import RunOptions
from animator.dataset.plan import DatasetPlan
from animator.dataset.plan_files import write_plan
from animator.dataset.run_folder import FAILED, RESULT, RunFolder, Shard, new_info
from animator.dataset.samples import Sample, SampleOutcome
from animator.files.storage import Storage
from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.record import JobError, JobRecord, JobState, Result
from animator.settings import Settings

NO_FACE = JobError("no_face", "No face was found in the picture.")


def samples(count: int) -> list[Sample]:
    return [
        Sample(f"s{n:03}", n + 1, f"/in/{n % 3}.png", f"/in/{n // 3}.mp4") for n in range(count)
    ]


def storage_at(where: str) -> Storage:
    return Storage.open(where, Settings(Path("/state"), allowed_urls=("memory://made",)))


def begin(folder: Path | Storage, plan: Sequence[Sample], options: RunOptions) -> RunFolder:
    storage = folder if isinstance(folder, Storage) else storage_at(str(folder))
    whole = DatasetPlan(tuple(plan), ())
    write_plan(whole, storage)
    return RunFolder.begin(storage, new_info({}, options, len(plan), 0, whole.fingerprint))


def result(sample: Sample, output: str = "/out.mp4", **values: Any) -> Result:
    quality = {"identity": 0.5, "landmark_error": 1.5} | values.pop("quality", {})
    hashes = {"source": "s" * 64, "driving": "d" * 64, "weights": "w" * 64}
    made = Result(output, 12, 3.5, 3.4, {"load": 0.1, "generate": 3.0}, hashes=hashes)
    return replace(made, quality=quality, weights="default@1", **values)


def make(run: RunFolder, shard: Shard, sample: Sample, **values: Any) -> None:
    """What a worker leaves of a sample that it has made."""
    storage = run.storage
    storage.write(run.part(shard, sample, ".mp4"), b"video of " + sample.id.encode() * 400)
    for extra in run.info.options.extras:
        storage.write(run.part(shard, sample, f".{extra}.npz"), extra.encode())
    text = result(sample, **values).to_json().encode()
    storage.write(run.part(shard, sample, RESULT), text)


def fail(run: RunFolder, shard: Shard, sample: Sample, error: JobError = NO_FACE) -> None:
    outcome = SampleOutcome(sample.id, "failed", error, attempts=1)
    run.storage.write(run.part(shard, sample, FAILED), outcome.to_json())


def files(run: RunFolder) -> dict[str, bytes]:
    """All files of a run on this machine, hidden ones, too."""
    root = run.storage.local
    assert root is not None
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


class Bench:
    """Takes jobs as a worker does, and makes them by hand.

    Args:
        store: where the jobs are.
        behave: what becomes of a job: None makes it, an error fails it.
    """

    def __init__(
        self, store: JobStore, behave: Callable[[JobRecord], JobError | None] = lambda job: None
    ) -> None:
        self.store, self.behave = store, behave
        self.made: list[str] = []
        self.most_queued = 0

    def turn(self) -> int:
        """Take all that are queued; returns how many."""
        queued = self.store.list_jobs(JobState.QUEUED, limit=10_000)
        self.most_queued = max(self.most_queued, len(queued))
        for job in reversed(queued):
            claimed = self.store.claim(job.id, "bench", 60)
            if claimed is not None:
                self._work(claimed)
        return len(queued)

    def _work(self, job: JobRecord) -> None:
        if error := self.behave(job):
            self.store.fail(job.id, job.attempt, error)
            return
        output = Path(job.spec.output)
        sample = Sample(output.stem, 1, job.spec.source, job.spec.driving)
        output.write_bytes(b"video of " + output.stem.encode() * 400)
        for extra in job.spec.extras:
            output.with_name(f"{output.stem}.{extra}.npz").write_bytes(extra.encode())
        made = result(sample, job.spec.output)
        output.with_name(output.stem + RESULT).write_text(made.to_json())
        self.made.append(output.stem)
        self.store.succeed(job.id, job.attempt, made)


@contextmanager
def working(bench: Bench) -> Iterator[Bench]:
    """The bench takes jobs in a thread of its own."""
    end = threading.Event()

    def run() -> None:
        while not end.is_set():
            bench.turn()
            time.sleep(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield bench
    finally:
        end.set()
        thread.join()


def connected(settings: Settings) -> Client:
    return Client.connect(settings)


def stats_of(run: RunFolder) -> list[dict[str, Any]]:
    """The statistics without what differs from call to call."""
    return [
        {name: value for name, value in one.items() if name not in ("began", "ended")}
        for one in run.stats()
    ]


def json_of(content: bytes) -> Any:
    return json.loads(content)
