"""Measures of results: good ones, and such that are worse in a way that a measure must show."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from animator.animation.composing.compose import Composer, GeneratedFace
from animator.animation.composing.view import SquareView, WholeView
from animator.animation.faces.quality import DECIMALS, measure
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.animation.result_time import result_time
from animator.errors import JobCancelled
from animator.faces import identity
from animator.faces.crop import Square, crop_square
from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.options import OutputMode
from animator.record import Progress
from animator.spec import JobSpec
from tests.animator.plans import planned

pytestmark = pytest.mark.slow

Pictures = list[np.ndarray[Any, Any]]
SIZE, FRAMES = 256, 30
MEASURES = {
    "face_coverage", "landmark_error", "jitter", "sharpness", "identity",
    "mouth_opening", "eyes_opening",
}  # fmt: skip


@pytest.fixture(scope="module")
def spec(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    """The sample driving video as its own portrait: the ideal result is that video itself."""
    folder = tmp_path_factory.mktemp("quality")
    with VideoReader(samples[1]) as reader:
        first = next(iter(reader)).pixels[0]
    cv2.imwrite(str(folder / "source.png"), first[..., ::-1])
    return JobSpec(
        str(folder / "source.png"), str(samples[1]), str(folder / "out.mp4"), end="1",
        size=SIZE, margin=1.75, detector="dlib", device="cpu", motion="absolute", anchor="first",
        smoothing=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plan(spec: JobSpec) -> JobPlan:
    return planned(spec)


@pytest.fixture(scope="module")
def ideal(spec: JobSpec, plan: JobPlan) -> Pictures:
    """The driving video's pictures in the portrait's square."""
    with VideoReader(spec.driving, end=Fraction(1)) as reader:
        pictures = [picture for batch in reader for picture in batch.pixels]
    assert len(pictures) == len(plan.targets) == FRAMES
    return [crop_square(picture, plan.source.square, SIZE) for picture in pictures]


def measured(
    pictures: Pictures, spec: JobSpec, plan: JobPlan, folder: Path, place: Square | None = None
) -> dict[str, float]:
    """The measures of a video of these pictures at the job's times."""
    path, driving = folder / "video.mp4", plan.driving
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width=width, height=height, time_base=driving.time_base) as writer:
        for picture, index in zip(pictures, plan.kept, strict=True):
            writer.write(picture, driving.pts[index])
    whole = Square(SIZE / 2, SIZE / 2, SIZE)
    return measure(path, spec, plan, lambda number: place or whole, lambda: None)


@pytest.fixture(scope="module")
def best(
    ideal: Pictures, spec: JobSpec, plan: JobPlan, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    return measured(ideal, spec, plan, tmp_path_factory.mktemp("best"))


def test_the_ideal_result_measures_well(best: dict[str, float]) -> None:
    assert set(best) == MEASURES
    assert best["face_coverage"] == 1
    assert best["landmark_error"] < 1 and best["jitter"] < 0.7
    assert best["identity"] > 0.7 and best["sharpness"] > 20
    assert best["mouth_opening"] < 1 and best["eyes_opening"] < 3
    assert all(value == round(value, DECIMALS) for value in best.values())


def blurred(pictures: Pictures) -> Pictures:
    return [cv2.GaussianBlur(picture, (0, 0), 3) for picture in pictures]


def shifted(pictures: Pictures) -> Pictures:
    return [np.roll(picture, (6, 6), (0, 1)) for picture in pictures]


def shaking(pictures: Pictures) -> Pictures:
    return [np.roll(picture, 3 * (n % 2), 0) for n, picture in enumerate(pictures)]


def frozen(pictures: Pictures) -> Pictures:
    return [pictures[0]] * len(pictures)


def squeezed(pictures: Pictures) -> Pictures:
    """Another person's face, as far as its proportions go."""
    out = []
    for picture in pictures:
        small = cv2.resize(picture, (SIZE * 3 // 4, SIZE))
        out.append(cv2.copyMakeBorder(small, 0, 0, SIZE // 8, SIZE // 8, cv2.BORDER_REPLICATE))
    return out


WORSE: dict[str, tuple[Callable[[Pictures], Pictures], str, float]] = {
    "blur": (blurred, "sharpness", 0.3),
    "shift": (shifted, "landmark_error", 5),
    "shake": (shaking, "jitter", 4),
    "still": (frozen, "landmark_error", 3),
    "a still mouth": (frozen, "mouth_opening", 2),
    "another face": (squeezed, "identity", 0.9),
}


@pytest.mark.parametrize("how", WORSE)
def test_what_is_worse_measures_worse(
    how: str, ideal: Pictures, best: dict[str, float], spec: JobSpec, plan: JobPlan, tmp_path: Path
) -> None:
    harm, name, factor = WORSE[how]
    found = measured(harm(ideal), spec, plan, tmp_path)[name]
    assert found > factor * best[name] if factor > 1 else found < factor * best[name]


def test_a_shift_alone_is_no_jitter(
    ideal: Pictures, best: dict[str, float], spec: JobSpec, plan: JobPlan, tmp_path: Path
) -> None:
    found = measured(shifted(ideal), spec, plan, tmp_path)
    assert found["jitter"] < 2 * best["jitter"]
    assert found["identity"] == pytest.approx(best["identity"], abs=0.1)


def test_without_a_face_there_is_nothing_to_measure(
    ideal: Pictures, spec: JobSpec, plan: JobPlan, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    noise = [random.integers(0, 255, picture.shape, np.uint8) for picture in ideal]
    assert measured(noise, spec, plan, tmp_path) == {"face_coverage": 0}
    partly = [*ideal[:20], *noise[20:]]
    found = measured(partly, spec, plan, tmp_path)
    assert found["face_coverage"] == pytest.approx(2 / 3, abs=1e-4)
    assert set(found) == MEASURES


@pytest.mark.parametrize("mode", ["paste-back", "side-by-side"])
def test_the_face_is_looked_for_where_the_frame_shows_it(
    mode: OutputMode,
    ideal: Pictures,
    best: dict[str, float],
    spec: JobSpec,
    plan: JobPlan,
    tmp_path: Path,
) -> None:
    source = plan.source
    height, width = source.picture.shape[:2]
    whole, beside = WholeView(width, height), SquareView(source.square, SIZE)
    composer = Composer(whole) if mode == "paste-back" else Composer(beside, (300, 200))
    blank = np.zeros((200, 300, 3), np.uint8)
    faces = [[GeneratedFace(crop, source.square)] for crop in ideal]
    pictures = [composer.compose(source.picture, face, blank) for face in faces]
    found = measured(pictures, spec, plan, tmp_path, composer.place(source.square))
    assert found["face_coverage"] == 1
    assert found["landmark_error"] == pytest.approx(best["landmark_error"], abs=0.5)
    assert found["identity"] == pytest.approx(best["identity"], abs=0.1)


def test_without_the_model_of_identity_the_others_are_told(
    ideal: Pictures,
    best: dict[str, float],
    spec: JobSpec,
    plan: JobPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identity, "MODEL_FILE", "none.dat")
    found = measured(ideal, spec, plan, tmp_path)
    assert found == {name: value for name, value in best.items() if name != "identity"}


def test_a_damaged_video_fails_nothing(
    ideal: Pictures, spec: JobSpec, plan: JobPlan, tmp_path: Path
) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"no video")
    assert measure(path, spec, plan, lambda number: Square(0, 0, 1), lambda: None) == {}


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_short_videos_are_measured_as_far_as_they_go(
    frames: int, ideal: Pictures, spec: JobSpec, plan: JobPlan, tmp_path: Path
) -> None:
    found = measured(ideal[:frames], spec, plan.first(frames), tmp_path)
    assert set(found) == (MEASURES if frames >= 3 else MEASURES - {"jitter"})


# -- in a job ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["crop", "paste-back", "side-by-side"])
def test_a_job_that_asks_for_it_is_measured(
    mode: OutputMode, spec: JobSpec, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    job = replace(spec, output=str(tmp_path / "out.mp4"), end="0.2", output_mode=mode, measure=True)
    result = animate(job, report=seen.append)
    assert set(result.quality) == MEASURES
    assert result.quality["face_coverage"] == 1 and result.quality["landmark_error"] < 5
    assert seen[-1].stage == "measure" and "measure" in result.timings
    assert animate(replace(job, measure=False)).quality == {}


def test_measuring_can_be_cancelled(spec: JobSpec, tmp_path: Path) -> None:
    seen: list[Progress] = []
    job = replace(spec, output=str(tmp_path / "out.mp4"), end="0.1", measure=True)
    with pytest.raises(JobCancelled):
        animate(job, report=seen.append, should_stop=lambda: seen[-1].stage == "measure")
    assert list(tmp_path.iterdir()) == []


def test_the_cost_does_not_grow_with_the_video(
    ideal: Pictures, spec: JobSpec, plan: JobPlan, tmp_path: Path
) -> None:
    looked: list[int] = []
    long = list(itertools.islice(itertools.cycle([*ideal, *ideal[::-1]]), 400))
    order = list(itertools.islice(itertools.cycle([*range(30), *range(29, -1, -1)]), 400))
    driving = plan.driving
    pts = [1001 * number for number in range(400)]
    landmarks = type(driving.landmarks)(
        driving.landmarks.points[order],
        driving.landmarks.boxes[order],
        driving.landmarks.confidence[order],
    )
    face = replace(
        plan.face,
        driving=replace(driving, landmarks=landmarks, pts=pts),
        targets=plan.targets[order],
        kept=np.arange(400),
    )
    time = result_time(face.driving, face.kept)
    longer = replace(plan, faces=(face,), time=time)
    found = measured(long, spec, longer, tmp_path)
    assert found["landmark_error"] < 1 and found["jitter"] < 1.5  # the right frames are looked at
    whole = Square(128, 128, 256)
    measure(tmp_path / "video.mp4", spec, longer, lambda number: whole, lambda: looked.append(1))
    assert len(looked) <= 12
