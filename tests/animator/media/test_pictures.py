"""Frames as PNG one by one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animator.media.coding import LOSSLESS_CODING
from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.media.pictures import numbered as name_of
from animator.media.pictures import pattern_of, write_pictures
from tests.animator.media_files import number, numbered


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    with VideoWriter(
        path, width=161, height=97, time_base=Fraction(1, 25), coding=LOSSLESS_CODING
    ) as writer:
        for index in range(6):
            writer.write(numbered(index, 161, 97), index)
    return path


def test_names() -> None:
    assert pattern_of("/a/out/") == "%05d.png"
    assert pattern_of("/a/f-%03d.png") == "f-%03d.png"
    assert name_of("f-%03d.png", 7) == "f-007.png"
    assert name_of("%d.png", 12) == "12.png"
    assert name_of("%05d.png", 123456) == "123456.png"


def test_pictures_are_the_frames_and_say_what_they_are(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_pictures(video, folder, "%05d.png", comment="AI-generated")
    assert sorted(path.name for path in folder.iterdir()) == [f"{n:05}.png" for n in range(6)]
    for index in range(6):
        with Image.open(folder / f"{index:05}.png") as image:
            assert image.info["Comment"] == "AI-generated"
            assert image.info["srgb"] == 0
            assert np.array_equal(np.asarray(image), numbered(index, 161, 97))


def test_those_that_are_there_are_not_made_again(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_pictures(video, folder, "%05d.png")
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    (folder / "00002.png").unlink()
    write_pictures(video, folder, "%05d.png")
    after = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert {name for name in after if after[name] == before[name]} >= {*before} - {"00002.png"}


def test_what_is_written_can_be_a_driving_video(video: Path, tmp_path: Path) -> None:
    write_pictures(video, tmp_path / "out", "%05d.png")
    for path in (tmp_path / "out", tmp_path / "out" / "%05d.png"):
        with VideoReader(path) as reader:
            shown = [number(picture) for batch in reader for picture in batch.pixels]
        assert shown == list(range(6))
