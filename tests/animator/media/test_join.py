"""Segments joined to one video: the same frames at the same times, with sound."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from animator.errors import AnimatorError, JobCancelled
from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.media.join import join
from animator.media.mp4 import Sound
from tests.animator.media.encoding import SIZE
from tests.animator.media.test_encode import TIMES
from tests.animator.media_files import (
    delay_seconds,
    noise,
    number,
    numbered,
    sound_on_timeline,
    video_times,
    write_video,
)


def write_segments(
    folder: Path,
    pts: list[int],
    time_base: Fraction,
    frames: int,
    size: tuple[int, int] = SIZE,
) -> list[Path]:
    paths = []
    for first in range(0, len(pts), frames):
        paths.append(folder / f"{first}.mp4")
        writer = VideoWriter(paths[-1], width=size[0], height=size[1], time_base=time_base)
        with writer:
            for index in range(first, min(first + frames, len(pts))):
                writer.write(numbered(index, *size), pts[index])
    return paths


@pytest.mark.parametrize("frames", [1, 3, 16])
@pytest.mark.parametrize("name", TIMES)
def test_frames_keep_their_exact_times(name: str, frames: int, tmp_path: Path) -> None:
    pts, time_base = TIMES[name]
    segments = write_segments(tmp_path, pts, time_base, frames)
    output = tmp_path / "out.mp4"
    assert join(segments, output, pts, time_base) == []
    assert video_times(output) == [n * time_base for n in pts]
    with av.open(str(output)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
    decoded = [p.dts for p in packets]
    assert decoded == sorted(set(decoded))
    assert all(p.dts <= p.pts for p in packets)
    with VideoReader(output) as reader:
        assert [number(p) for b in reader for p in b.pixels] == list(range(len(pts)))


def test_the_frames_are_those_of_the_segments_bit_for_bit(tmp_path: Path) -> None:
    pts, time_base = list(range(20)), Fraction(1, 25)
    segments = write_segments(tmp_path, pts, time_base, 7)
    join(segments, tmp_path / "out.mp4", pts, time_base)

    def pictures(path: Path) -> list[np.ndarray]:
        with VideoReader(path) as reader:
            return [picture for batch in reader for picture in batch.pixels]

    before = [picture for path in segments for picture in pictures(path)]
    assert np.array_equal(before, pictures(tmp_path / "out.mp4"))


def test_sound_and_the_words_of_the_file(tmp_path: Path) -> None:
    """Times before 0 move there with the sound, as they do in a video that is written at once."""
    source = write_video(tmp_path / "s.mp4", range(25), Fraction(1, 25), sound=noise(1, 48000))
    pts, time_base = list(range(-5, 20)), Fraction(1, 25)
    segments = write_segments(tmp_path, pts, time_base, 10)
    output = tmp_path / "out.mp4"
    words = {"comment": "made by a test"}
    join(segments, output, pts, time_base, sound=Sound(source), metadata=words)
    assert video_times(output) == [Fraction(n, 25) for n in range(25)]
    delay = delay_seconds(sound_on_timeline(source), sound_on_timeline(output))
    assert delay == pytest.approx(0.2, abs=0.001)
    with av.open(str(output)) as container:
        assert container.metadata["comment"] == "made by a test"
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == 1
    data = output.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_segments_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    time_base, output = Fraction(1, 25), tmp_path / "out.mp4"
    (tmp_path / "other").mkdir()
    (first,) = write_segments(tmp_path, [0, 1], time_base, 2)
    (other,) = write_segments(tmp_path / "other", [0, 1], time_base, 2, (64, 48))
    for segments, pts in (([first, other], range(4)), ([first], range(3)), ([first], range(1))):
        with pytest.raises(AnimatorError) as caught:
            join(segments, output, list(pts), time_base)
        assert caught.value.code == "encoding_failed"
    assert sorted(os.listdir(tmp_path)) == ["0.mp4", "other"]


def test_a_join_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    segments = write_segments(tmp_path, list(range(4)), Fraction(1, 25), 2)
    answers = iter((None, JobCancelled()))

    def check() -> None:
        if (answer := next(answers)) is not None:
            raise answer

    with pytest.raises(JobCancelled):
        join(segments, tmp_path / "out.mp4", list(range(4)), Fraction(1, 25), check=check)
    assert sorted(os.listdir(tmp_path)) == ["0.mp4", "2.mp4"]
