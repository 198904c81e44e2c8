"""Jobs whose portrait is a video: real files, with a small untrained network."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from animator import watch
from animator.animation.faces.moving_render import beginning, generated
from animator.animation.faces.plan import make_plan
from animator.animation.inputs import open_inputs
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.animation.resampling import duration, moments_of
from animator.animation.result_time import result_time
from animator.errors import AnimatorError
from animator.faces.crop import Square
from animator.faces.moving_square import cut_square
from animator.media.decode import VideoReader
from animator.settings import Settings
from animator.spec import JobSpec
from gfla import checkpoint
from tests.animator.animation.test_resume import decoded, die, finish
from tests.animator.media_files import noise, shown_sound, video_times, write_video
from tests.helpers import COMPACT, small_generator

pytestmark = pytest.mark.slow

SIDE, SEGMENT = 256, 4
BASE = Fraction(1, 600)
CODED = 2.0
"""Grey levels by which pictures differ that were coded once more."""
CODING = {"crf": "4", "preset": "ultrafast"}


@pytest.fixture(scope="module", autouse=True)
def short_segments() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIMATOR_SEGMENT_FRAMES", str(SEGMENT))
        patch.setattr(watch, "REPORT_SECONDS", 0)
        yield


@pytest.fixture(scope="module", autouse=True)
def shared_landmarks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The few videos of this module are followed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIMATOR_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def own_landmarks() -> None:
    """In place of that which keeps tests apart: see above."""


@pytest.fixture(scope="module")
def faces(samples: tuple[Path, Path]) -> list[np.ndarray]:
    """The sample video's first pictures, small."""
    with VideoReader(samples[1]) as reader:
        pictures = [p for batch in itertools.islice(reader, 3) for p in batch.pixels]
    return [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in pictures]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def driving(faces: list[np.ndarray], folder: Path) -> Path:
    """Twelve frames in 0.4 s, with sound."""
    return write_video(
        folder / "driving.mp4", [20 * n for n in range(12)], BASE, pictures=faces[4:16],
        size=(SIDE, SIDE), sound=noise(0.4, 48000, 1), options=CODING,
    )  # fmt: skip


@pytest.fixture(scope="module")
def source(faces: list[np.ndarray], folder: Path) -> Path:
    """A face that drifts to the side, at uneven times; two pictures in the middle show none."""
    pictures = []
    for n in range(14):
        shift = np.array([[1, 0, 2.0 * n - 12], [0, 1, 0]])
        mirrored = np.ascontiguousarray(faces[n % 8][:, ::-1])
        pictures.append(cv2.warpAffine(mirrored, shift, (SIDE, SIDE), borderMode=1))
    for n in (6, 7):
        pictures[n] = np.full_like(pictures[n], 90)
        pictures[n][::16] = 40 + n
    pts = [20 * n + (6 if n % 3 == 1 else 0) for n in range(14)]
    return write_video(
        folder / "source.mp4", pts, BASE, pictures=pictures, size=(SIDE, SIDE),
        sound=noise(0.5, 48000, 2), options=CODING,
    )  # fmt: skip


@pytest.fixture(scope="module")
def weights(folder: Path) -> str:
    path = folder / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return str(path)


@pytest.fixture
def spec(source: Path, driving: Path, weights: str, tmp_path: Path) -> JobSpec:
    (tmp_path / "results").mkdir()
    return JobSpec(
        str(source), str(driving), str(tmp_path / "results" / "out.mp4"), size=128, crf=4,
        detector="dlib", device="cpu", weights=weights, output_mode="paste-back",
    )  # fmt: skip


def plan_of(spec: JobSpec) -> JobPlan:
    settings = Settings.from_environment()
    return make_plan(spec, open_inputs(spec, settings), settings, watch.Watch(print, bool))


def apart(one: list[np.ndarray], other: list[np.ndarray]) -> np.ndarray:
    """Mean difference of each picture, in grey levels."""
    assert len(one) == len(other)
    pairs = zip(one, other, strict=True)
    return np.array([np.abs(a.astype(float) - b.astype(float)).mean() for a, b in pairs])


def test_the_result_has_the_source_videos_times_and_moves_where_it_shows_the_face(
    spec: JobSpec,
) -> None:
    result = animate(spec)
    assert result.frames == 14 and result.resumed == 0
    assert video_times(Path(spec.output)) == video_times(Path(spec.source))
    changed = apart(decoded(spec.output), decoded(spec.source))
    assert (changed[[6, 7]] < CODED).all()  # shown as they are
    # An untrained network does not hide, but where a frame hardly moves it is hardly blended in.
    assert np.median(changed) > 5 and (np.delete(changed, [6, 7]) > 1.2).all()
    assert "2 frames of the source video show no face; they are shown as they are." in (
        result.warnings
    )
    # What it says of itself can be told of a video, too.
    assert result.hashes.keys() == {"source", "driving", "weights"}


@pytest.mark.parametrize("motion", ["keep", "replace"])
def test_without_strength_the_source_video_comes_back(spec: JobSpec, motion: str) -> None:
    """Of replace the face stands still; that of keep goes on."""
    spec = replace(spec, strength=0, source_motion=motion)
    assert plan_of(spec).face.still == (motion == "keep")
    if motion == "keep":
        animate(spec)
        assert (apart(decoded(spec.output), decoded(spec.source)) < CODED).all()


def test_the_square_around_the_face_is_the_whole_result_of_a_crop(spec: JobSpec) -> None:
    spec = replace(spec, output_mode="crop", strength=0, margin=1.75, size=160)
    animate(spec)
    moving = plan_of(spec).source.moving
    assert moving is not None
    wanted = [
        cut_square(picture, Square(*square), 160)
        for picture, square in zip(decoded(spec.source), moving.squares.tolist(), strict=True)
    ]
    assert (apart(decoded(spec.output), wanted) < CODED).all()


def test_a_clip_begins_anew_with_the_face_and_with_a_shot(
    spec: JobSpec, faces: list[np.ndarray], folder: Path
) -> None:
    plan = plan_of(spec)
    assert np.flatnonzero(~generated(plan.face)).tolist() == [6, 7]
    assert np.flatnonzero(beginning(plan.face)).tolist() == [0, 8]
    # At a lower rate the frame with which it begins may be passed over.
    plan = plan_of(replace(spec, fps="12"))
    assert plan.face.shown is not None
    begins = np.flatnonzero(beginning(plan.face))
    assert begins[0] == 0 and len(begins) == 2
    assert plan.face.shown[begins[1] - 1] < 8 <= plan.face.shown[begins[1]]
    # A cut to the same person elsewhere in the picture, in another light.
    dark = [255 - (cv2.resize(face, (128, 128)) // 3) for face in faces[:5]]
    other = [np.full((SIDE, SIDE, 3), 20, np.uint8) for _ in dark]
    for picture, face in zip(other, dark, strict=True):
        picture[100:228, 20:148] = 255 - face
    cut = write_video(
        folder / "cut.mp4", [20 * n for n in range(10)], BASE, pictures=[*faces[:5], *other],
        size=(SIDE, SIDE), options=CODING,
    )  # fmt: skip
    plan = plan_of(replace(spec, source=str(cut)))
    moving = plan.source.moving
    assert moving is not None and moving.track.cuts == (5,)
    assert np.flatnonzero(beginning(plan.face)).tolist() == [0, 5]
    assert abs(moving.squares[5, 2] / moving.squares[4, 2] - 0.5) < 0.1
    assert np.ptp(moving.squares[:5, 2]) < 5


@pytest.mark.parametrize("ending", ["hold", "loop", "stop"])
def test_what_a_shorter_driving_video_does_at_its_end(spec: JobSpec, ending: str) -> None:
    plan = plan_of(replace(spec, ending=ending))
    length = duration(result_time(plan.driving, np.arange(12)))
    moments = moments_of(plan.time)
    assert len(plan.pts) == (sum(moment < length for moment in moments) if ending == "stop" else 14)
    assert any(moment >= length for moment in moments) == (ending != "stop")
    for moment, frame in zip(moments, plan.kept.tolist(), strict=True):
        own = moment % length if ending == "loop" else moment
        assert frame == min(int(own * 30), 11)


def test_the_head_stays_where_it_is_when_the_face_is_replaced(spec: JobSpec) -> None:
    """Turned and moved by nothing, the face is that of one frame, at the place of each."""
    plan = plan_of(replace(spec, source_motion="replace", strength=0))
    moving = plan.source.moving
    assert moving is not None
    centres = plan.targets[moving.there].mean(1) * moving.squares[moving.there][:, None, 2][:, 0:1]
    corners = moving.squares[moving.there][:, :2] - moving.squares[moving.there][:, 2:] / 2
    way = (corners + centres)[:, 0]
    own = moving.points[moving.there].mean(1)[:, 0]
    assert np.abs((way - way[0]) - (own - own[0])).max() < 4
    shapes = plan.targets[moving.there] - plan.targets[moving.there].mean(1, keepdims=True)
    assert np.abs(shapes - shapes[0]).max() < 0.03


def test_the_sound_is_that_which_is_asked_for(spec: JobSpec, driving: Path) -> None:
    heard = {}
    for audio in ("driving", "source", "none", str(driving)):
        spec = replace(spec, audio=audio, strength=0)  # nothing to render
        animate(spec)
        with VideoReader(spec.output) as reader:
            heard[audio] = shown_sound(Path(spec.output)) if reader.info.has_audio else None
    assert heard["none"] is None
    assert all(sound is not None for name, sound in heard.items() if name != "none")
    for name, seed in (("driving", 1), ("source", 2), (str(driving), 1)):
        own, sound = noise(0.4, 48000, seed), np.ravel(heard[name])
        assert np.corrcoef(sound[2000:16000], np.ravel(own)[2000:16000])[0, 1] > 0.5, name
    # No longer than the picture: the file's own 0.5 s of sound end with it.
    assert heard["source"].size / 48000 < 0.5 and heard["driving"].size / 48000 < 0.46


def test_a_picture_has_no_sound_and_a_silent_video_may_have_none(
    spec: JobSpec, samples: tuple[Path, Path], faces: list[np.ndarray], folder: Path
) -> None:
    with pytest.raises(AnimatorError, match="picture") as caught:
        animate(replace(spec, source=str(samples[0]), audio="source"))
    assert caught.value.code == "no_audio"
    silent = write_video(
        folder / "silent.mp4", [0, 20, 40], BASE, pictures=faces[:3], size=(SIDE, SIDE)
    )
    result = animate(replace(spec, source=str(silent), audio="source", strength=0))
    assert "The source video has no sound, so the result has none." in result.warnings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"missing_face": "skip"}, "--missing-face"),
        ({"face": "all"}, "one face"),
        ({"extras": ("flows",)}, "flows"),
    ],
)
def test_what_a_video_cannot_have_is_refused_in_a_sentence(
    spec: JobSpec, change: dict[str, object], words: str
) -> None:
    with pytest.raises(AnimatorError, match=words) as caught:
        animate(replace(spec, **change))
    assert caught.value.code == "invalid_option"


def test_a_video_without_a_face_is_told_apart_from_a_driving_one(
    spec: JobSpec, folder: Path
) -> None:
    grey = [np.full((SIDE, SIDE, 3), 90 + n, np.uint8) for n in range(3)]
    empty = write_video(folder / "empty.mp4", [0, 20, 40], BASE, pictures=grey, size=(SIDE, SIDE))
    with pytest.raises(AnimatorError, match="source video") as caught:
        animate(replace(spec, source=str(empty)))
    assert caught.value.code == "no_face"


def test_still_takes_the_first_picture_as_before(spec: JobSpec) -> None:
    plan = plan_of(replace(spec, source_motion="still"))
    assert plan.source.moving is None and len(plan.pts) == 12


def test_a_killed_job_goes_on_to_the_very_same_frames(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before and after the gap without a face, and where a segment ends in it."""
    (tmp_path / "whole").mkdir()
    whole = replace(spec, output=str(tmp_path / "whole" / "out.mp4"))
    animate(whole)
    die(spec, 1, "generate", "5")
    die(spec, 2, "generate", "10")
    result = finish(spec, 3)
    assert (result.frames, result.resumed) == (14, 8)
    assert np.array_equal(decoded(spec.output), decoded(whole.output))
    assert video_times(Path(spec.output)) == video_times(Path(whole.output))
    assert os.listdir(Path(spec.output).parent) == ["out.mp4"]
