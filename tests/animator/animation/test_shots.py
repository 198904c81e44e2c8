"""Driving videos with cuts: every shot moves the portrait from its own place, and says so."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from animator.animation.faces.plan import plan_motion
from animator.animation.landmark_cache import FOLDER
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.checks.job import check_job
from animator.files.arrays import from_text, pack, to_text, unpack
from animator.media.decode import VideoReader
from animator.settings import Settings
from animator.spec import JobSpec
from gfla import checkpoint
from tests.animator.media_files import write_video
from tests.animator.plans import planned
from tests.helpers import COMPACT, small_generator

SIDE, SHOT = 320, 25
CUT = SHOT


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return str(path)


@pytest.fixture(scope="module")
def shots(samples: tuple[Path, Path]) -> list[npt.NDArray[np.uint8]]:
    """The sample clip, and then the same from nearer and from the side, over another wall."""
    with VideoReader(samples[1]) as reader:
        pictures = [picture for batch in reader for picture in batch.pixels][: 2 * SHOT]
    wide = [cv2.resize(picture, (SIDE, SIDE)) for picture in pictures[:SHOT]]
    near = []
    for picture in pictures[SHOT:]:
        small = cv2.resize(picture, (220, 220))
        room = np.full((SIDE, SIDE, 3), (200, 120, 60), np.uint8)
        room[90:310, 95:315] = small
        near.append(room)
    return [*map(np.asarray, wide), *near]


@pytest.fixture(scope="module")
def joined(shots: list[npt.NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("cut") / "cut.mp4", shots)


def write(path: Path, pictures: list[npt.NDArray[np.uint8]]) -> Path:
    times = range(len(pictures))
    return write_video(path, list(times), Fraction(1, 25), pictures=pictures, size=(SIDE, SIDE))


@pytest.fixture
def spec(samples: tuple[Path, Path], joined: Path, weights: str, tmp_path: Path) -> JobSpec:
    return JobSpec(
        str(samples[0]), str(joined), str(tmp_path / "out.mp4"), weights=weights, size=128,
        margin=1.75, detector="dlib", device="cpu",
    )  # fmt: skip


def steps(plan: JobPlan) -> npt.NDArray[np.floating]:
    """How far the face's middle moves from each frame to the next, in units of the crop."""
    return np.linalg.norm(np.diff(plan.targets.mean(1), axis=0), axis=-1)


def test_the_face_stays_in_its_place_over_a_cut(spec: JobSpec) -> None:
    plan = planned(spec)
    assert plan.driving.cuts == (CUT,)
    middles = plan.targets.mean(1)
    # No further than faces go within a shot; as one shot it would leap by a third of the crop.
    within = max(np.ptp(middles[:CUT], axis=0).max(), np.ptp(middles[CUT:], axis=0).max())
    assert steps(plan)[CUT - 1] <= within + 0.01
    sizes = np.ptp(plan.targets[..., 0], axis=1)
    assert abs(np.log(sizes[CUT:].mean() / sizes[:CUT].mean())) < 0.05
    blind = replace(plan.driving, cuts=())
    leap = np.diff(plan_motion(spec, plan.source, blind)[0].mean(1), axis=0)[CUT - 2 : CUT + 1]
    assert np.abs(leap).max() > 3 * steps(plan)[CUT - 1]


def test_each_shot_is_as_it_is_alone(
    spec: JobSpec, shots: list[npt.NDArray[np.uint8]], tmp_path: Path
) -> None:
    """Neither smoothing nor gaps reach over the cut, and the tracker begins anew."""
    whole = planned(spec)
    for span in (slice(CUT), slice(CUT, None)):
        driving = replace(
            whole.driving,
            landmarks=whole.driving.landmarks.part(span), pts=whole.driving.pts[span], cuts=(),
        )  # fmt: skip
        alone, *_ = plan_motion(spec, whole.source, driving)
        assert np.array_equal(alone, whole.targets[span])


def test_gaps_are_not_filled_from_the_next_shot(spec: JobSpec) -> None:
    driving = planned(spec).driving
    points = driving.landmarks.points.copy()
    boxes, confidence = driving.landmarks.boxes.copy(), driving.landmarks.confidence.copy()
    gap = slice(CUT - 5, CUT)
    points[gap], boxes[gap], confidence[gap] = np.nan, np.nan, 0
    lost = replace(driving, landmarks=type(driving.landmarks)(points, boxes, confidence))
    moving = replace(spec, missing_face="interpolate", smoothing=0.0)
    targets, kept, missing, _ = plan_motion(moving, planned(spec).source, lost)
    assert missing == ((CUT - 5, CUT - 1),) and len(kept) == len(targets) == 2 * SHOT
    assert np.allclose(targets[gap], targets[CUT - 6])
    skipped, kept, missing, _ = plan_motion(
        replace(moving, missing_face="skip"), planned(spec).source, lost
    )
    assert missing == ((CUT - 5, CUT - 1),) and len(skipped) == 2 * SHOT - 5
    assert kept.tolist() == [*range(CUT - 5), *range(CUT, 2 * SHOT)]


def test_the_result_and_the_check_tell_of_cuts(spec: JobSpec) -> None:
    said = animate(replace(spec, start="0.8", end="1.2")).warnings
    assert said == (
        "The driving video has 1 cut, at 0.2 s; each shot is animated by itself, from a pose of "
        "its own.",
    )
    findings = {
        finding.code: finding for finding in check_job(spec, Settings.from_environment()).findings
    }
    assert "has at least 1 cut, before 1." in findings["face_jumps"].message


def test_landmarks_that_an_older_version_kept(spec: JobSpec, state_dir: Path) -> None:
    """Its entries do not say where shots begin; that alone is found, and kept then."""
    fresh = planned(spec)
    folder = Settings.from_environment().cache_dir / FOLDER
    for path in folder.rglob("*.npz"):
        arrays = unpack(path.read_bytes())
        if "driving" in arrays:
            numbers = json.loads(to_text(arrays["driving"]))
            del numbers["cuts"]
            path.write_bytes(pack({**arrays, "driving": from_text(json.dumps(numbers))}))
    again = planned(spec)
    assert "driving" in again.cached and again.driving.cuts == (CUT,)
    assert np.array_equal(again.targets, fresh.targets)
    assert planned(replace(spec, driving_face=None)).driving.cuts == (CUT,)
