"""A matrix of media as they occur: container, coding, colour, times, sound, turns and damage.

Every file is made here with known content, and what is read is compared with what was put in.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from animator.errors import AnimatorError
from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.media.sound_choice import ANOTHER, LEFT_OUT, choose_sound
from animator.settings import DEFAULT_LIMITS
from tests.animator.media.encoding import write_batch
from tests.animator.media_files import (
    delay_seconds,
    noise,
    number,
    numbered,
    sound_on_timeline,
    video_times,
    write_video,
)

SIZE = (80, 64)
COUNT = 8
RATE = Fraction(1, 25)
MS = Fraction(1, 1000)
TS = Fraction(1, 90000)
WRAP = 2**33  # where the clock of a transport stream begins anew


def read(path: Path, **options: Any) -> tuple[list[int], list[Fraction], VideoReader]:
    """Frame numbers, and their times in seconds."""
    with VideoReader(path, forgiving=True, **options) as reader:
        batches = list(reader)
    numbers = [number(picture) for batch in batches for picture in batch.pixels]
    return numbers, [pts * batch.time_base for batch in batches for pts in batch.pts], reader


def check(
    path: Path, times: Sequence[Fraction], numbers: Sequence[int] | None = None, within: float = 0
) -> VideoReader:
    """Read a file, and compare its frames and their times."""
    got, moments, reader = read(path)
    assert got == list(range(len(times)) if numbers is None else numbers)
    assert [float(m) for m in moments] == pytest.approx([float(t) for t in times], abs=within)
    assert moments[0] == 0 and reader.faults == []
    return reader


def even(count: int = COUNT) -> list[Fraction]:
    return [index * RATE for index in range(count)]


# -- containers and codings --------------------------------------------------------------------

B_FRAMES = {"bf": "2", "g": "8"}
CODINGS: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "mp4": [
        ("libx264", "yuv420p", {"bf": "0"}),
        ("libx264", "yuv420p", {"bf": "3"}),
        ("libx264", "yuv444p", {}),
        ("libx264", "yuv422p10le", {}),
        ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
        ("libx265", "yuv420p10le", {"x265-params": "log-level=none"}),
        ("mpeg4", "yuv420p", B_FRAMES),
        ("libvpx-vp9", "yuv420p", {}),
        ("libsvtav1", "yuv420p", {"preset": "12"}),
        ("mjpeg", "yuvj420p", {}),
        ("mpeg2video", "yuv420p", B_FRAMES),
    ],
    "mov": [
        ("libx264", "yuv420p", {"bf": "2"}),
        ("prores_ks", "yuv422p10le", {}),
        ("prores_ks", "yuva444p10le", {"profile": "4444"}),
        ("mjpeg", "yuvj422p", {}),
        ("png", "rgb24", {}),
        ("qtrle", "rgb24", {}),
    ],
    "mkv": [
        ("libx264", "yuv420p", {"bf": "3"}),
        ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
        ("ffv1", "yuv420p", {}),
        ("ffv1", "gray", {}),
        ("ffv1", "bgr0", {}),
        ("mpeg4", "yuv420p", B_FRAMES),
        ("mpeg2video", "yuv420p", B_FRAMES),
        ("libvpx", "yuv420p", {}),
        ("libvpx-vp9", "yuv420p", {}),
        ("libsvtav1", "yuv420p", {"preset": "12"}),
    ],
    "webm": [
        ("libvpx", "yuv420p", {}),
        ("libvpx", "yuv420p", {"auto-alt-ref": "1", "lag-in-frames": "4"}),
        ("libvpx-vp9", "yuv420p", {}),
        ("libvpx-vp9", "yuv444p", {}),
        ("libsvtav1", "yuv420p", {"preset": "12"}),
    ],
    "avi": [
        ("mpeg4", "yuv420p", {}),
        ("mpeg4", "yuv420p", B_FRAMES),
        ("libx264", "yuv420p", {"bf": "0"}),
        ("libx264", "yuv420p", {"bf": "3"}),
        ("libx264", "yuv420p", {"bf": "2", "x264-params": "open-gop=1:keyint=4"}),
        ("mjpeg", "yuvj420p", {}),
        ("msmpeg4v2", "yuv420p", {}),
        ("msmpeg4", "yuv420p", {}),
        ("wmv2", "yuv420p", {}),
        ("ffv1", "yuv420p", {}),
        ("huffyuv", "yuv422p", {}),
        ("rawvideo", "bgr24", {}),
    ],
    "ts": [
        ("libx264", "yuv420p", {"bf": "2"}),
        ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
        ("mpeg2video", "yuv420p", B_FRAMES),
        ("mpeg4", "yuv420p", {}),
    ],
    "mpg": [
        ("mpeg1video", "yuv420p", {}),
        ("mpeg1video", "yuv420p", B_FRAMES),
        ("mpeg2video", "yuv420p", B_FRAMES),
    ],
    "vob": [("mpeg2video", "yuv420p", {}), ("mpeg2video", "yuv420p", B_FRAMES)],
    "flv": [("flv", "yuv420p", {}), ("libx264", "yuv420p", {"bf": "2"})],
    "asf": [
        ("wmv1", "yuv420p", {}),
        ("wmv2", "yuv420p", {}),
        ("msmpeg4", "yuv420p", {}),
        ("libx264", "yuv420p", {"bf": "0"}),
    ],
    "mxf": [("mpeg2video", "yuv420p", {}), ("mpeg2video", "yuv420p", B_FRAMES)],
    "nut": [("ffv1", "yuv420p", {}), ("libx264", "yuv420p", {"bf": "2"})],
    "ivf": [("libvpx", "yuv420p", {}), ("libvpx-vp9", "yuv420p", {})],
    "y4m": [("wrapped_avframe", "yuv420p", {})],
    "h264": [("libx264", "yuv420p", {"bf": "0"}), ("libx264", "yuv420p", {"bf": "2"})],
    "hevc": [("libx265", "yuv420p", {"x265-params": "log-level=none"})],
    "m4v": [("mpeg4", "yuv420p", {}), ("mpeg4", "yuv420p", B_FRAMES)],
    "m2v": [("mpeg2video", "yuv420p", B_FRAMES)],
    "mjpeg": [("mjpeg", "yuvj420p", {})],
}
MUXERS = {
    "mkv": "matroska", "ts": "mpegts", "mpg": "mpeg", "y4m": "yuv4mpegpipe", "m2v": "mpeg2video"
}  # fmt: skip
WITHIN = {"mkv": 0.001, "webm": 0.001, "flv": 0.001, "asf": 0.001, "ts": 1e-4, "mpg": 1e-4}


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "options"),
    [
        pytest.param(suffix, *coding, id=f"{suffix}-{'-'.join(map(str, coding[:2]))}-{place}")
        for suffix, codings in CODINGS.items()
        for place, coding in enumerate(codings)
    ],
)
def test_frames_times_and_colours(
    suffix: str, codec: str, pix_fmt: str, options: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    _write(path, range(COUNT), RATE, codec=codec, pix_fmt=pix_fmt, options=options)
    reader = check(path, even(), within=WITHIN.get(suffix, 0) or 1e-5)
    assert (reader.info.width, reader.info.height) == SIZE
    with VideoReader(path) as reader:
        picture = next(iter(reader)).pixels[0].astype(int)
    parts = {(4, 4): (255, 0, 0), (4, 76): (0, 255, 0), (24, 40): (128, 128, 128)}
    for (y, x), colour in parts.items():
        got = picture[y, x]
        wanted = np.array(colour)
        if pix_fmt == "gray":
            wanted = np.full(3, wanted @ [0.299, 0.587, 0.114])
        assert np.abs(got - wanted).max() < 45, (y, x, got)


def _write(path: Path, pts: Sequence[int], time_base: Fraction, **options: Any) -> Path:
    options.setdefault("container", MUXERS.get(path.suffix[1:]))
    return write_video(path, pts, time_base, size=SIZE, **options)


# -- times -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [2, 3600])
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mkv", "libx264"),
        ("webm", "libvpx"),
        ("ts", "libx264"),
        ("ts", "mpeg2video"),
        ("flv", "flv"),
        ("asf", "wmv2"),
        ("nut", "ffv1"),
        ("mp4", "libx264"),
        ("mov", "mjpeg"),
    ],
)
def test_a_late_start_is_no_blank_time(
    suffix: str, codec: str, seconds: int, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    first = seconds * 25
    _write(path, range(first, first + COUNT), RATE, codec=codec, pix_fmt=pix_fmt)
    check(path, even(), within=0.001)
    numbers, times, reader = read(path, start=Fraction("0.1"), end=Fraction("0.2"))
    assert numbers == [3, 4] and times[0] == 0


UNEVEN = [0, 7, 40, 41, 200, 233, 900, 12000]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "ts", "flv", "nut"])
def test_uneven_times_are_kept(suffix: str, tmp_path: Path) -> None:
    codec = {"webm": "libvpx", "flv": "flv"}.get(suffix, "libx264")
    uneven = UNEVEN[:-1] if suffix == "ts" else UNEVEN  # there, a pause of 10 s is a jump
    path = _write(tmp_path / f"a.{suffix}", uneven, MS, codec=codec)
    check(path, [moment * MS for moment in uneven], within=0.001)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_times_before_zero_count_from_the_first_frame(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    _write(path, range(-5, COUNT - 5), RATE, container_options={"avoid_negative_ts": "disabled"})
    numbers, times, _ = read(path)
    first = numbers[0]  # an edit list may hide what is before 0, as it does in players
    assert numbers == list(range(first, COUNT)) and first in (0, 5)
    assert [float(t) for t in times] == pytest.approx([i / 25 for i in range(len(times))], abs=1e-3)


def _packets_again(source: Path, target: Path, change: Callable[[Any, int], None]) -> Path:
    """Copy a file packet by packet with other times."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for place, packet in enumerate(old.demux(video=0)):
            if packet.size:
                change(packet, place)
                packet.stream = stream
                new.mux(packet)
    return target


@pytest.mark.parametrize("suffix", ["mp4", "nut", "mov"])
def test_presentation_times_in_coding_order_lose_no_frame(suffix: str, tmp_path: Path) -> None:
    source = _write(tmp_path / "b.mp4", range(30), RATE, options={"bf": "3"})

    def flatten(packet: Any, place: int) -> None:
        packet.pts = packet.dts = place * round(RATE / packet.time_base)

    path = _packets_again(source, tmp_path / f"a.{suffix}", flatten)
    numbers, times, reader = read(path)
    assert len(numbers) == 30 and sorted(numbers) == numbers and reader.faults == []
    assert all(late > early for early, late in zip(times, times[1:], strict=False))
    assert float(times[-1]) == pytest.approx(29 / 25, abs=0.09)


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_times_that_are_there_twice_lose_no_frame(suffix: str, tmp_path: Path) -> None:
    source = _write(tmp_path / "b.mp4", range(COUNT), RATE, options={"bf": "0"})

    def pair(packet: Any, place: int) -> None:
        packet.pts = packet.dts = place // 2 * 2 * round(RATE / packet.time_base)

    path = tmp_path / f"a.{suffix}"
    if suffix == "ts":
        path = _twice_in_ts(tmp_path)
    else:
        _packets_again(source, path, pair)
    numbers, times, _ = read(path)
    assert numbers == list(range(COUNT))
    assert [float(t) for t in times[::2]] == pytest.approx([0, 0.08, 0.16, 0.24], abs=0.002)


def _twice_in_ts(folder: Path) -> Path:
    """A transport stream of pieces, the second of which begins within the first."""
    path = folder / "a.ts"
    pictures = [numbered(index, *SIZE) for index in range(COUNT)]
    pieces = []
    for place in range(0, COUNT, 2):
        for index in (place, place + 1):
            piece = _write(
                folder / f"{index}.ts", [place], RATE, pictures=[pictures[index]],
                options={"bf": "0"},
            )  # fmt: skip
            pieces.append(piece.read_bytes())
    path.write_bytes(b"".join(pieces))
    return path


@pytest.mark.parametrize("late", [0, 500, 86400])
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("ts", "libx264"), ("ts", "mpeg2video"), ("mpg", "mpeg1video")],
)
def test_pieces_put_one_behind_the_other_go_on(
    suffix: str, codec: str, late: int, tmp_path: Path
) -> None:
    if suffix == "mpg" and late:
        pytest.skip("a program stream cannot be written so late")
    options = {"bf": "2"} if codec == "libx264" else {}
    one = _write(tmp_path / f"1.{suffix}", range(50), RATE, codec=codec, options=options)
    pictures = [numbered(50 + index, *SIZE) for index in range(50)]
    other = _write(
        tmp_path / f"2.{suffix}", range(late * 25, late * 25 + 50), RATE, codec=codec,
        pictures=pictures, options=options,
    )  # fmt: skip
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(one.read_bytes() + other.read_bytes())
    check(path, even(100), within=0.09)


def test_a_clock_that_overflows_goes_on(tmp_path: Path) -> None:
    first = WRAP - 3600 * 4
    path = _write(
        tmp_path / "a.ts", [first + 3600 * index for index in range(20)], TS,
        options={"bf": "0"}, container_options={"muxdelay": "0", "mpegts_copyts": "1"},
    )  # fmt: skip
    check(path, even(20), within=1e-4)


# -- animated pictures -------------------------------------------------------------------------


def _pictures(count: int = COUNT) -> list[Image.Image]:
    return [Image.fromarray(numbered(index, *SIZE)) for index in range(count)]


def _without_control_blocks(content: bytes) -> bytes:
    place = content.find(b"\x21\xf9\x04")
    while place >= 0:
        content = content[:place] + content[place + 8 :]
        place = content.find(b"\x21\xf9\x04")
    return content


DELAYS: dict[str, tuple[int | list[int], list[int]]] = {
    "80": (80, [80] * COUNT),
    "0": (0, [100] * COUNT),
    "10": (10, [100] * COUNT),
    "20": (20, [20] * COUNT),
    "mixed": ([80, 0, 10, 120, 30, 0, 500, 80], [80, 100, 100, 120, 30, 100, 500, 80]),
}


@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize("suffix", ["gif", "apng", "webp", "avif"])
def test_animated_pictures_move_as_browsers_show_them(
    suffix: str, delays: str, tmp_path: Path
) -> None:
    asked, shown = DELAYS[delays]
    path = tmp_path / f"a.{suffix}"
    kind = {"apng": "PNG"}.get(suffix, suffix.upper())
    frames = _pictures()
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=asked, **options)
    times = [sum(shown[:index], 0) * MS for index in range(COUNT)]
    check(path, times, within=0.0011 if suffix == "avif" else 1e-5)


@pytest.mark.parametrize("first_only", [False, True])
def test_a_gif_without_control_blocks_moves(first_only: bool, tmp_path: Path) -> None:
    frames = _pictures()
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=80)
    content = path.read_bytes()
    start = content.index(b"\x21\xf9\x04")
    rest = content[start:]
    if first_only:
        path.write_bytes(content[:start] + rest[8:])
        shown = [100] + [80] * (COUNT - 1)
    else:
        path.write_bytes(content[:start] + _without_control_blocks(rest))
        shown = [100] * COUNT
    numbers, times, _ = read(path)
    assert numbers == list(range(COUNT))
    assert times == [sum(shown[:index]) * MS for index in range(COUNT)]


def test_the_picture_before_an_apng_is_no_frame(tmp_path: Path) -> None:
    frames = _pictures()
    path = tmp_path / "a.apng"
    frames[-1].save(
        path, "PNG", save_all=True, append_images=frames, duration=0, default_image=True
    )
    check(path, [index * 100 * MS for index in range(COUNT)], within=1e-5)


# -- what lies beside the frames ---------------------------------------------------------------


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0110] = "Some camera"
    return exif.tobytes()


@pytest.mark.parametrize("suffix", ["apng", "avi", "mov", "mkv", "mjpeg"])
def test_data_without_a_name_does_no_harm(suffix: str, tmp_path: Path) -> None:
    frames, path = _pictures(), tmp_path / f"a.{suffix}"
    if suffix == "apng":
        frames[0].save(
            path, "PNG", save_all=True, append_images=frames[1:], duration=40, exif=_exif()
        )
        check(path, even(), within=1e-5)
        return
    jpegs = []
    for frame in frames:
        encoded = io.BytesIO()
        frame.save(encoded, "JPEG", quality=92, exif=_exif())
        jpegs.append(encoded.getvalue())
    (tmp_path / "a.mjpeg").write_bytes(b"".join(jpegs))
    if suffix != "mjpeg":
        with av.open(str(tmp_path / "a.mjpeg")) as old, av.open(str(path), "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            stream.time_base = RATE
            for place, packet in enumerate(p for p in old.demux(video=0) if p.size):
                packet.time_base = RATE
                packet.pts = packet.dts = place
                packet.stream = stream
                new.mux(packet)
    check(path, even(), within=0.001)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_frames_are_shown_upright(suffix: str, degrees: int, tmp_path: Path) -> None:
    path = _write(tmp_path / f"a.{suffix}", range(COUNT), RATE, rotation=degrees)
    with VideoReader(path) as reader:
        picture = next(iter(reader)).pixels[0].astype(int)
        size = (reader.info.width, reader.info.height)
    upright = np.rot90(numbered(0, *SIZE), degrees // 90).astype(int)
    assert size == (upright.shape[1], upright.shape[0])
    for y, x in ((4, 4), (4, -4), (-4, 4), (-4, -4)):
        assert np.abs(picture[y, x] - upright[y, x]).max() < 45


# -- sound -------------------------------------------------------------------------------------

SOUNDS = [
    ("mp4", "libx264", "aac", 0),
    ("mp4", "libx264", "aac", 100),
    ("mp4", "libx264", "libmp3lame", 0),
    ("mp4", "libx264", "ac3", 0),
    ("mp4", "libx264", "flac", 0),
    ("mp4", "libx264", "alac", 0),
    ("mp4", "libx264", "libopus", 0),
    ("mov", "libx264", "pcm_s16le", 0),
    ("mov", "libx264", "pcm_s24le", 100),
    ("mov", "mjpeg", "pcm_f32le", 0),
    ("mkv", "libx264", "libopus", 0),
    ("mkv", "libx264", "flac", 100),
    ("mkv", "libx264", "vorbis", 0),
    ("mkv", "ffv1", "pcm_s16le", 0),
    ("mkv", "libx264", "eac3", 0),
    ("webm", "libvpx", "libopus", 0),
    ("webm", "libvpx", "libopus", 100),
    ("avi", "mpeg4", "libmp3lame", 0),
    ("avi", "mpeg4", "pcm_s16le", 0),
    ("avi", "mjpeg", "adpcm_ms", 0),
    ("ts", "libx264", "aac", 0),
    ("ts", "libx264", "aac", 100),
    ("ts", "libx264", "mp2", 0),
    ("ts", "mpeg2video", "ac3", 100),
    ("mpg", "mpeg1video", "mp2", 0),
    ("vob", "mpeg2video", "ac3", 0),
    ("flv", "flv", "libmp3lame", 0),
    ("flv", "libx264", "aac", 0),
    ("asf", "wmv2", "wmav2", 0),
    ("asf", "wmv2", "wmav2", 100),
    ("nut", "ffv1", "pcm_s16le", 0),
]


@pytest.mark.parametrize("offset", ["0", "0.12"])
@pytest.mark.parametrize(
    ("suffix", "codec", "sound_codec", "late"),
    [pytest.param(*row, id="-".join(map(str, row))) for row in SOUNDS],
)
def test_sound_keeps_its_distance_from_the_first_frame(
    suffix: str, codec: str, sound_codec: str, late: int, offset: str, tmp_path: Path
) -> None:
    """A known noise, the beginning of which lies so many seconds behind the first frame."""
    samples, path = noise(0.6, 48000), tmp_path / f"a.{suffix}"
    if suffix == "avi" and offset != "0":
        pytest.skip("AVI has no times")
    _write(
        path, range(late, late + 20), RATE, codec=codec,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p", options={"bf": "0"},
        sound=samples, sound_codec=sound_codec, sound_start=late * RATE + Fraction(offset),
        sound_channels=2 if sound_codec in ("vorbis", "wmav2", "adpcm_ms") else 1,
    )  # fmt: skip
    output, warnings = _copied(path, tmp_path / "out.mp4")
    assert warnings == [] and video_times(output)[0] == 0
    heard = sound_on_timeline(output)
    # Formats of one clock for all begin with whatever comes first; encoders delay by a packet.
    assert delay_seconds(samples[0], heard) == pytest.approx(float(Fraction(offset)), abs=0.06)
    before, first = sound_on_timeline(path), video_times(path)[0]
    shown = before[round(first * 48000) :]
    if suffix != "avi":
        assert delay_seconds(shown, heard) == pytest.approx(0, abs=0.0015)


def _copied(path: Path, output: Path) -> tuple[Path, list[str]]:
    with (
        VideoReader(path, forgiving=True) as reader,
        VideoWriter(
            output,
            width=reader.info.width,
            height=reader.info.height,
            time_base=reader.info.time_base,
            audio_from=path,
            audio_start=reader.audio_start,
            audio_end=reader.audio_end,
        ) as writer,
    ):
        for frames in reader:
            write_batch(writer, frames)
    return output, [*reader.faults, *writer.warnings]


def _channels(path: Path, layout: str, codec: str, rate: int, kept: Sequence[int]) -> Path:
    """A video with sound of a layout, in which the known noise is in the kept channels alone."""
    _write(path.with_name("silent.mkv"), range(COUNT), RATE)
    sound = noise(0.5, rate)[0]
    with (
        av.open(str(path.with_name("silent.mkv"))) as old,
        av.open(str(path), "w", format=MUXERS.get(path.suffix[1:])) as new,
    ):
        video = new.add_stream_from_template(old.streams.video[0])
        audio: Any = new.add_stream(codec, rate=rate)
        audio.layout = layout
        channels = audio.layout.nb_channels
        samples: npt.NDArray[np.int16] = np.zeros((len(sound), channels), np.int16)
        for channel in kept:
            samples[:, channel] = np.round(sound * 32767)
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = video
                new.mux(packet)
        step = 1024
        for first in range(0, len(sound) - step, step):
            flat = np.ascontiguousarray(samples[first : first + step].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(flat, "s16", layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first
            for packet in audio.encode(frame):
                new.mux(packet)
        for packet in audio.encode(None):
            new.mux(packet)
    return path


@pytest.mark.parametrize(
    ("layout", "suffix", "rate"),
    [
        ("5.1", "mov", 48000),
        ("7.1", "mkv", 48000),
        ("10 channels", "mov", 48000),
        ("12 channels", "mkv", 44100),
        ("16 channels", "mov", 96000),
        ("3 channels", "mov", 48000),
        ("hexadecagonal", "mkv", 48000),
        ("stereo", "mkv", 37000),
        ("stereo", "mkv", 192000),
        ("mono", "mkv", 6000),
    ],
)
def test_any_number_of_channels_is_heard(
    layout: str, suffix: str, rate: int, tmp_path: Path
) -> None:
    path = _channels(tmp_path / f"a.{suffix}", layout, "pcm_s16le", rate, (0,))
    output, warnings = _copied(path, tmp_path / "out.mp4")
    assert warnings == []
    heard = sound_on_timeline(output)
    with av.open(str(output)) as container:
        assert container.streams.audio[0].codec_context.channels <= 2
    assert 0.3 < len(heard) / 48000 < 0.6 and np.abs(heard).max() > 0.01


def _two_tracks(path: Path, **about: Any) -> Path:
    """A video with two sound tracks, the first a beep of 400 Hz and the second of 1200 Hz."""
    _write(path.with_name("silent.mkv"), range(COUNT), RATE)
    with (
        av.open(str(path.with_name("silent.mkv"))) as old,
        av.open(str(path), "w") as new,
    ):
        video = new.add_stream_from_template(old.streams.video[0])
        tracks: list[Any] = []
        for name in ("first", "second"):
            track: Any = new.add_stream("flac", rate=48000)
            track.layout = "mono"
            for key, value in about.get(name, {}).items():
                if key == "language":
                    track.metadata["language"] = value
                else:
                    track.disposition = value
            tracks.append(track)
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = video
                new.mux(packet)
        for track, pitch in zip(tracks, (400, 1200), strict=True):
            wave = np.sin(np.arange(24000) / 48000 * 2 * np.pi * pitch) * 16000
            frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            new.mux(track.encode(frame))
            new.mux(track.encode(None))
    return path


DEFAULT = 1
COMMENT = 8
BLIND = 256


@pytest.mark.parametrize(
    ("first", "second", "pitch"),
    [
        ({"disposition": DEFAULT}, {"disposition": 0}, 400),
        ({"disposition": 0}, {"disposition": DEFAULT}, 1200),
        ({"disposition": COMMENT}, {"disposition": 0}, 1200),
        ({"disposition": BLIND}, {"disposition": 0}, 1200),
        ({"disposition": 0, "language": "fre"}, {"disposition": 0, "language": "und"}, 1200),
    ],
)
def test_the_main_sound_track_is_heard(
    first: dict[str, Any], second: dict[str, Any], pitch: int, tmp_path: Path
) -> None:
    path = _two_tracks(tmp_path / "a.mkv", first=first, second=second)
    output, _ = _copied(path, tmp_path / "out.mp4")
    assert _pitch(output) == pytest.approx(pitch, abs=10)


def _pitch(path: Path) -> float:
    heard = sound_on_timeline(path)
    return float(np.argmax(np.abs(np.fft.rfft(heard)))) * 48000 / len(heard)


def test_a_track_that_cannot_be_read_gives_way_and_is_told(tmp_path: Path) -> None:
    path = _two_tracks(tmp_path / "a.mkv", first={"disposition": 1}, second={"disposition": 0})
    content = path.read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(content.replace(b"A_FLAC", b"A_FLAX", 1))
    choice = choose_sound(broken, DEFAULT_LIMITS)
    assert choice.note == ANOTHER
    output, warnings = _copied(broken, tmp_path / "out.mp4")
    assert _pitch(output) == pytest.approx(1200, abs=10) and warnings == [ANOTHER]
    broken.write_bytes(content.replace(b"A_FLAC", b"A_FLAX"))
    assert choose_sound(broken, DEFAULT_LIMITS).note == LEFT_OUT
    output, warnings = _copied(broken, tmp_path / "silent.mp4")
    assert warnings == [LEFT_OUT]
    with av.open(str(output)) as container:
        assert not container.streams.audio


@pytest.mark.parametrize("late", [0, 500])
def test_sound_goes_on_with_the_picture_where_pieces_meet(late: int, tmp_path: Path) -> None:
    first, second = noise(2, 48000, 1), noise(2, 48000, 2)
    pieces = []
    for name, start, samples in (("1.ts", 0, first), ("2.ts", late, second)):
        pieces.append(
            _write(
                tmp_path / name, range(start * 25, start * 25 + 50), RATE, options={"bf": "0"},
                sound=samples, sound_codec="mp2", sound_start=Fraction(start),
            ).read_bytes()
        )  # fmt: skip
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(pieces))
    output, _ = _copied(path, tmp_path / "out.mp4")
    assert [float(t) for t in video_times(output)] == pytest.approx(
        [index / 25 for index in range(100)], abs=0.001
    )
    heard = sound_on_timeline(output)
    assert delay_seconds(first[0], heard[:96000]) == pytest.approx(0, abs=0.06)
    assert delay_seconds(second[0], heard[90000:]) == pytest.approx(6000 / 48000, abs=0.06)


# -- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.7, 0.9])
@pytest.mark.parametrize(
    ("suffix", "codec", "flags"),
    [
        ("mkv", "libx264", ""),
        ("webm", "libvpx", ""),
        ("avi", "mpeg4", ""),
        ("mp4", "libx264", "faststart"),
        ("mp4", "libx264", "frag_keyframe+empty_moov"),
        ("mov", "mjpeg", "faststart"),
        ("ts", "mpeg2video", ""),
        ("flv", "flv", ""),
    ],
)
def test_of_a_file_that_breaks_off_there_is_the_beginning_and_a_word(
    suffix: str, codec: str, flags: str, share: float, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    _write(
        path, range(100), RATE, codec=codec, options={"g": "10"},
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        container_options={"movflags": flags} if flags else None,
    )  # fmt: skip
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    numbers, times, reader = read(path)
    assert 10 < len(numbers) <= 100 and numbers[:-3] == list(range(len(numbers) - 3))
    assert float(times[5]) == pytest.approx(0.2, abs=0.001)
    assert reader.faults
    if suffix in ("ts", "flv"):
        return  # in which only the last packet shows it
    with pytest.raises(AnimatorError) as caught, VideoReader(path) as strict:
        list(strict)
    assert caught.value.code == "unreadable_video"


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_transport_stream_goes_on_after_damage(codec: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ts", range(100), RATE, codec=codec, options={"g": "10", "bf": "0"})
    content = bytearray(path.read_bytes())
    packets = len(content) // 188
    noise_bytes = np.random.default_rng(0).integers(0, 256, 184 * 8, np.uint8).tobytes()
    for place in range(8):
        start = (packets // 2 + place) * 188
        content[start + 4 : start + 188] = noise_bytes[place * 184 : place * 184 + 184]
    path.write_bytes(content)
    numbers, times, reader = read(path)
    assert len(numbers) + 20 > 100 and numbers[-1] == 99 and numbers[:20] == list(range(20))
    assert float(times[-1]) == pytest.approx(99 / 25, abs=0.05)
    assert len(numbers) == 100 or reader.faults
