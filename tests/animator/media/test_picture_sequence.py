"""Pictures one by one, read as a video."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animator.errors import AnimatorError
from animator.media.decode import DEFAULT_LIMITS, VideoReader, read_picture
from animator.media.sampling import Sampler, read_timing
from animator.media.sound_choice import choose_sound
from tests.animator.media_files import number, numbered

COUNT = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(COUNT):
        Image.fromarray(numbered(index)).save(tmp_path / f"f{index}.png")
    return tmp_path


def read(path: Path, **options: object) -> tuple[list[int], list[Fraction]]:
    with VideoReader(path, **options) as reader:  # type: ignore[arg-type]
        batches = list(reader)
        shown = [number(picture) for batch in batches for picture in batch.pixels]
        times = [pts * reader.info.time_base for batch in batches for pts in batch.pts]
    return shown, times


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(25, 2)])
@pytest.mark.parametrize("name", ["", "f%d.png"])
def test_they_come_in_order_at_exact_times(name: str, rate: Fraction, folder: Path) -> None:
    shown, times = read(folder / name, rate=rate)
    assert shown == list(range(COUNT))
    assert times == [index / rate for index in range(COUNT)]


def test_a_part(folder: Path) -> None:
    shown, times = read(folder, rate=Fraction(10), start=Fraction(3, 10), end=Fraction(7, 10))
    assert shown == [3, 4, 5, 6]
    assert times[0] == 0
    assert read(folder, rate=Fraction(1), start=Fraction(8))[0] == [8, 9, 10, 11]


def test_what_is_known_beforehand(folder: Path) -> None:
    with VideoReader(folder, rate=Fraction(24)) as reader:
        info = reader.info
    assert (info.frames, info.duration, info.has_audio) == (COUNT, Fraction(1, 2), False)
    assert (info.width, info.height, info.codec) == (160, 96, "png")
    timing = read_timing(
        folder, DEFAULT_LIMITS, Fraction(0), None, 5, forgiving=True, rate=Fraction(24)
    )
    assert (timing.frames, timing.variable) == (COUNT, False)
    sampler = Sampler(folder, DEFAULT_LIMITS, [0.0, 0.25], 5, rate=Fraction(24))
    assert [number(picture) for _, picture in sampler] == [0, 6]
    assert choose_sound(folder, DEFAULT_LIMITS).index is None


def test_as_a_portrait_it_is_its_first_picture(folder: Path) -> None:
    assert number(read_picture(folder).pixels) == 0


def test_pictures_of_other_sizes_and_kinds_are_shown_in_the_firsts(tmp_path: Path) -> None:
    Image.fromarray(numbered(0)).save(tmp_path / "1.png")
    Image.fromarray(numbered(5, 320, 192)).save(tmp_path / "2.jpg", quality=95)
    deep = (numbered(9)[..., 1].astype(np.uint16)) * 257
    Image.fromarray(deep).save(tmp_path / "3.tif")
    with VideoReader(tmp_path) as reader:
        pictures = [picture for batch in reader for picture in batch.pixels]
    assert {picture.shape for picture in pictures} == {(96, 160, 3)}
    assert [number(picture) for picture in pictures] == [0, 5, 9]


def test_a_damaged_picture_is_left_out_or_refused(folder: Path) -> None:
    (folder / "f4.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    with pytest.raises(AnimatorError) as caught:
        read(folder)
    assert caught.value.code in ("unreadable_image", "unsupported_format")
    assert "f4.png" in caught.value.message
    with VideoReader(folder, rate=Fraction(1), forgiving=True) as reader:
        times = [pts for batch in reader for pts in batch.pts]
        assert reader.faults == ["1 of the 12 pictures cannot be read and are left out."]
    assert times == [0, 1, 2, 3, *range(5, COUNT)]


def test_limits_hold_for_each_picture_and_for_all(folder: Path) -> None:
    for limits in (
        replace(DEFAULT_LIMITS, max_bytes=100),
        replace(DEFAULT_LIMITS, max_image_pixels=100),
        replace(DEFAULT_LIMITS, max_frames=COUNT - 1),
    ):
        with pytest.raises(AnimatorError) as caught:
            read(folder, limits=limits)
        assert caught.value.code in ("too_large", "too_long")
