"""Files beside the video: what is in them, and when there are none."""

from __future__ import annotations

import io
import itertools
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from animator import watch
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.errors import AnimatorError, JobCancelled, LeaseLost
from animator.media.decode import VideoReader
from animator.options import Extra
from animator.record import Progress
from animator.spec import JobSpec, extra_files
from animator.workspace.attempt import Workspace
from gfla import checkpoint
from gfla.models.rollout import RolloutState
from tests.animator.conftest import mounted_disk
from tests.animator.media_files import write_video
from tests.animator.plans import planned
from tests.helpers import COMPACT, small_generator

FRAMES, STRUCTURE = 6, 64
ALL: tuple[Extra, ...] = ("landmarks", "structures", "flows", "frames")
NAMES = [
    "out.flows.npz", "out.frames.tar", "out.landmarks.npz", "out.mp4", "out.structures.npz",
]  # fmt: skip


@pytest.fixture(scope="module")
def job(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobSpec]:
    """A job with all extras; the third of its seven driving frames shows no face."""
    folder = tmp_path_factory.mktemp("job")
    weights = folder / "small.safetensors"
    checkpoint.save(weights, small_generator(COMPACT), {"structure_size": STRUCTURE})
    with VideoReader(samples[1]) as reader:
        pictures = [
            cv2.resize(picture, (256, 256))
            for batch in itertools.islice(reader, 1)
            for picture in batch.pixels
        ][: FRAMES + 1]
    pictures[2] = np.full_like(pictures[0], 90)
    pts = [0, 400, 900, 1500, 1600, 2000, 2300]
    driving = write_video(
        folder / "driving.mp4", pts, Fraction(1, 12800), pictures=pictures, size=(256, 256)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "REPORT_SECONDS", 0)
        yield JobSpec(
            str(samples[0]), str(driving), str(folder / "unused.mp4"), size=128, margin=1.75,
            detector="dlib", device="cpu", weights=str(weights), missing_face="skip", extras=ALL,
        )  # fmt: skip


@pytest.fixture(scope="module")
def made(job: JobSpec, tmp_path_factory: pytest.TempPathFactory) -> tuple[JobSpec, list[Progress]]:
    """The job, done, and what it reported."""
    seen: list[Progress] = []
    spec = replace(job, output=str(tmp_path_factory.mktemp("made") / "out.mp4"))
    animate(spec, report=seen.append)
    return spec, seen


@pytest.fixture
def spec(job: JobSpec, tmp_path: Path) -> JobSpec:
    (tmp_path / "results").mkdir()
    return replace(job, output=str(tmp_path / "results" / "out.mp4"))


@pytest.fixture(scope="module")
def plan(made: tuple[JobSpec, list[Progress]]) -> JobPlan:
    return planned(made[0])


def arrays(spec: JobSpec, extra: Extra) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(extra_files(spec.output, [extra])[extra], allow_pickle=False) as archive:
        return dict(archive)


def test_all_lie_beside_the_video(made: tuple[JobSpec, list[Progress]]) -> None:
    spec, seen = made
    assert sorted(os.listdir(Path(spec.output).parent)) == NAMES
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == ["load", "landmarks", "generate", "extras"]
    assert seen[-1].frame == seen[-1].frames == 3 * FRAMES


def test_landmarks_are_the_targets_and_when_they_are_shown(
    made: tuple[JobSpec, list[Progress]], plan: JobPlan
) -> None:
    found = arrays(made[0], "landmarks")
    assert found["targets"].dtype == np.float32
    assert np.array_equal(found["targets"], plan.targets)
    assert found["targets"].shape == (FRAMES, 68, 2)
    assert found["square"].tolist() == [0, 0, 128]
    assert found["frames"].tolist() == [0, 1, 3, 4, 5, 6]
    # The third of 0, 400, 900, 1500 and so on is left out, and the time it took.
    assert found["pts"].tolist() == [0, 400, 900, 1000, 1400, 1700]
    assert found["time_base"].tolist() == [1, 12800]


def test_structures_are_what_the_networks_were_told(
    made: tuple[JobSpec, list[Progress]], plan: JobPlan
) -> None:
    found = arrays(made[0], "structures")
    assert list(found) == [f"frame{number:05}" for number in range(FRAMES)]
    state = plan.start()
    for structure, points in zip(found.values(), plan.targets, strict=True):
        assert (structure.dtype, structure.shape) == (np.float16, (16, STRUCTURE, STRUCTURE))
        wanted = plan.generator.guidance(points, state)[0][0].half()
        assert torch.equal(torch.from_numpy(structure), wanted)


def test_flows_are_those_of_the_frames(made: tuple[JobSpec, list[Progress]], plan: JobPlan) -> None:
    found = arrays(made[0], "flows")
    state: RolloutState = plan.start()
    names = []
    for number, points in enumerate(plan.targets):
        state, prediction = plan.generator.predict(state, points)
        for (layer, reference), flow in prediction.flows.items():
            name = f"frame{number:05}/flow_{layer}_{reference}"
            assert torch.equal(torch.from_numpy(found[name]), flow[0].half())
            mask = found[f"frame{number:05}/mask_{layer}_{reference}"]
            assert torch.equal(torch.from_numpy(mask), prediction.masks[layer, reference][0].half())
            names += [name, name.replace("flow", "mask")]
    assert sorted(found) == sorted(names) and len(names) >= 8 * FRAMES // 2


def test_frames_are_those_of_the_video(made: tuple[JobSpec, list[Progress]]) -> None:
    spec = made[0]
    with VideoReader(spec.output) as reader:
        pictures = [picture for batch in reader for picture in batch.pixels]
    with tarfile.open(extra_files(spec.output, ["frames"])["frames"]) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [f"frame{n:05}.png" for n in range(FRAMES)]
        assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}
        for member, picture in zip(members, pictures, strict=True):
            file = archive.extractfile(member)
            assert file is not None
            content = np.frombuffer(io.BytesIO(file.read()).getvalue(), np.uint8)
            assert np.array_equal(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1], picture)


def test_they_change_nothing_and_are_the_same_again(
    made: tuple[JobSpec, list[Progress]], spec: JobSpec
) -> None:
    animate(spec)
    for name in NAMES:
        one, other = Path(made[0].output).parent / name, Path(spec.output).parent / name
        assert one.read_bytes() == other.read_bytes(), name
    animate(replace(spec, extras=(), output=spec.output.replace("out", "plain")))
    plain = Path(spec.output).with_name("plain.mp4")
    assert plain.read_bytes() == Path(spec.output).read_bytes()
    assert sorted(os.listdir(plain.parent)) == [*NAMES, "plain.mp4"]


@pytest.mark.parametrize("extra", ALL)
def test_each_can_be_had_alone(extra: Extra, spec: JobSpec) -> None:
    animate(replace(spec, extras=(extra,)))
    expected = ["out.mp4", extra_files(spec.output, [extra])[extra].name]
    assert sorted(os.listdir(Path(spec.output).parent)) == sorted(expected)


@pytest.mark.parametrize("frame", [0, FRAMES + 2, 2 * FRAMES + 1])
def test_a_job_that_is_cancelled_leaves_none(frame: int, spec: JobSpec) -> None:
    seen: list[Progress] = []

    def should_stop() -> bool:
        return bool(seen) and seen[-1].stage == "extras" and seen[-1].frame >= frame

    with pytest.raises(JobCancelled):
        animate(spec, report=seen.append, should_stop=should_stop)
    assert os.listdir(Path(spec.output).parent) == []


def test_who_may_not_publish_leaves_none(spec: JobSpec) -> None:
    with pytest.raises(LeaseLost):
        animate(spec, may_publish=lambda: False)
    assert os.listdir(Path(spec.output).parent) == []


def test_the_next_attempt_makes_half_made_ones_anew(
    made: tuple[JobSpec, list[Progress]], spec: JobSpec
) -> None:
    seen: list[Progress] = []
    with pytest.raises(JobCancelled):
        animate(
            spec,
            report=seen.append,
            should_stop=lambda: bool(seen) and seen[-1].frame == FRAMES + 2,
            workspace=Workspace.take(spec.output, "0123", 1),
        )
    assert seen[-1].stage == "extras"
    workspace = Workspace.take(spec.output, "0123", 2)
    assert animate(spec, workspace=workspace).resumed == FRAMES
    workspace.remove()
    assert sorted(os.listdir(workspace.output.parent)) == NAMES
    for name in NAMES:
        one = Path(made[0].output).parent / name
        assert one.read_bytes() == (workspace.output.parent / name).read_bytes(), name


def test_a_late_twin_publishes_none(spec: JobSpec) -> None:
    early = Workspace.take(spec.output, "0123", 1)
    later: list[Workspace] = []

    def report(progress: Progress) -> None:
        if progress.stage == "extras" and not later:
            later.append(Workspace.take(spec.output, "0123", 2))

    with pytest.raises(LeaseLost):
        animate(spec, report=report, workspace=early)
    later[0].remove()
    assert os.listdir(Path(spec.output).parent) == []


def test_what_was_asked_for_besides_does_not_count_for_resuming(spec: JobSpec) -> None:
    plain = replace(spec, extras=())
    with pytest.raises(LeaseLost):
        animate(plain, workspace=Workspace.take(spec.output, "0123", 1), may_publish=lambda: False)
    workspace = Workspace.take(spec.output, "0123", 2)
    more = replace(spec, measure=True, keep_result=True)
    assert animate(more, workspace=workspace).resumed == FRAMES
    workspace.remove()


def test_a_place_that_is_taken_by_a_folder_is_told_before_the_work(spec: JobSpec) -> None:
    extra_files(spec.output, ["flows"])["flows"].mkdir()
    seen: list[Progress] = []
    with pytest.raises(AnimatorError) as caught:
        animate(spec, report=seen.append)
    assert (caught.value.code, seen) == ("output_exists_as_folder", [])


def test_a_video_that_cannot_follow_takes_them_along(spec: JobSpec) -> None:
    workspace = Workspace.take(spec.output, "0123", 1)
    (workspace.path / "extra").write_bytes(b"1")
    beside = workspace.output.with_name("out.frames.tar")
    with pytest.raises(AnimatorError):
        workspace.publish("no such video", {"extra": beside})
    assert not beside.exists()
    workspace.remove()


def test_a_full_disk_has_a_code_and_leaves_nothing(spec: JobSpec, tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", 400) as folder:
        with pytest.raises(AnimatorError) as caught:
            animate(replace(spec, output=str(folder / "out.mp4"), extras=("structures", "frames")))
        assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
        assert os.listdir(folder) == []
