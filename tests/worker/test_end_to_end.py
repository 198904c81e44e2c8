"""A job from the command line through the queue and the real pipeline to a video."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import pytest

from animator.jobs.client import Client
from animator.record import JobRecord, JobState
from animator.spec import JobSpec
from gfla import checkpoint
from gfla.build import build_generator, initialise
from tests.helpers import NARROW
from tests.worker.workers import ended, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def media(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sample media and a small model with random weights."""
    folder = tmp_path_factory.mktemp("media")
    for path in samples:
        shutil.copy(path, folder)
    generator = build_generator(NARROW)
    initialise(generator)
    checkpoint.save(folder / "random.safetensors", generator, {"name": "random"})
    return folder


def animator(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "animator", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_job_is_worked_and_its_worker_ends(media: Path, state_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "out 'ж'.mp4"
    status, record = animator(
        "submit", str(media / "source.png"), str(media / "driving.mp4"), "-o", str(output),
        "--weights", str(media / "random.safetensors"), "--end", "0.3", "--wait",
    )  # fmt: skip
    assert status == 0, record
    assert record["state"] == "succeeded" and record["error"] is None
    assert record["frames"] == 9  # 0.3 s at 30000/1001
    assert record["progress"]["frame"] == record["progress"]["frames"] == 9
    assert record["weights"].startswith("random@")
    assert set(record["hashes"]) == {"source", "driving", "weights"}
    with av.open(str(output)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 9
        assert len(container.streams.audio) == 1
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    client = Client.connect()
    deadline = time.monotonic() + 20
    while client.store.workers():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.store.get(record["id"]).worker == record["worker"]


def test_a_failure_of_the_pipeline_reaches_the_user(
    media: Path, state_dir: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    arguments = [str(media / "source.png"), str(text), "-o", str(tmp_path / "out.mp4")]
    weights = ["--weights", str(media / "random.safetensors")]
    for verb in (["run"], ["submit", "--wait"]):
        status, record = animator(*verb, *arguments, *weights)
        assert status == 1
        assert (record["state"], record["error"]["code"]) == ("failed", "unreadable_video")
        assert not (tmp_path / "out.mp4").exists()


def test_cancelling_in_every_stage_frees_the_worker_and_leaves_nothing(
    media: Path, state_dir: Path, tmp_path: Path
) -> None:
    client = Client.connect()
    source, driving = str(media / "source.png"), str(media / "driving.mp4")
    weights = str(media / "random.safetensors")
    child = client.queue.start_worker()
    try:
        for stage in ("load", "landmarks", "generate"):
            spec = JobSpec(source, driving, str(tmp_path / "o.mp4"), weights=weights)
            job = client.submit(spec)

            def there(job: JobRecord = job, stage: str = stage) -> bool:
                record = client.store.get(job.id)
                assert not record.state.ended
                return record.progress is not None and record.progress.stage == stage

            until(there, 60)
            began = time.monotonic()
            client.cancel(job.id)
            assert ended(client.store, job).state is JobState.CANCELLED
            if stage != "load":  # the weights are loaded in one go
                assert time.monotonic() - began < 3
            until(lambda: list(tmp_path.iterdir()) == [state_dir])
        until(lambda: not any(worker.jobs for worker in client.store.workers()))
    finally:
        child.kill()


def test_a_suspect_job_is_worked_in_a_process_of_its_own(
    media: Path, state_dir: Path, tmp_path: Path
) -> None:
    client = Client.connect()
    output = tmp_path / "o.mp4"
    weights = str(media / "random.safetensors")
    source, driving = str(media / "source.png"), str(media / "driving.mp4")
    job = client.submit(JobSpec(source, driving, str(output), end="0.3", weights=weights))
    assert client.store.claim(job.id, "one that died") is not None
    client.store.requeue(job.id, 1, suspect=True)
    child = client.queue.start_worker()
    try:
        record = ended(client.store, job, 60)
        assert record.result is not None, record.error
        assert (record.attempt, record.result.frames) == (2, 9)
        assert client.store.workers()[0].memory_mb < 200  # the networks are elsewhere
        # Its folder goes after its end is on record; the worker is not killed in between.
        until(lambda: not [*tmp_path.glob(".*.parts")])
    finally:
        child.kill()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.mp4", "state"]
