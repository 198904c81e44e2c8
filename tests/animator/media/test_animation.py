"""Animated pictures: frames, times, palette, and that they go round for ever."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from animator.errors import AnimatorError, JobCancelled
from animator.formats import FORMATS
from animator.media.animation import write_animation
from animator.media.coding import LOSSLESS_CODING
from animator.media.decode import VideoReader, read_image
from animator.media.encode import VideoWriter
from tests.animator.media_files import number, numbered

COMMENT = "AI-generated: <a> & b."
RATES = {
    "NTSC": ([1001 * t for t in range(24)], Fraction(1, 30000), Fraction(30000, 1001)),
    "12.5": ([8 * t for t in range(9)], Fraction(1, 100), Fraction(25, 2)),
    "variable": ([0, 400, 900, 1400, 2800, 3300, 4000], Fraction(1, 12800), None),
    "one": ([0], Fraction(1, 25), Fraction(25)),
}
UNITS = {".gif": Fraction(1, 100), ".webp": Fraction(1, 1000), ".apng": Fraction(0)}
SUFFIXES = list(UNITS)


def video(folder: Path, pts: list[int], base: Fraction, size: tuple[int, int] = (160, 96)) -> Path:
    path = folder / "lossless.mp4"
    with VideoWriter(
        path, width=size[0], height=size[1], time_base=base, coding=LOSSLESS_CODING
    ) as writer:
        for index, time in enumerate(pts):
            writer.write(numbered(index, *size), time)
    return path


def delays(path: Path) -> list[Fraction]:
    """How long each frame lasts in seconds, as Pillow reads it."""
    with Image.open(path) as image:
        found = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            found.append(Fraction(image.info.get("duration", 0)).limit_denominator(10**6) / 1000)
    return found


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_and_times(suffix: str, name: str, tmp_path: Path) -> None:
    pts, base, rate = RATES[name]
    output = tmp_path / f"out{suffix}"
    source = video(tmp_path, pts, base, (161, 97))
    write_animation(source, output, FORMATS[suffix], pts, base, rate=rate, comment=COMMENT)
    if len(pts) == 1 and suffix != ".gif":
        frames = [read_image(output)]  # which is a picture like any other
    else:
        with VideoReader(output) as reader:
            frames = [picture for batch in reader for picture in batch.pixels]
    assert [number(frame) for frame in frames] == list(range(len(pts)))
    assert frames[0].shape == (97, 161, 3)
    if len(pts) == 1:
        return
    # Each time is rounded by itself, so that errors do not add up.
    times = np.cumsum([0, *delays(output)])
    last = pts[-1] - pts[-2] if rate is None else 1 / (rate * base)
    for found, wanted in zip(times, [*pts, pts[-1] + last], strict=True):
        assert abs(found - wanted * base) <= UNITS[suffix] / 2 + Fraction(1, 10**5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_it_goes_round_for_ever_and_says_what_it_is(suffix: str, tmp_path: Path) -> None:
    pts, base, rate = RATES["12.5"]
    output = tmp_path / f"out{suffix}"
    write_animation(
        video(tmp_path, pts, base), output, FORMATS[suffix], pts, base, rate=rate, comment=COMMENT
    )
    with Image.open(output) as image:
        assert image.is_animated
        assert image.info["loop"] == 0
        image.load()
    content = output.read_bytes()
    said = COMMENT if suffix != ".webp" else "AI-generated: &lt;a&gt; &amp; b."
    assert said.encode() in content
    if ffprobe := shutil.which("ffprobe"):
        command = [ffprobe, "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"]
        done = subprocess.run([*command, str(output)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == suffix[1:]


@pytest.mark.parametrize(("suffix", "crf"), [(".apng", "auto"), (".webp", 0)])
def test_without_loss(suffix: str, crf: int | str, tmp_path: Path) -> None:
    pts, base, rate = RATES["12.5"]
    output = tmp_path / f"out{suffix}"
    source = video(tmp_path, pts, base)
    write_animation(source, output, FORMATS[suffix], pts, base, rate=rate, crf=crf)
    with VideoReader(output) as reader:
        frames = [picture for batch in reader for picture in batch.pixels]
    assert all(np.array_equal(frame, numbered(n)) for n, frame in enumerate(frames))


def test_a_webps_quality_is_heeded(tmp_path: Path) -> None:
    pts, base, rate = RATES["12.5"]
    source, sizes = tmp_path / "a.mp4", []
    noisy = cv2.resize(np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8), (160, 96))
    with VideoWriter(source, width=160, height=96, time_base=base, coding=LOSSLESS_CODING) as made:
        for time in pts:
            made.write(np.roll(noisy, time, 1), time)
    for crf in ("auto", 60, 95):
        output = tmp_path / f"{crf}.webp"
        write_animation(source, output, FORMATS[".webp"], pts, base, rate=rate, crf=crf)
        sizes.append(output.stat().st_size)
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_gifs_palette_is_made_for_its_pictures(tmp_path: Path) -> None:
    """Skin tones, of which a fixed palette has a dozen, come out without bands."""
    pts, base = list(range(0, 40, 8)), Fraction(1, 100)
    ramp = np.linspace(0, 1, 160)[None, :, None]
    skin = np.array([90, 55, 40]) + ramp * np.array([150, 140, 130])
    frames = [np.repeat(np.roll(skin, 4 * n, 1), 96, 0).astype(np.uint8) for n in range(5)]
    path = tmp_path / "a.mp4"
    with VideoWriter(path, width=160, height=96, time_base=base, coding=LOSSLESS_CODING) as writer:
        for frame, time in zip(frames, pts, strict=True):
            writer.write(frame, time)
    output = tmp_path / "a.gif"
    write_animation(path, output, FORMATS[".gif"], pts, base)
    with VideoReader(output) as reader:
        found = [picture for batch in reader for picture in batch.pixels]
    for one, wanted in zip(found, frames, strict=True):
        smooth = cv2.GaussianBlur(one.astype(np.float32), (0, 0), 2)
        error = np.abs(smooth - cv2.GaussianBlur(wanted.astype(np.float32), (0, 0), 2))
        assert error[:, 24:-24].mean() < 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_left_of_one_that_was_stopped(suffix: str, tmp_path: Path) -> None:
    pts, base, rate = RATES["12.5"]
    source, folder = video(tmp_path, pts, base), tmp_path / "out"
    folder.mkdir()
    looked = iter(range(5))

    def check() -> None:
        if next(looked, None) is None:
            raise JobCancelled

    output = folder / f"a{suffix}"
    with pytest.raises(JobCancelled):
        write_animation(source, output, FORMATS[suffix], pts, base, rate=rate, check=check)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_told(suffix: str, tmp_path: Path) -> None:
    from tests.animator.conftest import mounted_disk

    pts, base = list(range(40)), Fraction(1, 25)
    path = tmp_path / "a.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, width=160, height=96, time_base=base, coding=LOSSLESS_CODING) as writer:
        for time in pts:
            writer.write(rng.integers(0, 256, (96, 160, 3), np.uint8), time)
    with mounted_disk(tmp_path / "disk", 64) as folder:
        with pytest.raises(AnimatorError) as caught:
            write_animation(path, folder / f"a{suffix}", FORMATS[suffix], pts, base, crf=0)
        assert caught.value.code == "disk_full"
        assert list(folder.iterdir()) == []
