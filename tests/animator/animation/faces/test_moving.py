"""A video as the portrait: which files are one, and that each frame's own picture comes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animator.animation.driving import Driving
from animator.animation.faces.moving import Moving, moves, picture_at, pictures_of
from animator.faces.landmarks import missing_landmarks
from animator.media.decode import DEFAULT_LIMITS, VideoReader
from animator.spec import JobSpec
from tests.animator.media_files import number, numbered, write_video

BASE = Fraction(1, 1000)
FRAMES = 260
SIZE = (160, 96)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbered pictures for ten seconds, at uneven times, with a key frame a second."""
    pts = [40 * n + (7 if n % 3 else 0) for n in range(FRAMES)]
    path = tmp_path_factory.mktemp("video") / "long.mp4"
    return write_video(path, pts, BASE, options={"g": "25", "crf": "10"})


@pytest.fixture(scope="module")
def moving(video: Path) -> Moving:
    """What is known of it, but for faces."""
    pts, base = [], None
    with VideoReader(video) as reader:
        for batch in reader:
            pts += batch.pts
        base, audio = reader.info.time_base, (reader.audio_start, reader.audio_end)
    track = Driving(missing_landmarks(len(pts)), pts, base, None, SIZE, audio, 0, ())
    nothing = np.zeros((len(pts), 68, 2), np.float32)
    return Moving(track, nothing, np.ones((len(pts), 3)), np.ones(len(pts), np.bool_))


def numbers(video: Path, moving: Moving, frames: Iterable[int]) -> list[int]:
    wanted = np.array(list(frames))
    return [number(one) for one in pictures_of(video, moving, wanted, DEFAULT_LIMITS)]


@pytest.mark.parametrize(
    "frames",
    [
        range(FRAMES),
        range(200, FRAMES),  # behind a jump
        [0, 0, 3, 3, 3, 9, 255, 259, 259],
        [130],
        [259],
    ],
)
def test_each_frame_has_its_own_picture(video: Path, moving: Moving, frames: Iterable[int]) -> None:
    assert numbers(video, moving, frames) == list(frames)


def test_a_jump_gives_the_very_same_pixels(video: Path, moving: Moving) -> None:
    whole = list(pictures_of(video, moving, np.arange(FRAMES), DEFAULT_LIMITS))
    for frame in (126, 175, 176, 230):
        assert np.array_equal(picture_at(video, moving, frame, DEFAULT_LIMITS), whole[frame])


def test_a_jump_that_leads_elsewhere_is_not_believed(video: Path, moving: Moving) -> None:
    """As of a file whose clock begins anew somewhere."""
    track = replace(moving.track, audio=(Fraction(1, 7), None))
    assert numbers(video, replace(moving, track=track), range(200, 204)) == [200, 201, 202, 203]


def test_what_moves_is_a_video_or_an_animated_picture(video: Path, tmp_path: Path) -> None:
    pictures = [Image.fromarray(numbered(n)) for n in range(3)]
    for name in ("one.png", "one.jpg", "one.webp"):
        pictures[0].save(tmp_path / name)
    for name in ("many.gif", "many.webp", "many.png"):
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=80)
    write_video(tmp_path / "one.mp4", [0], BASE)
    shutil.copy(video, tmp_path / "video.mp4")
    folder = tmp_path / "folder"
    folder.mkdir()
    for n, picture in enumerate(pictures):
        picture.save(folder / f"{n}.png")

    def is_one(name: str, motion: str = "keep") -> bool:
        spec = JobSpec(str(tmp_path / name), "/driving.mp4", "/out.mp4", source_motion=motion)
        return moves(spec, DEFAULT_LIMITS)

    assert all(map(is_one, ("video.mp4", "many.gif", "many.webp", "many.png")))
    assert not any(map(is_one, ("one.png", "one.jpg", "one.webp", "one.mp4", "folder")))
    assert not is_one("video.mp4", "still")
