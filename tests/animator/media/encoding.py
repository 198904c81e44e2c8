"""What the tests of encoding share: ways to write numbered frames and to copy a video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.media.frames import FrameBatch
from tests.animator.media_files import numbered

SIZE = (160, 96)


def batch(pts: list[int], time_base: Fraction, size: tuple[int, int] = SIZE) -> FrameBatch:
    pixels = np.stack([numbered(index, *size) for index in range(len(pts))])
    return FrameBatch(pixels, tuple(pts), time_base)


def write(
    path: Path, pts: list[int], time_base: Fraction, size: tuple[int, int] = SIZE, **options: Any
) -> VideoWriter:
    writer = VideoWriter(path, width=size[0], height=size[1], time_base=time_base, **options)
    with writer:
        write_batch(writer, batch(pts, time_base, size))
    return writer


def write_batch(writer: VideoWriter, frames: FrameBatch) -> None:
    for picture, pts in zip(frames.pixels, frames.pts, strict=True):
        writer.write(picture, pts)


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
            write_batch(writer, frames)
            times += [pts * frames.time_base for pts in frames.pts]
    return times
