"""Planned motion under the options of strength, head, expression, regions and blinking."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animator.animation.faces.following import Source
from animator.animation.faces.plan import PlannedMotion, face_size, plan_motion, view_of
from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.faces.blinks import blink_seed, closures
from animator.faces.crop import Square, crop_square, resize, whole_square
from animator.faces.measures import sharpness
from animator.faces.motion import choose_anchor, keep_inside, openings, retarget, smooth
from animator.media.decode import VideoReader
from animator.media.stills import write_picture
from animator.spec import JobSpec
from gfla import checkpoint
from gfla.arrays import Picture
from tests.animator.plans import planned
from tests.helpers import COMPACT, NARROW, small_generator


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
    still = replace(spec, output=str(output), weights="default", size=256, strength=0.0, end="0.5")
    animate(still)
    source = crop_square(plan.source.picture, plan.source.square, 256).astype(np.float64)
    with VideoReader(output) as reader:
        frames = np.concatenate([batch.pixels for batch in reader]).astype(np.float64)
    error = ((frames - source) ** 2).mean((1, 2, 3))
    assert 10 * np.log10(255**2 / error.max()) > 36


# Sizes and framing


def portrait(plan: JobPlan, own: int, width: int = 3800, height: int = 3000) -> Source:
    """A large portrait whose face has a square of so many pixels; it shows nothing."""
    nothing = np.broadcast_to(np.uint8(0), (height, width, 3))
    return Source(nothing, plan.source.points, Square(1900.0, 1400.0, own), 1)


@pytest.mark.parametrize(("own", "size"), [(100, 256), (300, 512), (561, 512), (2000, 512)])
def test_a_face_is_rendered_as_large_as_it_is(
    own: int, size: int, spec: JobSpec, plan: JobPlan
) -> None:
    source = portrait(plan, own)
    for mode in ("crop", "paste-back", "side-by-side"):
        for margin in (1.75, 2.4):
            auto = replace(spec, size="auto", margin=margin, output_mode=mode)
            assert face_size(auto, source, plan.generator) == size
            given = replace(spec, size=512, margin=margin, output_mode=mode)
            assert face_size(given, source, plan.generator) == 512
    # What is shown holds the square on whole pixels, with as much around it as asked for.
    auto = replace(spec, size="auto", margin=2.4)
    view = view_of(auto, replace(plan, faces=(replace(plan.face, source=source),), size=size))
    left, top, side = whole_square(view.place(source.square))
    assert side == size and view.size == (702, 702) if size == 512 else (352, 352)
    assert 0 < left < top and left + side < view.size[0] and top + side < view.size[0]


def test_a_face_of_a_picture_that_is_scaled_down_is_smaller(spec: JobSpec, plan: JobPlan) -> None:
    """As it is in the result: of 7600 pixels, 3840 are shown."""
    source, auto = portrait(plan, 500, 7600), replace(spec, size="auto", margin=2.4)
    assert face_size(auto, source, plan.generator) == 512
    assert face_size(replace(auto, output_mode="paste-back"), source, plan.generator) == 256


def test_networks_of_one_size_are_asked_for_no_more(
    spec: JobSpec, plan: JobPlan, tmp_path: Path
) -> None:
    path = tmp_path / "published.safetensors"
    checkpoint.save(path, small_generator(NARROW), {"structure_size": 64})
    generator = PortraitGenerator(path, plan.generator.device, "float32")
    auto = replace(spec, size="auto", margin=2.4)
    assert face_size(auto, portrait(plan, 900), generator) == 256


def test_around_the_moving_square_is_the_source(spec: JobSpec, tmp_path: Path) -> None:
    for mode in ("crop", "side-by-side"):
        wide = replace(
            spec, output=str(tmp_path / f"{mode}.mp4"), size="auto", margin=2.4, end="0.08", crf=4,
            output_mode=mode, motion="absolute", strength=2.0,
        )  # fmt: skip
        animate(wide)
        plan = planned(wide)
        view = view_of(wide, plan)
        with VideoReader(wide.output) as reader:
            frame = next(iter(reader)).pixels[-1][:, -view.size[0] :]
        left, top, side = whole_square(view.place(plan.source.square))
        off = np.abs(frame.astype(int) - view.picture(plan.source.picture))
        inside = off[top : top + side, left : left + side].mean()
        rim = np.ones(frame.shape[:2], bool)
        rim[8:-8, 8:-8] = False
        assert off[rim].mean() < 3 < inside / 2


def test_a_record_of_before_there_were_margins_shows_what_it_did(spec: JobSpec) -> None:
    values = spec.as_dict()
    del values["margin"]
    record = JobSpec.from_json(json.dumps(values | {"size": 200, "end": "0.05"}))
    old = planned(record)
    view = view_of(record, old)
    assert (old.size, view.size) == (200, (200, 200))
    own = crop_square(old.source.picture, old.source.square, 200)
    assert np.array_equal(view.picture(old.source.picture), own)
    assert old.start().source.image.shape[-1] == old.generator.inner_size(200) == 256


@pytest.mark.slow
def test_a_sharp_face_stays_sharp(spec: JobSpec, plan: JobPlan, tmp_path: Path) -> None:
    """A face of 561 pixels with fine grain, before there was an auto, and now."""
    around = Square(plan.source.square.cx, plan.source.square.cy, 230)
    scale = 561 / whole_square(plan.source.square)[2]
    side = round(230 * scale)
    large = resize(crop_square(plan.source.picture, around, 230), side, side).astype(int)
    grain = np.random.default_rng(0).normal(0, 14, (side, side, 1))
    picture = tmp_path / "large.png"
    sharp = np.clip(large + grain, 0, 255).round().astype(np.uint8)
    write_picture(picture, sharp, "")

    def rendered(**framing: Any) -> float:
        output = tmp_path / "out.mp4"
        job = replace(spec, source=str(picture), output=str(output), weights="default", end="0.02")
        job = replace(job, crf=8, **framing)
        animate(job)
        planned_job = planned(job)
        with VideoReader(output) as reader:
            frame = next(iter(reader)).pixels[0]
        left, top, length = whole_square(view_of(job, planned_job).place(planned_job.source.square))
        return sharpness_of(frame[top : top + length, left : left + length])

    def sharpness_of(face: Picture) -> float:
        """Of the middle of a face, at the resolution of the source."""
        middle = resize(face, 561, 561)[152:408, 152:408]
        return sharpness(middle, np.array([[0.0, 0.0], [1.0, 1.0]]))

    before, now = rendered(size=256, margin=1.75), rendered(size="auto", margin=2.4)
    assert now > 2.5 * before
