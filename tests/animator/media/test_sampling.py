"""Frames from all over a video, and how they follow each other, without reading it all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from animator.errors import AnimatorError
from animator.media.sampling import Sampler, Timing, read_timing
from animator.settings import DEFAULT_LIMITS
from tests.animator.media_files import number, write_video

RATE = Fraction(1, 25)
FORMATS: dict[str, dict[str, Any]] = {
    "mp4": {"codec": "libx264", "options": {"g": "25", "bf": "2"}},
    "mkv": {"codec": "libx264", "options": {"g": "25", "bf": "2"}},
    "ts": {"codec": "mpeg2video", "container": "mpegts", "options": {"g": "25"}},
    "gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_frames_of_the_times_asked_for(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", range(300), RATE, **FORMATS[suffix])
    times = [0.0, 0.4, 3.0, 6.52, 11.0, 11.96]
    sampler = Sampler(path, DEFAULT_LIMITS, times, seconds=60)
    frames = list(sampler)
    assert [moment for moment, _ in frames] == pytest.approx(times, abs=0.021)
    assert [number(picture) for _, picture in frames] == [round(25 * moment) for moment in times]
    assert sampler.busy > 0


def test_what_lies_between_is_not_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", range(500), RATE, options={"g": "25"})
    sampler = Sampler(path, DEFAULT_LIMITS, [5.0, 10.0, 15.0], seconds=60)
    assert [number(picture) for _, picture in sampler] == [125, 250, 375]
    assert sampler.decoded < 3 * 60


def test_without_time_there_is_a_frame_still(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", range(300), RATE, options={"g": "300"})
    frames = list(Sampler(path, DEFAULT_LIMITS, [2.0, 4.0, 6.0], seconds=0.0))
    assert len(frames) == 1 and frames[0][0] < 2


def test_a_frame_comes_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", range(5), RATE)
    times = [0.0, 0.01, 0.02, 0.04, 9.0, 10.0]
    frames = list(Sampler(path, DEFAULT_LIMITS, times, seconds=60))
    assert [number(picture) for _, picture in frames] == [0, 1, 4]


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", range(300), RATE, options={"g": "300"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(AnimatorError) as raised:
        list(Sampler(path, DEFAULT_LIMITS, [1.0, 11.0], seconds=60))
    assert raised.value.code == "unreadable_video"


@pytest.mark.parametrize("suffix", FORMATS)
def test_even_times(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", range(100), RATE, **FORMATS[suffix])
    timing = read_timing(path, DEFAULT_LIMITS, Fraction(0), None, 10)
    assert (timing.frames, timing.variable) == (100, False)
    assert timing.seconds == pytest.approx(4)


def test_rounded_times_are_even(tmp_path: Path) -> None:
    pts = [round(100 * index / 30) for index in range(100)]  # 3 or 4 hundredths
    path = write_video(tmp_path / "clip.gif", pts, Fraction(1, 100), codec="gif", pix_fmt="rgb8")
    assert read_timing(path, DEFAULT_LIMITS, Fraction(0), None, 10).variable is False


def test_uneven_times_and_a_part(tmp_path: Path) -> None:
    pts = [*range(50), *range(50, 150, 2)]
    path = write_video(tmp_path / "clip.mp4", pts, RATE)
    timing = read_timing(path, DEFAULT_LIMITS, Fraction(0), None, 10)
    assert (timing.frames, timing.variable) == (100, True)
    part = read_timing(path, DEFAULT_LIMITS, Fraction(1), Fraction(2), 10)
    assert (part.frames, part.variable) == (25, False)
    assert part.seconds == pytest.approx(1)


def test_times_that_take_too_long_to_read_are_unknown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", range(100), RATE)
    assert read_timing(path, DEFAULT_LIMITS, Fraction(0), None, 0) == Timing(None, None, None)
