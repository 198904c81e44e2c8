"""Results without the driving frames that show no face: their time goes on, their sound with it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from animator.animation.pipeline import animate
from animator.errors import JobCancelled
from animator.media.decode import VideoReader
from animator.record import Progress
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from gfla import checkpoint
from tests.animator.media_files import (
    delay_seconds,
    noise,
    shown_sound,
    shown_times,
    sound_on_timeline,
    video_times,
    write_video,
)
from tests.helpers import COMPACT, small_generator

SIZE = (256, 256)
RATE = 48000
FACES = "FFFF...FFFF.F..FFF"
"""Which frames of a driving video show a face."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return str(path)


@pytest.fixture(scope="module")
def face(samples: tuple[Path, Path]) -> np.ndarray:
    with VideoReader(samples[1]) as reader:
        picture = next(iter(reader)).pixels[0]
    return np.asarray(cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA))


@pytest.fixture
def spec(samples: tuple[Path, Path], weights: str, tmp_path: Path) -> JobSpec:
    return JobSpec(
        source=str(samples[0]),
        driving=str(samples[1]),
        output=str(tmp_path / "out.mp4"),
        size=128,
        margin=1.75,
        detector="dlib",
        device="cpu",
        weights=weights,
        missing_face="skip",
    )


def driving_video(
    path: Path, face: np.ndarray, pts: Sequence[int], base: Fraction, shown: str, **sound: Any
) -> Path:
    """A video with noise, of which no moment sounds like another, that outlasts the picture."""
    pictures = [face if mark == "F" else np.full_like(face, 90) for mark in shown]
    seconds = float((pts[-1] - pts[0]) * base) + 0.5
    sound.setdefault("sound", noise(seconds, RATE))
    sound.setdefault("sound_start", pts[0] * base)
    return write_video(path, pts, base, pictures=pictures, size=SIZE, **sound)


def runs(shown: str) -> list[tuple[int, int]]:
    """First frame and the one after the last of each run of faces."""
    found = []
    for mark, run in itertools.groupby(enumerate(shown), key=lambda pair: pair[1]):
        numbers = [number for number, _ in run]
        if mark == "F":
            found.append((numbers[0], numbers[-1] + 1))
    return found


def check_time_and_sound(driving: Path, output: Path, shown: str, skipped: int = 0) -> None:
    """Frames follow each other in the driving video's steps, and each run has its own sound."""
    times = shown_times(driving)
    before, after = shown_sound(driving), sound_on_timeline(output)
    wanted, now = [], Fraction(0)
    for first, stop in runs(shown):
        for frame in range(max(first, skipped), stop):
            wanted.append(now)
            now += times[frame + 1] - times[frame] if frame + 1 < len(times) else 0
    assert video_times(output) == wanted
    number = 0
    for first, stop in runs(shown):
        first = max(first, skipped)
        if stop - first > 1:
            length = round((times[stop - 1] - times[first]) * RATE)
            there, here = round(times[first] * RATE), round(wanted[number] * RATE)
            old, new = before[there : there + length], after[here : here + length]
            assert abs(delay_seconds(old, new)) < 0.001, (first, stop)
            assert np.corrcoef(old[300:-300], new[300:-300])[0, 1] > 0.9
        number += stop - first


EVEN = ([3003 * n for n in range(len(FACES))], Fraction(1, 30000))
STEPS = [100, 70, 140, 90, 200, 60, 80, 120, 100, 150, 90, 110, 130, 70, 160, 100, 90]
UNEVEN = ([*itertools.accumulate(STEPS, initial=0)], Fraction(1, 1000))
LATE = ([9000 + 3003 * n for n in range(len(FACES))], Fraction(1, 30000))

CASES: dict[str, tuple[str, tuple[list[int], Fraction], dict[str, Any]]] = {
    "AAC": ("a.mp4", EVEN, {}),
    "AAC at uneven times, in milliseconds": ("a.mkv", UNEVEN, {}),
    "Opus": ("a.mkv", EVEN, {"sound_codec": "libopus"}),
    "PCM, uneven": ("a.mov", UNEVEN, {"sound_codec": "pcm_s16le", "sound_channels": 2}),
    "late": ("a.mp4", LATE, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_holes_are_closed_in_picture_and_sound(name, spec, face, tmp_path):
    file, (pts, base), sound = CASES[name]
    driving = driving_video(tmp_path / file, face, pts, base, FACES, **sound)
    result = animate(replace(spec, driving=str(driving)))
    assert result.missing == ((4, 6), (11, 11), (13, 14))
    check_time_and_sound(driving, Path(spec.output), FACES)
    with av.open(spec.output) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        # The sound of the left out frames is gone, and what outlasts the picture is there.
        pieces = [float(shown_times(driving)[n]) for n in (4, 7, 11, 12, 13, 15)]
        gone = pieces[1] - pieces[0] + pieces[3] - pieces[2] + pieces[5] - pieces[4]
    left = len(shown_sound(driving)) / RATE - gone
    assert abs(len(sound_on_timeline(Path(spec.output))) / RATE - left) < 0.025


def test_a_part_of_a_video_is_closed_up_too(spec, face, tmp_path):
    pts, base = EVEN
    driving = driving_video(tmp_path / "a.mp4", face, pts, base, FACES)
    animate(replace(spec, driving=str(driving), start="0.2", end="1.15"))
    check_time_and_sound(driving, Path(spec.output), FACES[:12], skipped=2)
    assert len(sound_on_timeline(Path(spec.output))) / RATE < 0.9 + 0.025


def test_what_is_last_lasts_as_long_as_it_did(spec, face, tmp_path):
    """Also where the driving video goes on without a face, and faster."""
    shown = "FF.FFFF....."
    pts = [*range(0, 700, 100), *range(700, 900, 40)]
    driving = driving_video(tmp_path / "a.mp4", face, pts, Fraction(1, 1000), shown)
    animate(replace(spec, driving=str(driving)))
    check_time_and_sound(driving, Path(spec.output), shown)
    with av.open(spec.output) as container:
        video = container.streams.video[0]
        assert video.duration * video.time_base == Fraction(6, 10)
    # At most the rest of the last packet longer.
    assert 0 <= len(sound_on_timeline(Path(spec.output))) / RATE - 0.6 < 1024 / RATE


def packets(path: str | Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_sound_that_has_no_hole_is_copied(spec, face, tmp_path):
    """Nothing is left out, or only at both ends."""
    pts, base = EVEN
    for name, shown in (("whole.mp4", "FFFFF"), ("ends.mp4", "..FFFF..")):
        driving = driving_video(
            tmp_path / name, face, pts[: len(shown)], base, shown, sound_codec="libopus"
        )
        animate(replace(spec, driving=str(driving)))
        check_time_and_sound(driving, Path(spec.output), shown)
        old, new = packets(driving), packets(spec.output)
        first = old.index(new[0])
        assert old[first : first + len(new)] == new
        assert name == "ends.mp4" or old == new


def test_an_interrupted_job_goes_on_with_the_same_time(spec, face, tmp_path, monkeypatch):
    monkeypatch.setenv("ANIMATOR_SEGMENT_FRAMES", "3")
    monkeypatch.setattr("animator.watch.REPORT_SECONDS", 0)
    pts, base = UNEVEN
    driving = driving_video(tmp_path / "a.mp4", face, pts, base, FACES)
    spec = replace(spec, driving=str(driving))
    seen: list[Progress] = []

    def should_stop() -> bool:
        return seen[-1].stage == "generate" and seen[-1].frame >= 7

    workspace = Workspace.take(spec.output, "0" * 32, 1)
    with pytest.raises(JobCancelled):
        animate(spec, report=seen.append, should_stop=should_stop, workspace=workspace)
    workspace = Workspace.take(spec.output, "0" * 32, 2)
    assert animate(spec, workspace=workspace).resumed == 6
    workspace.remove()
    check_time_and_sound(driving, Path(spec.output), FACES)


def test_a_video_without_sound_is_closed_up(spec, face, tmp_path):
    pts, base = EVEN
    driving = driving_video(tmp_path / "a.mp4", face, pts[:8], base, "FF..F.FF", sound=None)
    animate(replace(spec, driving=str(driving)))
    assert video_times(Path(spec.output)) == [n * 3003 * base for n in range(5)]
