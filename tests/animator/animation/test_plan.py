"""Planned motion under the options of strength, head, expression, regions and blinking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan, PlannedMotion, plan_motion
from animator.faces.blinks import blink_seed, closures
from animator.faces.crop import crop_square
from animator.faces.motion import choose_anchor, keep_inside, openings, retarget, smooth
from animator.media.decode import VideoReader
from animator.spec import JobSpec
from gfla import checkpoint
from tests.animator.plans import planned
from tests.helpers import COMPACT, small_generator


@pytest.fixture(scope="module")
def spec(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    folder = tmp_path_factory.mktemp("controls")
    weights = folder / "small.safetensors"
    checkpoint.save(weights, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return JobSpec(
        str(samples[0]), str(samples[1]), str(folder / "out.mp4"), end="1.4", size=128, margin=1.75,
        weights=str(weights), detector="dlib", device="cpu", anchor="first",
    )  # fmt: skip


@pytest.fixture(scope="module")
def plan(spec: JobSpec) -> JobPlan:
    return planned(spec)


@pytest.fixture
def motion(spec: JobSpec, plan: JobPlan):
    def make(**options: Any) -> PlannedMotion:
        seed = blink_seed(plan.hashes["source"], plan.driving.landmarks.points)
        return plan_motion(replace(spec, **options), plan.source, plan.driving, seed)

    return make


def test_the_usual_motion_is_bit_for_bit_what_it_was(spec: JobSpec, plan: JobPlan, motion) -> None:
    driving, source = plan.driving, plan.source
    points = smooth(driving.landmarks.points, driving.seconds, spec.smoothing)
    anchor = points[choose_anchor(source.points, points, spec.anchor)]
    moved = retarget(source.points, points, anchor, spec.motion)
    before = source.crop_units(keep_inside(moved, source.square))
    assert np.array_equal(plan.targets, before)
    for options in ({"blink": "auto"}, {"regions": "jaw,mouth,eyes,brows,head"},
                    {"strength": 2.0, "head": 0.5, "expression": 0.5}):  # fmt: skip
        assert np.array_equal(motion(**options).targets, before)


@pytest.mark.parametrize("how", ["relative", "absolute"])
def test_without_strength_nothing_moves(how: str, plan: JobPlan, motion) -> None:
    still = plan.source.crop_units(plan.source.points)
    for options in ({"strength": 0.0}, {"head": 0.0, "regions": "head"}):
        assert np.abs(motion(motion=how, **options).targets - still).max() < 1e-5
    assert np.abs(motion(motion=how, strength=0.5).targets - still).max() > 0.01


def test_lips_alone_do_not_stare(plan: JobPlan, motion) -> None:
    alone = motion(regions="mouth,jaw").targets
    blinking = motion(regions="mouth,jaw", blink="auto").targets
    lids = [37, 38, 40, 41, 43, 44, 46, 47]
    rest = np.setdiff1d(np.arange(68), lids)
    assert np.array_equal(alone[:, rest], blinking[:, rest])
    # The lids are still but for the blinks, which come when the seed says.
    assert np.ptp(openings(alone)[:, 0]) < 1e-5
    closed = closures(
        plan.driving.seconds, blink_seed(plan.hashes["source"], plan.driving.landmarks.points)
    )
    gaps = openings(blinking)[:, 0] / openings(alone)[:, 0]
    assert np.corrcoef(gaps, 1 - closed)[0, 1] > 0.99 if closed.any() else np.allclose(gaps, 1)
    assert np.array_equal(blinking, motion(regions="mouth,jaw", blink="auto").targets)


def test_blinks_come_to_faces_that_get_no_motion_at_all(plan: JobPlan) -> None:
    long = replace(plan.driving, pts=[number * 30030 for number in range(len(plan.driving.pts))])
    spec = JobSpec("/a", "/b", "/c", strength=0.0, blink="auto")
    targets = plan_motion(spec, plan.source, long, 1).targets
    assert openings(targets)[:, 0].min() < 0.8 * openings(targets)[:, 0].max()


def test_turns_out_of_range_are_counted_and_said(spec: JobSpec, motion) -> None:
    assert motion().beyond == 0
    far = motion(strength=2.0, head=1.5)
    assert 0 < far.beyond < len(far.targets)
    said = " ".join(animate(replace(spec, strength=2.0, head=1.5)).warnings)
    assert f"In {far.beyond} frames the head would turn by more than 30 degrees; there it" in said


@pytest.mark.slow
def test_without_strength_the_result_is_the_source_to_within_coding(
    spec: JobSpec, plan: JobPlan, tmp_path: Path
) -> None:
    output = tmp_path / "still.mp4"
    animate(replace(spec, output=str(output), weights="default", size=256, strength=0.0, end="0.5"))
    source = crop_square(plan.source.picture, plan.source.square, 256).astype(np.float64)
    with VideoReader(output) as reader:
        frames = np.concatenate([batch.pixels for batch in reader]).astype(np.float64)
    error = ((frames - source) ** 2).mean((1, 2, 3))
    assert 10 * np.log10(255**2 / error.max()) > 36
