"""Persons through the queue: published checkpoints by name, and a worker that is killed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from animator.animation.pipeline import animate
from animator.jobs.client import Client
from animator.media.decode import VideoReader
from animator.record import JobState
from animator.settings import Settings
from animator.spec import JobSpec
from animator.weights.importing import import_weights
from tests.animator.weights_files import write_published
from tests.gfla.person_files import standing, write_picture
from tests.worker.workers import ended, until

pytestmark = pytest.mark.slow

SIZE = (100, 80)
SEGMENT = 2


def write_pose(path: Path, raised: int) -> None:
    joints = standing(SIZE, 1)
    joints[[3, 4], 1] -= raised
    values = np.column_stack([joints, np.ones(len(joints))]).ravel().tolist()
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": values}]}))


def frames_of(path: str | Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.concatenate([batch.pixels for batch in reader])


def test_persons_are_animated_by_workers_that_may_die(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", "2")
    monkeypatch.setenv("ANIMATOR_SEGMENT_FRAMES", str(SEGMENT))
    source = write_picture(tmp_path / "person.png", SIZE, 1)
    write_pose(tmp_path / "person.json", 0)
    for frame in range(12):
        write_pose(tmp_path / "poses" / f"{frame}.json", frame % 20)
    settings = Settings.from_environment()

    def job(kind: str, frames: int) -> JobSpec:
        import_weights(write_published(tmp_path, kind, kind), settings=settings)
        return JobSpec(
            str(source), str(tmp_path / "poses"), str(tmp_path / f"{kind}.mp4"), weights=kind,
            source_pose=str(tmp_path / "person.json"), driving_fps="10", end=str(frames / 10),
            device="cpu",
        )  # fmt: skip

    # A worker dies while it renders a dance, and another one goes on with it.
    client = Client.connect()
    dance, *others = job("dance", 12), job("fashion", 2), job("market", 2)
    record = client.submit(dance)
    worker = client.queue.start_worker()
    until(lambda: client.store.get(record.id).attempt == 1)
    folder = until(lambda: [*tmp_path.glob(f".dance.mp4.{record.id}.parts")])[0]
    until(lambda: len([*folder.rglob("0*.npz")]) >= 1)
    worker.kill()
    assert client.store.get(record.id).state is JobState.RUNNING
    queued = [client.submit(spec) for spec in others]
    second = client.queue.start_worker()
    try:
        done = ended(client.store, record, 120)
        assert done.result is not None, done.error
        assert (done.attempt, done.result.frames) == (2, 12) and done.result.resumed >= SEGMENT
        for one in queued:
            result = ended(client.store, one, 60).result
            assert result is not None and result.frames == 2
    finally:
        second.kill()
    # What came of it is what one attempt alone makes.
    there = {spec.weights: frames_of(spec.output) for spec in (dance, *others)}
    for spec in (dance, *others):
        animate(spec, settings=settings)
        assert np.array_equal(frames_of(spec.output), there[spec.weights])
