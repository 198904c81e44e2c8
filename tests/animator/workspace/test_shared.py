"""What a machine had finished of a job is gone on from by another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from animator.animation.pipeline import animate
from animator.errors import JobCancelled
from animator.files.storage import Storage
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace import shared as shared_segments
from animator.workspace.attempt import Workspace
from animator.workspace.shared import SharedSegments
from tests.chaos import dataset_media
from tests.chaos.outputs import content
from tests.worker.workers import until

JOB = "0123abcd"


@pytest.fixture
def shared(state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ANIMATOR_STORAGE", str(tmp_path / "shared"))
    monkeypatch.setenv("ANIMATOR_SEGMENT_FRAMES", "4")
    monkeypatch.setattr(shared_segments, "LOOK_SECONDS", 0.01)
    return Settings.from_environment()


@pytest.fixture
def spec(samples: tuple[Path, Path], tmp_path: Path) -> JobSpec:
    (clip,) = dataset_media.clips(samples[1], tmp_path / "clip", 1, frames=18)
    weights = dataset_media.quick_weights(tmp_path / "random.safetensors")
    return JobSpec(
        str(samples[0]), str(clip), str(tmp_path / "whole.mp4"), size=128, margin=1.75,
        device="cpu", weights=str(weights),
    )  # fmt: skip


def machine(folder: Path, attempt: int) -> Workspace:
    folder.mkdir(exist_ok=True)
    return Workspace.take(folder / "out.mp4", JOB, attempt)


def copies(settings: Settings) -> list[str]:
    names = Storage.open(settings.storage or "", settings).names(f"segments/{JOB}")
    return sorted(name.rpartition("/")[2] for name in names)


def begin(spec: JobSpec, settings: Settings, folder: Path, segments: int) -> None:
    """An attempt that ends, without a word more, when so many segments have been copied."""
    workspace = machine(folder, 1)
    state = f"{segments:05}.npz"

    def stop() -> bool:
        if state not in workspace.finished():
            return False
        until(lambda: state in copies(settings))
        return True

    here = replace(spec, output=str(workspace.output))
    with SharedSegments(workspace, JOB, settings).kept(), pytest.raises(JobCancelled):
        animate(here, workspace=workspace, should_stop=stop)


def test_another_machine_goes_on(spec: JobSpec, shared: Settings, tmp_path: Path) -> None:
    animate(spec)
    begin(spec, shared, tmp_path / "one", 2)
    assert {"plan.npz", "00000.mp4", "00001.mp4", "00002.npz"} <= set(copies(shared))
    workspace = machine(tmp_path / "other", 2)
    found = SharedSegments(workspace, JOB, shared)
    found.restore()
    with found.kept():
        result = animate(replace(spec, output=str(workspace.output)), workspace=workspace)
    assert result.resumed >= 8
    assert content(workspace.output) == content(Path(spec.output))
    found.discard()
    assert copies(shared) == []


def test_a_copy_that_is_damaged_is_made_again(
    spec: JobSpec, shared: Settings, tmp_path: Path
) -> None:
    animate(spec)
    begin(spec, shared, tmp_path / "one", 2)
    storage = Storage.open(shared.storage or "", shared)
    storage.write(f"segments/{JOB}/00000.mp4", b"damaged")
    workspace = machine(tmp_path / "other", 2)
    SharedSegments(workspace, JOB, shared).restore()
    result = animate(replace(spec, output=str(workspace.output)), workspace=workspace)
    assert result.resumed == 0 and content(workspace.output) == content(Path(spec.output))


def test_what_is_here_stays_if_it_is_as_much(
    spec: JobSpec, shared: Settings, tmp_path: Path
) -> None:
    begin(spec, shared, tmp_path / "one", 2)
    there = copies(shared)
    workspace = machine(tmp_path / "one", 2)
    before = {name: (workspace.path / name).stat().st_ino for name in workspace.finished()}
    found = SharedSegments(workspace, JOB, shared)
    found.restore()
    assert before == {name: (workspace.path / name).stat().st_ino for name in workspace.finished()}
    assert there
    found.discard()
    assert copies(shared) == []


def test_storage_that_fails_fails_no_job(
    spec: JobSpec, shared: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "shared").write_text("no folder")
    workspace = machine(tmp_path / "one", 1)
    found = SharedSegments(workspace, JOB, shared)
    found.restore()
    with found.kept():
        result = animate(replace(spec, output=str(workspace.output)), workspace=workspace)
    found.discard()
    shared_segments.discard(JOB, shared)
    assert result.frames == 18 and "not kept for other machines" in caplog.text


def test_what_nobody_goes_on_from_is_removed(
    spec: JobSpec, shared: Settings, tmp_path: Path
) -> None:
    begin(spec, shared, tmp_path / "one", 1)
    assert copies(shared)
    shared_segments.discard(JOB, shared)
    assert copies(shared) == []
