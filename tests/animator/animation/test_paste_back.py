"""The sample portrait with its face put back, by the default weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from animator import watch
from animator.animation.composing.compose import Composer, GeneratedFace
from animator.animation.composing.reach import FaceMotion
from animator.animation.composing.view import WholeView
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.errors import JobCancelled
from animator.faces.crop import whole_square
from animator.faces.measures import sharpness
from animator.media.decode import VideoReader
from animator.record import Progress
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from tests.animator.plans import planned

pytestmark = pytest.mark.slow

Image = NDArray[np.uint8]
FRAMES, SEGMENT = 12, 4


@pytest.fixture(scope="module", autouse=True)
def short_segments() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIMATOR_SEGMENT_FRAMES", str(SEGMENT))
        patch.setattr(watch, "REPORT_SECONDS", 0)
        yield


@pytest.fixture(scope="module")
def spec(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    folder = tmp_path_factory.mktemp("paste-back")
    return JobSpec(
        str(samples[0]), str(samples[1]), str(folder / "out.mp4"), end="0.4", size=256,
        anchor="first", output_mode="paste-back", detector="dlib", device="cpu", crf=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plan(spec: JobSpec) -> JobPlan:
    """Of the moment at which the driving head goes furthest."""
    return planned(replace(spec, start="1.0", end="1.4"))


@pytest.fixture(scope="module")
def faces(plan: JobPlan) -> list[GeneratedFace]:
    state, found = plan.start(), []
    own = plan.source.crop_units(plan.source.points)
    for points in plan.targets:
        state, picture = plan.generator.step(state, points)
        motion = FaceMotion(plan.generator.flow(state), own, points)
        found.append(GeneratedFace(picture, plan.source.square, motion))
    return found


def composed(plan: JobPlan, faces: list[GeneratedFace]) -> list[Image]:
    height, width = plan.source.picture.shape[:2]
    composer = Composer(WholeView(width, height))
    return [composer.compose(plan.source.picture, [face]) for face in faces]


def test_no_border_is_seen_and_what_is_around_stays(
    plan: JobPlan, faces: list[GeneratedFace]
) -> None:
    left, top, side = whole_square(plan.source.square)
    own = plan.source.picture
    grey = [
        cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32)
        for one in (own, *composed(plan, faces))
    ]
    steps = [
        np.concatenate(
            [
                np.abs(one[top : top + side, x] - one[top : top + side, x - 1])
                for x in (left, left + side)
            ]
            + [
                np.abs(one[y, left : left + side] - one[y - 1, left : left + side])
                for y in (top, top + side)
            ]
        ).mean()
        for one in grey
    ]
    assert np.mean(steps[1:]) <= 1.1 * steps[0] + 0.1
    # Beside the ears and beyond, from frame to frame.
    width = side // 8
    around = [np.abs(b - a) for a, b in zip(grey[1:], grey[2:], strict=False)]
    for columns in (slice(left, left + width), slice(left + side - width, left + side)):
        assert np.mean([one[top : top + side, columns].mean() for one in around]) <= 0.5


def test_a_face_is_as_sharp_as_its_portrait(plan: JobPlan, faces: list[GeneratedFace]) -> None:
    """Where it is larger than the networks' picture, which alone is much softer."""
    left, top, side = whole_square(plan.source.square)
    own = plan.source.picture[top : top + side, left : left + side]
    was = sharpness(own, plan.source.crop_units(plan.source.points))
    found = []
    for kept in (True, False):
        shown = faces if kept else [face._replace(motion=None) for face in faces]
        crops = [one[top : top + side, left : left + side] for one in composed(plan, shown)]
        values = [sharpness(*pair) for pair in zip(crops, plan.targets, strict=True)]
        found.append(float(np.mean(values)) / was)
    assert found[0] > 0.7
    assert found[0] > found[1] + 0.05


def test_a_mouth_alone_moves_nothing_else(spec: JobSpec, samples: tuple[Path, Path]) -> None:
    plan = planned(replace(spec, start="1.0", end="1.1", regions="mouth"))
    state, frames = plan.start(), []
    own = plan.source.crop_units(plan.source.points)
    for points in plan.targets:
        state, picture = plan.generator.step(state, points)
        motion = FaceMotion(plan.generator.flow(state), own, points)
        frames.append(GeneratedFace(picture, plan.source.square, motion))
    left, top, side = whole_square(plan.source.square)
    eyes = int(top + own[36:48, 1].max() * side)
    source = plan.source.picture
    for frame in composed(plan, frames):
        height, width = frame.shape[:2]
        np.testing.assert_array_equal(frame[:eyes], source[:eyes, :width])


def test_frames_after_a_break_are_those_of_an_undisturbed_run(
    spec: JobSpec, tmp_path: Path
) -> None:
    whole = replace(spec, output=str(tmp_path / "whole.mp4"))
    animate(whole)
    broken = replace(spec, output=str(tmp_path / "broken.mp4"))
    seen: list[Progress] = []
    with pytest.raises(JobCancelled):
        animate(
            broken,
            report=seen.append,
            should_stop=lambda: seen[-1].stage == "generate" and seen[-1].frame > SEGMENT,
            workspace=Workspace.take(broken.output, "0123abcd", 1),
        )
    result = animate(broken, workspace=Workspace.take(broken.output, "0123abcd", 2))
    assert SEGMENT <= result.resumed < FRAMES
    pictures = [
        np.concatenate([batch.pixels for batch in reader])
        for path in (whole.output, broken.output)
        for reader in [VideoReader(path)]
    ]
    assert len(pictures[0]) == FRAMES
    np.testing.assert_array_equal(*pictures)
