"""Pictures with several faces: each moves as its own driving file says, in one job."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from animator import watch
from animator.animation.faces import roles
from animator.animation.faces.plan import make_plan
from animator.animation.faces.together import along
from animator.animation.inputs import open_inputs
from animator.animation.marking import mark_of
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.animation.rerender import compare_again, spec_of
from animator.animation.resampling import duration, moments_of
from animator.errors import AnimatorError
from animator.media.decode import VideoReader
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla import checkpoint
from tests.animator.animation.test_resume import check_equal, decoded, die, finish, sound
from tests.animator.media_files import noise, video_times, write_video
from tests.helpers import COMPACT, small_generator

pytestmark = pytest.mark.slow

SEGMENT = 3
LONG, SHORT = 8, 4
"""Frames of the two driving videos, of 0.4 s and 0.16 s."""


@pytest.fixture(scope="module", autouse=True)
def short_segments() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIMATOR_SEGMENT_FRAMES", str(SEGMENT))
        patch.setattr(watch, "REPORT_SECONDS", 0)
        yield


@pytest.fixture(scope="module")
def folder(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture with a large face on the left and a small one, two videos, and weights."""
    folder = tmp_path_factory.mktemp("several")
    large = cv2.imread(str(samples[0]))[:300]
    small = cv2.resize(cv2.flip(large, 1), None, fx=0.7, fy=0.7)
    two = np.full((300, large.shape[1] + small.shape[1], 3), 90, np.uint8)
    two[:, : large.shape[1]] = large
    two[-small.shape[0] :, large.shape[1] :] = small
    cv2.imwrite(str(folder / "two.png"), two)
    with VideoReader(samples[1]) as reader:
        pictures = [
            cv2.resize(picture, (256, 256))
            for batch in itertools.islice(reader, 6)
            for picture in batch.pixels
        ]
    write_video(
        folder / "long.mp4", [n * 50 for n in range(LONG)], Fraction(1, 1000),
        pictures=pictures[16 : 16 + LONG], size=(256, 256), sound=noise(0.4, 48000),
    )  # fmt: skip
    write_video(
        folder / "short.mp4", [n * 40 for n in range(SHORT)], Fraction(1, 1000),
        pictures=pictures[36 : 36 + SHORT], size=(256, 256), sound=noise(0.16, 44100),
    )  # fmt: skip
    weights = folder / "small.safetensors"
    checkpoint.save(weights, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return folder


@pytest.fixture
def spec(folder: Path, tmp_path: Path) -> JobSpec:
    (tmp_path / "results").mkdir()
    short, long = str(folder / "short.mp4"), str(folder / "long.mp4")
    return JobSpec(
        str(folder / "two.png"), short, str(tmp_path / "results" / "out.mp4"),
        face=f"1={short};2={long}", size=128, detector="dlib", device="cpu",
        weights=str(folder / "small.safetensors"),
    )  # fmt: skip


def planned(spec: JobSpec) -> JobPlan:
    settings = Settings.from_environment()
    nobody = Watch(lambda progress: None, lambda: False)
    return make_plan(spec, open_inputs(spec, settings), settings, nobody)


@pytest.mark.parametrize("ending", ["hold", "loop", "stop"])
def test_each_face_follows_its_own_video_by_time(ending: str, spec: JobSpec) -> None:
    plan = planned(replace(spec, ending=ending))
    small, large = plan.faces  # the nearest last
    assert (small.number, small.driven_by) == (2, "driving 2")
    assert (large.number, large.driven_by) == (1, "driving")
    assert small.source.square.side < large.source.square.side
    # The longest gives the time; where the first is to end it, no frame begins after that.
    assert plan.face is small
    assert moments_of(plan.time) == [Fraction(n, 20) for n in range(4 if ending == "stop" else 8)]
    # Each does what it would do alone, at these moments.
    for face, file in ((small, "driving 2"), (large, "driving")):
        motion = replace(spec, face=f"{face.number}={spec.drivings[file]}",
                         driving=spec.drivings[file])  # fmt: skip
        alone = planned(motion)
        targets, kept = along(alone.targets, alone.kept, alone.time, moments_of(plan.time), ending)
        assert np.array_equal(face.targets, targets) and np.array_equal(face.kept, kept)
    shown = large.kept.tolist()
    ends = {
        "hold": [0, 1, 2, 3, 3, 3, 3, 3],
        "loop": [0, 1, 2, 3, 1, 2, 3, 0],
        "stop": [0, 1, 2, 3],
    }
    assert shown == ends[ending]
    assert small.kept.tolist() == list(range(len(shown)))


def test_at_a_rate_of_its_own_all_faces_have_it(spec: JobSpec) -> None:
    plan = planned(replace(spec, fps="60"))
    assert plan.rate == 60 and len(plan.pts) == 24 and duration(plan.time) == Fraction(2, 5)
    assert {len(face.targets) for face in plan.faces} == {24}


def test_a_result_shows_the_whole_picture_with_both_faces_moving(
    spec: JobSpec, folder: Path
) -> None:
    result = animate(spec)
    assert result.frames == LONG
    assert video_times(Path(spec.output)) == video_times(folder / "long.mp4")
    assert sound(spec.output)
    assert result.hashes.keys() == {"source", "driving", "driving 2", "weights"}
    # The whole picture, in which both squares change and nothing else does.
    frames = np.stack(decoded(spec.output)).astype(np.int16)
    picture = cv2.imread(str(folder / "two.png"))
    assert frames.shape[1:3] == (picture.shape[0], picture.shape[1] // 2 * 2)
    change = np.abs(frames - frames[0]).max(0).max(-1)
    plan = planned(spec)
    inside = np.zeros(change.shape, bool)
    for face in plan.faces:
        cx, cy, side = face.source.square
        area = (slice(max(int(cy - side / 2), 0), int(cy + side / 2) + 1),
                slice(max(int(cx - side / 2), 0), int(cx + side / 2) + 1))  # fmt: skip
        assert change[area].max() > 30
        inside[area] = True
    assert change[~inside].mean() < 4  # what coding leaves


def test_all_faces_move_with_the_driving_video(spec: JobSpec) -> None:
    plan = planned(replace(spec, face="all"))
    assert [face.driven_by for face in plan.faces] == ["driving", "driving"]
    assert all(face.driving is plan.driving for face in plan.faces)
    result = animate(replace(spec, face=f"all;2={spec.drivings['driving 2']}"))
    assert result.frames == LONG
    told = "The picture shows 2 faces; from the left, those that move: 1, 2."
    assert result.warnings[0] == told
    assert not any("was used" in warning for warning in result.warnings)


def test_faces_that_are_not_named_stay(spec: JobSpec) -> None:
    small = spec.drivings["driving 2"]
    plan = planned(replace(spec, face=f"2={small}", driving=small))
    assert [(face.number, face.driven_by) for face in plan.faces] == [(2, "driving")]


@pytest.mark.parametrize(
    ("face", "code", "says"),
    [("3=LONG", "face_not_found", "the picture shows 2 faces"),
     ("all;1=LONG;2=LONG", "invalid_option", "would move none")],
)  # fmt: skip
def test_faces_that_are_not_there(
    face: str, code: str, says: str, spec: JobSpec, folder: Path
) -> None:
    long = str(folder / "long.mp4")
    wrong = replace(spec, face=face.replace("LONG", long), driving=long)
    with pytest.raises(AnimatorError, match=says) as caught:
        animate(wrong)
    assert caught.value.code == code
    assert not Path(spec.output).exists()


def test_a_killed_job_goes_on_to_the_same_frames(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(spec, ending="loop")
    expected = replace(spec, output=str(tmp_path / "expected" / "out.mp4"))
    Path(expected.output).parent.mkdir()
    animate(expected)
    die(spec, 1, "generate", "4")  # in the second of three segments
    monkeypatch.setattr(roles, "find_faces", None)  # the plan is there
    result = finish(spec, 2)
    assert (result.frames, result.resumed) == (LONG, SEGMENT)
    check_equal(spec, expected)


def test_a_result_is_rendered_again_from_what_its_marks_say(spec: JobSpec, folder: Path) -> None:
    animate(spec)
    mark = mark_of(spec, planned(spec))
    assert mark.settings["face"] == "1=driving;2=driving 2"
    assert str(folder) not in json.dumps(dict(mark.settings))
    settings = dict(mark.settings) | {"detector": "dlib"}
    given = {"weights": spec.weights, "device": "cpu"}
    files = (spec.source, spec.driving, spec.output)
    with pytest.raises(AnimatorError, match="driving 2"):
        spec_of(settings, *files, **given)
    again = spec_of(settings, *files, {"driving 2": spec.drivings["driving 2"]}, **given)
    assert again.face == spec.face
    compared = compare_again(again, 3, settings=Settings.from_environment())
    assert compared.outcome == "equal" and compared.frames == 3
