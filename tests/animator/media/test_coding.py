"""Coders: what is chosen, what this build has, and that segments of each fit together."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from animator.errors import AnimatorError
from animator.formats import FORMATS
from animator.media import coding
from animator.media.coding import DEFAULT_CODING, LOSSLESS_CODING, choose_coding, formats_of
from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.media.join import join
from animator.media.mp4 import Sound
from tests.animator.media_files import (
    delay_seconds,
    noise,
    number,
    numbered,
    sound_on_timeline,
    video_times,
    write_video,
)

SIZE = (160, 96)
UNEVEN = [0, 400, 900, 1000, 2800, 2900, 4000, 9000]
RATES = {
    "NTSC": ([1001 * t for t in range(20)], Fraction(1, 30000), Fraction(30000, 1001)),
    "50": ([t for t in range(20)], Fraction(1, 50), Fraction(50)),
    "variable": (UNEVEN, Fraction(1, 12800), None),
}
VIDEOS = [
    (suffix, codec)
    for suffix in (".mp4", ".mov", ".mkv", ".webm")
    for codec in FORMATS[suffix].codecs
]
NAMES = {"h264": "h264", "h265": "hevc", "av1": "av1", "vp9": "vp9"}
ffprobe = shutil.which("ffprobe")


def write_segments(
    folder: Path, suffix: str, codec: Any, pts: list[int], base: Fraction, rate: Fraction | None
) -> list[Path]:
    chosen, paths = choose_coding(FORMATS[suffix], codec), []
    for first in range(0, len(pts), 7):
        paths.append(folder / f"{first}.mp4")
        with VideoWriter(
            paths[-1], width=SIZE[0], height=SIZE[1], time_base=base, rate=rate, coding=chosen
        ) as writer:
            for index in range(first, min(first + 7, len(pts))):
                writer.write(numbered(index, *SIZE), pts[index])
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize(("suffix", "codec"), VIDEOS)
def test_frames_times_and_colours(suffix: str, codec: str, name: str, tmp_path: Path) -> None:
    """Every container with every coding: all frames in order, each at its time, and tagged."""
    pts, base, rate = RATES[name]
    segments = write_segments(tmp_path, suffix, codec, pts, base, rate)
    output = tmp_path / f"out{suffix}"
    muxer = FORMATS[suffix].muxer
    metadata = {"comment": "AI-generated"}
    assert join(segments, output, pts, base, rate=rate, metadata=metadata, muxer=muxer) == []
    with VideoReader(output) as reader:
        shown = [number(picture) for batch in reader for picture in batch.pixels]
    assert shown == list(range(len(pts)))
    # Matroska counts in milliseconds.
    exact = suffix in (".mp4", ".mov")
    for found, wanted in zip(video_times(output), pts, strict=True):
        assert abs(found - wanted * base) <= (0 if exact else Fraction(1, 2000))
    with av.open(str(output)) as container:
        context = container.streams.video[0].codec_context
        tags = context.color_primaries, context.color_trc, context.colorspace, context.color_range
        assert tags == (1, 1, 1, 1)
        if (suffix, codec) in ((".mp4", "h265"), (".mov", "h265")):
            assert context.codec_tag == "hvc1"
        said = {name.lower(): value for name, value in container.metadata.items()}
        assert said["comment"] == "AI-generated"
    again = tmp_path / f"again{suffix}"
    join(segments, again, pts, base, rate=rate, metadata=metadata, muxer=muxer)
    assert again.read_bytes() == output.read_bytes()
    if ffprobe:
        assert probed(output) == (NAMES[codec], len(pts))


def probed(path: Path) -> tuple[str, int]:
    """The coding and the number of frames, by an independent program."""
    command = [
        ffprobe or "", "-v", "error", "-select_streams", "v", "-count_frames",
        "-show_entries", "stream=codec_name,nb_read_frames", "-of", "json", str(path),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    (stream,) = json.loads(done.stdout)["streams"]
    return stream["codec_name"], int(stream["nb_read_frames"])


SOUNDS = {
    "PCM": ("a.mov", "pcm_s16le"), "AAC": ("a.mp4", "aac"), "Opus": ("a.mkv", "libopus"),
    "MP3": ("a.mkv", "libmp3lame"), "FLAC": ("a.mkv", "flac"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("start", [None, Fraction(1, 2)], ids=["whole", "cut"])
@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_sound_keeps_its_place_in_every_container(
    suffix: str, name: str, start: Fraction | None, tmp_path: Path
) -> None:
    file, codec = SOUNDS[name]
    pts = [1001 * t for t in range(60)]
    heard = write_video(
        tmp_path / file, pts, Fraction(1, 30000), sound=noise(2.0, 48000), sound_codec=codec
    )
    segments = write_segments(tmp_path, suffix, "auto", pts[:40], Fraction(1, 30000), None)
    output = tmp_path / f"out{suffix}"
    end = None if start is None else start + Fraction(4, 3)
    sound = Sound(heard, start, end)
    muxer = FORMATS[suffix].muxer
    assert join(segments, output, pts[:40], Fraction(1, 30000), sound=sound, muxer=muxer) == []
    before = sound_on_timeline(heard)[round((start or 0) * 48000) :]
    after = sound_on_timeline(output)
    delay = delay_seconds(before, after)
    assert abs(delay) < 0.001
    # A start that Matroska rounds to milliseconds is half a millisecond off in the file itself.
    before = before[max(round(-delay * 48000), 0) :]
    after = after[max(round(delay * 48000), 0) :]
    length = 48000
    assert np.corrcoef(before[2000:length], after[2000:length])[0, 1] > 0.9
    assert video_times(output)[0] == 0
    if suffix == ".webm":
        with av.open(str(output)) as container:
            assert container.streams.audio[0].codec_context.name in ("opus", "libopus", "vorbis")


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "vp9"])
def test_the_shortest_segments(codec: Any, count: int, tmp_path: Path) -> None:
    """Of so few frames a coder may tell no decoding times, or any, so it is asked repeatedly."""
    for _ in range(3):
        pts = [12012 + 1001 * n for n in range(count)]
        base, rate = Fraction(1, 30000), Fraction(30000, 1001)
        segments = write_segments(tmp_path, ".mkv", codec, pts, base, rate)
        assert join(segments, tmp_path / "out.mkv", pts, base, rate=rate, muxer="matroska") == []
        with VideoReader(tmp_path / "out.mkv") as reader:
            shown = [number(picture) for batch in reader for picture in batch.pixels]
        assert shown == list(range(count))


def test_without_a_choice_results_are_what_they_were() -> None:
    assert choose_coding(FORMATS[".mp4"]) == DEFAULT_CODING
    assert DEFAULT_CODING.encoder == "libx264"
    assert DEFAULT_CODING.options == {"crf": "18", "preset": "veryfast"}
    assert choose_coding(FORMATS[".gif"]) == LOSSLESS_CODING


@pytest.mark.parametrize(("suffix", "codec"), VIDEOS)
def test_choices_reach_the_coder(suffix: str, codec: Any) -> None:
    plain = choose_coding(FORMATS[suffix], codec)
    chosen = choose_coding(FORMATS[suffix], codec, 40, "veryslow")
    assert plain.options["crf"] != chosen.options["crf"] == "40"
    changed = {name for name in plain.options if plain.options[name] != chosen.options[name]}
    assert len(changed) == 2
    for wanted in formats_of(codec):
        assert choose_coding(FORMATS[suffix], codec, pixel_format=wanted).pixel_format == wanted


def test_more_bits_and_quality_cost_bytes(tmp_path: Path) -> None:
    """Options are heeded, not just taken."""

    def size(**options: Any) -> int:
        path = tmp_path / "a.mp4"
        chosen = choose_coding(FORMATS[".mp4"], "h264", **options)
        writer = VideoWriter(path, width=160, height=96, time_base=Fraction(1, 25), coding=chosen)
        rng = np.random.default_rng(0)
        with writer:
            for index in range(4):
                writer.write(rng.integers(0, 255, (96, 160, 3), np.uint8), index)
        return path.stat().st_size

    assert size(crf=0) > size() > size(crf=40)
    assert size(pixel_format="yuv444p") > size()


def test_what_the_build_has_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "ENCODERS", {**coding.ENCODERS, "h265": "libx999"})
    formats_of.cache_clear()
    try:
        with pytest.raises(AnimatorError) as caught:
            choose_coding(FORMATS[".mp4"], "h265")
        assert caught.value.code == "encoder_unavailable"
        assert "h264, av1, vp9" in caught.value.message
    finally:
        formats_of.cache_clear()


def test_a_pixel_format_that_the_coder_lacks_is_told() -> None:
    lacking = [name for name in formats_of("h264") if name not in formats_of("av1")]
    if not lacking:
        pytest.skip("this build's coder of AV1 takes all")
    with pytest.raises(AnimatorError) as caught:
        choose_coding(FORMATS[".mp4"], "av1", pixel_format=lacking[0])  # type: ignore[arg-type]
    assert caught.value.code == "encoder_unavailable"
    assert "yuv420p" in caught.value.message


@pytest.mark.parametrize("size", [(160, 96), (161, 97)])
def test_frames_without_loss_are_exactly_as_they_were(
    size: tuple[int, int], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (size[1], size[0], 3), np.uint8) for _ in range(5)]
    path = tmp_path / "a.mp4"
    writer = VideoWriter(
        path, width=size[0], height=size[1], time_base=Fraction(1, 25), coding=LOSSLESS_CODING
    )
    with writer:
        for index, frame in enumerate(frames):
            writer.write(frame, index)
    with VideoReader(path) as reader:
        found = list(itertools.chain.from_iterable(batch.pixels for batch in reader))
    assert all(np.array_equal(a, b) for a, b in zip(found, frames, strict=True))
