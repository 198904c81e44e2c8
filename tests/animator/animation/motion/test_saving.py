"""Motions saved of real videos: what is made with them is what is made with the videos."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from animator.animation.explain.frame import explain
from animator.animation.motion.file import Rights, read_motion
from animator.animation.motion.saving import save_motion
from animator.animation.pipeline import animate
from animator.errors import AnimatorError, JobCancelled
from animator.files.local import content_hash
from animator.media.decode import VideoReader
from animator.provenance.containers import look_for_marks, media_hash
from animator.record import Progress
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from gfla import checkpoint
from tests.animator.media_files import noise, shown_times, write_video
from tests.animator.motions import forged, write_motion
from tests.helpers import COMPACT, small_generator

pytestmark = pytest.mark.slow

FRAMES, SIZE, BASE = 12, (256, 256), Fraction(1, 12800)
BLANK = np.full((*SIZE, 3), 90, np.uint8)
Pictures = list[np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return str(path)


@pytest.fixture(scope="module")
def pictures(samples: tuple[Path, Path]) -> Pictures:
    with VideoReader(samples[1]) as reader:
        found = [picture for batch in itertools.islice(reader, 6) for picture in batch.pixels]
    return [cv2.resize(picture, SIZE) for picture in found[::4]]


@pytest.fixture(scope="module")
def driving(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video without sound, two frames of which show nobody; its frames come at uneven times."""
    path = tmp_path_factory.mktemp("driving") / "clip.mp4"
    shown = [*pictures[:5], BLANK, BLANK, *pictures[5:]][:FRAMES]
    pts = [512 * number + 7 * (number % 3) for number in range(FRAMES)]
    return write_video(path, pts, BASE, pictures=shown, size=SIZE)


@pytest.fixture
def spec(
    samples: tuple[Path, Path], driving: Path, weights: str, tmp_path: Path, state_dir: Path
) -> JobSpec:
    return JobSpec(
        str(samples[0]), str(driving), str(tmp_path / "out.mp4"), size=128, margin=1.75,
        detector="dlib", device="cpu", weights=weights,
    )  # fmt: skip


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    """Another machine, which has never seen the video."""
    return Settings(tmp_path / "another" / "state")


def saved(spec: JobSpec, path: Path, **options: Any) -> Path:
    rights = Rights("CC0-1.0", "written", "")
    save_motion(replace(spec, output=str(path), **options), rights, settings=here())
    return path


def coded_media(video: str) -> str:
    """The hash of pictures and sound as a file holds them, whatever its marks say."""
    return media_hash(Path(video), look_for_marks(Path(video)))


def here() -> Settings:
    return Settings.from_environment()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"start": "0.08", "end": "0.4"},
        {"output_mode": "paste-back", "motion": "absolute", "smoothing": 0.0},
        {"missing_face": "skip"},
    ],
    ids=["usual", "part", "paste-back", "skip"],
)
def test_the_result_is_that_of_the_video_bit_for_bit(
    spec: JobSpec, tmp_path: Path, elsewhere: Settings, options: dict[str, Any]
) -> None:
    of_video = animate(replace(spec, **options), settings=here())
    span = {name: options.pop(name) for name in ("start", "end") if name in options}
    motion = saved(spec, tmp_path / "a.motion", **span)
    moved = replace(spec, driving=str(motion), output=str(tmp_path / "b.mp4"), **options)
    of_motion = animate(moved, settings=elsewhere)
    assert coded_media(of_motion.output) == coded_media(of_video.output)
    assert (of_motion.frames, of_motion.missing) == (of_video.frames, of_video.missing)
    assert of_motion.warnings == of_video.warnings
    assert of_motion.hashes["driving"] == content_hash(motion)


def test_a_part_of_a_motion_file_is_animated(spec: JobSpec, tmp_path: Path) -> None:
    motion = saved(spec, tmp_path / "a.motion")
    moved = replace(spec, driving=str(motion), start="0.1", end="0.3")
    result = animate(moved, settings=here())
    expected = read_motion(motion).part(Fraction(1, 10), Fraction(3, 10)).driving
    assert shown_times(Path(result.output)) == [pts * BASE for pts in expected.pts]


def test_a_motion_has_no_sound(
    spec: JobSpec, pictures: Pictures, tmp_path: Path, samples: tuple[Path, Path]
) -> None:
    loud = write_video(
        tmp_path / "loud.mp4", [512 * number for number in range(8)], BASE, pictures=pictures[:8],
        size=SIZE, sound=noise(0.4, 48000),
    )  # fmt: skip
    motion = saved(replace(spec, driving=str(loud)), tmp_path / "a.motion")
    result = animate(replace(spec, driving=str(motion)), settings=here())
    with VideoReader(result.output) as reader:
        assert not reader.info.has_audio
    assert result.warnings == ()


def test_beside_the_result_stand_stick_figures(spec: JobSpec, tmp_path: Path) -> None:
    motion = saved(spec, tmp_path / "a.motion")
    moved = replace(spec, driving=str(motion), output_mode="side-by-side")
    result = animate(moved, settings=here())
    with VideoReader(result.output) as reader:
        shown = np.concatenate([batch.pixels for batch in reader])
    assert shown.shape[1:3] == (128, 256)
    left = shown[:, :, :120].astype(int)
    # Lines on dark ground, which differ from frame to frame; nobody where there was nobody.
    bright = (left.max(-1) > 90).mean((1, 2))
    assert (bright[[0, 4, 8]] > 0.01).all() and (bright[[5, 6]] < 0.001).all()
    assert np.abs(left[0] - left[4]).max() > 60


def test_an_attempt_goes_on_from_where_another_with_the_motion_ended(
    spec: JobSpec, tmp_path: Path
) -> None:
    motion = saved(spec, tmp_path / "a.motion")
    moved, few = replace(spec, driving=str(motion)), replace(here(), segment_frames=4)
    animate(moved, settings=few)
    whole = Path(spec.output).read_bytes()
    seen: list[Progress] = []
    first = Workspace.take(spec.output, "job", 1)
    with pytest.raises(JobCancelled):
        animate(
            moved, settings=few, report=seen.append, workspace=first,
            should_stop=lambda: seen[-1].stage == "generate" and seen[-1].frame >= 6,
        )  # fmt: skip
    workspace = Workspace.take(spec.output, "job", 2)
    result = animate(moved, settings=few, workspace=workspace)
    workspace.remove()
    assert result.resumed > 0 and Path(spec.output).read_bytes() == whole


def test_a_choice_of_face_is_told_to_make_no_difference(spec: JobSpec, tmp_path: Path) -> None:
    motion = saved(spec, tmp_path / "a.motion")
    result = animate(replace(spec, driving=str(motion), driving_face=2, end="0.1"), settings=here())
    assert any("one face" in warning for warning in result.warnings)


def test_a_frame_made_with_a_motion_is_explained(spec: JobSpec, tmp_path: Path) -> None:
    motion = saved(spec, tmp_path / "a.motion")
    sheet = replace(spec, driving=str(motion), output=str(tmp_path / "sheet.png"))
    assert explain(sheet, 2, settings=here()).frames == FRAMES
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_what_is_saved_says_what_it_is_of(spec: JobSpec, driving: Path, tmp_path: Path) -> None:
    motion = read_motion(saved(spec, tmp_path / "a.motion", end="0.4", driving_face=1))
    origin = motion.origin
    assert (origin.name, origin.sha256) == ("clip.mp4", content_hash(driving))
    assert (origin.start, origin.end, origin.face) == (None, Fraction(2, 5), "1")
    assert origin.detector.startswith("dlib: ")
    assert (motion.rights.licence, motion.rights.consent) == ("CC0-1.0", "written")
    assert motion.driving.size == SIZE and motion.driving.time_base == BASE


def test_a_part_of_a_motion_file_is_saved(spec: JobSpec, tmp_path: Path) -> None:
    whole = saved(spec, tmp_path / "a.motion")
    job = replace(spec, driving=str(whole), output=str(tmp_path / "b.motion"), start="0.1")
    save_motion(job, Rights(consent="withdrawn"), settings=here())
    part, expected = read_motion(tmp_path / "b.motion"), read_motion(whole)
    assert part.driving.pts == expected.part(Fraction(1, 10), None).driving.pts
    # What was said stays, unless something else is said.
    assert (part.rights.licence, part.rights.consent) == ("CC0-1.0", "withdrawn")
    assert (part.origin.name, part.origin.start) == ("clip.mp4", Fraction(1, 10))


def test_a_video_without_a_face_gives_no_file(spec: JobSpec, tmp_path: Path) -> None:
    empty = write_video(tmp_path / "e.mp4", [0, 512], BASE, pictures=[BLANK] * 2, size=SIZE)
    with pytest.raises(AnimatorError) as caught:
        saved(replace(spec, driving=str(empty)), tmp_path / "a.motion")
    assert caught.value.code == "no_face" and not (tmp_path / "a.motion").exists()


def test_a_stopped_command_leaves_nothing(spec: JobSpec, tmp_path: Path) -> None:
    job = replace(spec, output=str(tmp_path / "a.motion"))
    with pytest.raises(JobCancelled):
        save_motion(job, Rights(), settings=here(), should_stop=lambda: True)
    assert list(tmp_path.glob("*motion*")) == []


def test_the_file_is_called_motion(spec: JobSpec, tmp_path: Path) -> None:
    with pytest.raises(AnimatorError, match=r"\.motion"):
        saved(spec, tmp_path / "a.npz")


def test_a_job_with_a_damaged_motion_fails_with_its_code(spec: JobSpec, tmp_path: Path) -> None:
    motion = write_motion(tmp_path / "a.motion")
    content = bytearray(motion.read_bytes())
    content[-50] ^= 1
    motion.write_bytes(content)
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, driving=str(motion)), settings=here())
    assert caught.value.code == "unreadable_motion" and not Path(spec.output).exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_base", "2147483647"),
        ("time_base", "1/2147483647"),
        ("rate", "2147483647"),
        ("rate", "1/2147483647"),
        ("size", [1 << 20, 1]),
        ("size", [1, 1]),
    ],
)
def test_extreme_times_and_sizes_give_a_video_or_a_coded_error(
    spec: JobSpec, tmp_path: Path, name: str, value: Any
) -> None:
    motion = write_motion(tmp_path / "a.motion")
    motion.write_bytes(forged(motion.read_bytes(), lambda about: about.update({name: value})))
    job = replace(spec, driving=str(motion), output_mode="side-by-side")
    try:
        animate(job, settings=here())
    except AnimatorError as error:
        assert error.code in ("too_long", "encoding_failed", "invalid_option", "no_frames")


class Varied(Sequence[np.ndarray[Any, Any]]):
    """A minute of pictures: some there and back, each placed, scaled and grained differently."""

    def __init__(self, found: Pictures) -> None:
        self._found = [*found, *reversed(found)]

    def __len__(self) -> int:
        return 1800

    def __getitem__(self, number: Any) -> Any:
        random = np.random.default_rng(number)
        moved = np.array([[1, 0, random.normal(0, 1.5)], [0, 1, random.normal(0, 1.5)]])
        moved[:, :2] *= random.normal(1, 0.01)
        picture = self._found[number % len(self._found)]
        picture = cv2.warpAffine(picture, moved, SIZE, borderMode=cv2.BORDER_REPLICATE)
        grain = random.integers(-9, 10, picture.shape, np.int16)
        return np.clip(picture + grain, 0, 255).astype(np.uint8)


def test_a_minute_of_video_is_below_300_kb(
    spec: JobSpec, samples: tuple[Path, Path], tmp_path: Path
) -> None:
    with VideoReader(samples[1]) as reader:
        found = [cv2.resize(picture, SIZE) for batch in reader for picture in batch.pixels]
    # A quarter of a minute, unless all of it is asked for.
    frames = 1800 if os.environ.get("ANIMATOR_LONG_TESTS") else 450
    pts = [512 * number for number in range(frames)]
    video = write_video(
        tmp_path / "video.mp4", pts, Fraction(1, 15360), pictures=Varied(found), size=SIZE,
        options={"preset": "ultrafast"},
    )  # fmt: skip
    motion = saved(replace(spec, driving=str(video)), tmp_path / "a.motion")
    assert len(read_motion(motion).driving.pts) == frames
    assert motion.stat().st_size < 300_000 * frames / 1800
