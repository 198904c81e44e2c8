"""Jobs whose process dies, or loses the job, and the attempts that go on from there."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from animator import watch
from animator.animation.faces import finding, following
from animator.animation.pipeline import animate
from animator.errors import AnimatorError, JobCancelled, LeaseLost
from animator.media.decode import VideoReader
from animator.record import Progress, Result
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from gfla import checkpoint
from tests.animator.animation.damage import damage, empty, truncate
from tests.animator.animation.resumed_job import JOB
from tests.animator.conftest import mounted_disk
from tests.animator.media_files import noise, video_times, write_video
from tests.helpers import COMPACT, NARROW, small_generator

pytestmark = pytest.mark.slow

FRAMES, SEGMENT = 14, 4
SIZE = (256, 256)
Pictures = list[np.ndarray[Any, Any]]


@pytest.fixture(scope="module", autouse=True)
def short_segments() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIMATOR_SEGMENT_FRAMES", str(SEGMENT))
        patch.setattr(watch, "REPORT_SECONDS", 0)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return path


@pytest.fixture(scope="module")
def driving(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample video's first pictures at uneven times, with sound."""
    with VideoReader(samples[1]) as reader:
        batches = itertools.islice(reader, 2)
        pictures = [cv2.resize(picture, SIZE) for batch in batches for picture in batch.pixels]
        base = reader.info.time_base
    pts = [1001 * t + (t % 3) * 100 for t in range(FRAMES)]
    path = tmp_path_factory.mktemp("driving") / "driving.mp4"
    return write_video(path, pts, base, pictures=pictures, size=SIZE, sound=noise(0.4, 48000))


@pytest.fixture(scope="module")
def expected(
    samples: tuple[Path, Path],
    weights: Path,
    driving: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> JobSpec:
    """The job, run without any interruption."""
    output = str(tmp_path_factory.mktemp("expected") / "out.mp4")
    spec = JobSpec(
        str(samples[0]), str(driving), output, size=128, margin=1.75, detector="dlib", device="cpu",
        weights=str(weights), output_mode="side-by-side",
    )  # fmt: skip
    animate(spec)
    return spec


@pytest.fixture
def spec(expected: JobSpec, tmp_path: Path) -> JobSpec:
    """The same job elsewhere."""
    (tmp_path / "results").mkdir()
    return replace(expected, output=str(tmp_path / "results" / "out.mp4"))


def decoded(path: str) -> Pictures:
    with VideoReader(path) as reader:
        return [picture for batch in reader for picture in batch.pixels]


def sound(path: str) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0])]


def check_equal(spec: JobSpec, expected: JobSpec) -> None:
    """Same frames bit for bit, same times, same sound, and nothing else in the folder."""
    assert np.array_equal(decoded(spec.output), decoded(expected.output))
    assert video_times(Path(spec.output)) == video_times(Path(expected.output))
    assert sound(spec.output) == sound(expected.output)
    assert os.listdir(Path(spec.output).parent) == ["out.mp4"]


def die(spec: JobSpec, attempt: int, *place: str) -> None:
    """Run an attempt in a process that is killed at this place."""
    file = Path(spec.output).parents[1] / "spec.json"
    file.write_text(spec.to_json())
    command = [
        sys.executable,
        "-m",
        "tests.animator.animation.resumed_job",
        str(file),
        str(attempt),
        *place,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr


def stop(spec: JobSpec, attempt: int, frames: int) -> None:
    """Run an attempt that is told to stop after so many frames, and keep its folder."""
    seen: list[Progress] = []

    def should_stop() -> bool:
        return seen[-1].stage == "generate" and seen[-1].frame >= frames

    workspace = Workspace.take(spec.output, JOB, attempt)
    with pytest.raises(JobCancelled):
        animate(spec, report=seen.append, should_stop=should_stop, workspace=workspace)


def finish(spec: JobSpec, attempt: int, **options: Any) -> Result:
    """Run an attempt to its end, and remove its folder as its owner would."""
    workspace = Workspace.take(spec.output, JOB, attempt)
    result = animate(spec, workspace=workspace, **options)
    workspace.remove()
    return result


def test_a_job_goes_on_however_often_its_process_is_killed(
    spec: JobSpec, expected: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(spec, 1, "landmarks", "1")
    die(spec, 3, "generate", "5")  # in the second segment
    # the segment is whole, but does not count
    die(spec, 5, "animator.animation.render.save_checkpoint")
    die(spec, 8, "animator.animation.render.join")
    die(spec, 9, "animator.workspace.attempt.sync_folder")  # as the video has just got its name
    Path(spec.output).unlink()
    monkeypatch.setattr(following, "make_detector", None)  # the landmarks are there
    seen: list[Progress] = []
    result = finish(spec, 10, report=seen.append)
    assert (result.frames, result.resumed) == (FRAMES, FRAMES)
    assert [progress.stage for progress in seen if progress.stage == "landmarks"] == []
    assert seen[-1].frame == seen[-1].frames == FRAMES
    check_equal(spec, expected)


@pytest.mark.parametrize("size", [128, 200])
@pytest.mark.parametrize("model", ["compact", "published"])
def test_frames_after_every_border_are_equal(
    size: int, model: str, spec: JobSpec, expected: JobSpec, tmp_path: Path
) -> None:
    """With and without fusion at full size; the rollout is read back at each border."""
    if (size, model) != (128, "compact"):
        path = tmp_path / f"{model}.safetensors"
        config = {"compact": COMPACT, "published": NARROW}[model]
        checkpoint.save(path, small_generator(config), {"structure_size": 64})
        changes = {"size": size, "weights": str(path), "output_mode": "paste-back"}
        spec = replace(spec, **changes)
        expected = replace(spec, output=str(tmp_path / "expected.mp4"))
        animate(expected)
    progress: list[int] = []
    for attempt, frames in ((1, 5), (2, 9), (3, 13)):
        stop(spec, attempt, frames)

    def report(done: Progress) -> None:
        progress.append(done.frame)

    result = finish(spec, 4, report=report)
    assert result.resumed == 12
    assert progress[-3:] == [13, 14, 14]
    check_equal(spec, expected)


@pytest.fixture(scope="module")
def unfinished(expected: JobSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an attempt leaves that finished three of four segments."""
    folder = tmp_path_factory.mktemp("unfinished")
    stop(replace(expected, output=str(folder / "out.mp4")), 1, 13)
    return folder


@pytest.fixture
def interrupted(unfinished: Path, spec: JobSpec) -> Path:
    """The folder of such an attempt."""
    shutil.copytree(unfinished, Path(spec.output).parent, dirs_exist_ok=True)
    folder = Workspace(Path(spec.output), JOB, 1).path
    names = ["00000.mp4", "00001.mp4", "00002.mp4", "00002.npz", "00003.npz", "plan.npz"]
    assert sorted(os.listdir(folder)) == names
    return folder


def exchange(path: Path) -> None:
    """Another segment, or the earlier state, in the place of this one."""
    shutil.copy(path.with_name(f"{int(path.stem) - 1:05}{path.suffix}"), path)


DAMAGES: list[tuple[str, Callable[[Path], None], int]] = [
    ("00002.mp4", truncate, 8),
    ("00002.mp4", damage, 8),
    ("00002.mp4", exchange, 8),
    ("00002.mp4", Path.unlink, 8),
    ("00003.npz", truncate, 8),
    ("00003.npz", damage, 8),
    ("00003.npz", exchange, 8),
    ("00003.npz", empty, 8),
    ("00000.mp4", damage, 0),
    ("plan.npz", truncate, 0),
    ("plan.npz", empty, 0),
    ("plan.npz", Path.unlink, 0),
]


@pytest.mark.parametrize(("name", "harm", "kept"), DAMAGES)
def test_what_is_damaged_is_rendered_anew(
    name: str,
    harm: Callable[[Path], None],
    kept: int,
    spec: JobSpec,
    expected: JobSpec,
    interrupted: Path,
) -> None:
    harm(interrupted / name)
    assert finish(spec, 2).resumed == kept
    check_equal(spec, expected)


def test_landmarks_of_the_job_itself_are_used_before_those_kept_for_all(
    spec: JobSpec, expected: JobSpec, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "make_detector", None)
    monkeypatch.setattr(finding, "LandmarkCache", None)
    result = finish(spec, 2)
    assert (result.resumed, result.cached) == (12, ())
    check_equal(spec, expected)


CHANGES: dict[str, dict[str, Any]] = {
    "source": {},
    "driving": {},
    "weights": {},
    "options": {"smoothing": 0.9},
    "controls": {"expression": 0.5, "regions": "eyes,mouth"},
    "segments": {},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_made_of_something_else_is_rendered_anew(
    what: str, spec: JobSpec, interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "segments":
        monkeypatch.setenv("ANIMATOR_SEGMENT_FRAMES", "5")
    elif what not in ("options", "controls"):
        other = tmp_path / Path(getattr(spec, what)).name
        if what == "weights":
            checkpoint.save(other, small_generator(COMPACT, 1), {"structure_size": 64})
        else:
            other.write_bytes(Path(getattr(spec, what)).read_bytes() + bytes(8))
        spec = replace(spec, **{what: str(other)})
    spec = replace(spec, **CHANGES[what])
    assert finish(spec, 2).resumed == 0
    fresh = replace(spec, output=str(tmp_path / "fresh.mp4"))
    animate(fresh)
    check_equal(spec, fresh)


@pytest.mark.parametrize("frames", [2, 6, FRAMES])
def test_a_late_twin_ends_without_a_trace(frames: int, spec: JobSpec, expected: JobSpec) -> None:
    """It is overtaken in the middle of a segment, later, or as it is about to publish."""
    early = Workspace.take(spec.output, JOB, 1)
    later: list[Workspace] = []

    def overtake() -> bool:
        if not later:
            later.append(Workspace.take(spec.output, JOB, 2))
        return True  # whoever it asks does not know yet

    def report(progress: Progress) -> None:
        if frames < FRAMES and progress.stage == "generate" and progress.frame >= frames:
            overtake()

    with pytest.raises(LeaseLost):
        animate(spec, report=report, workspace=early, may_publish=overtake)
    early.remove()
    assert not Path(spec.output).exists()
    result = animate(spec, workspace=later[0])
    assert result.resumed == (FRAMES if frames == FRAMES else frames - frames % SEGMENT)
    later[0].remove()
    check_equal(spec, expected)


def test_who_may_not_publish_does_not(spec: JobSpec) -> None:
    with pytest.raises(LeaseLost):
        animate(spec, may_publish=lambda: False)
    assert os.listdir(Path(spec.output).parent) == []


@pytest.mark.parametrize("frames", [0, 2, 9, FRAMES])
def test_a_run_that_is_cancelled_leaves_nothing(frames: int, spec: JobSpec) -> None:
    seen: list[Progress] = []

    def should_stop() -> bool:
        return bool(seen) and seen[-1].stage == "generate" and seen[-1].frame >= frames

    with pytest.raises(JobCancelled):
        animate(spec, report=seen.append, should_stop=should_stop)
    assert os.listdir(Path(spec.output).parent) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path / "disk", 300) as folder:
        yield folder


@pytest.mark.parametrize("free", [20, 80, 160, 240])
def test_a_full_disk_has_a_code_and_leaves_nothing(
    free: int, spec: JobSpec, small_disk: Path
) -> None:
    """It is full at the plan, at a segment, or at the state after one."""
    (small_disk / "other").write_bytes(bytes((300 - free) * 1024))
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, output=str(small_disk / "out.mp4")))
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
    assert os.listdir(small_disk) == ["other"]


def test_a_job_goes_on_once_the_disk_has_space(
    spec: JobSpec, expected: JobSpec, small_disk: Path
) -> None:
    spec = replace(spec, output=str(small_disk / "out.mp4"))
    (small_disk / "other").write_bytes(bytes(60 * 1024))
    workspace = Workspace.take(spec.output, JOB, 1)
    with pytest.raises(AnimatorError) as caught:
        animate(spec, workspace=workspace)
    assert caught.value.code == "disk_full"
    (small_disk / "other").unlink()
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    assert finish(spec, 2).resumed > 0
    check_equal(spec, expected)
