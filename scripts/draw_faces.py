"""Draw the sheet of docs/faces.md: two faces of one picture, each with a driving video of its own.

The picture is made of the sample portrait and its mirror image, the driving videos are two parts of
the sample's. Below them are frames of the result.
"""

from __future__ import annotations

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from animator.animation.pipeline import animate
from animator.faces.crop import resize
from animator.media.decode import VideoReader, read_picture
from animator.media.encode import VideoWriter
from animator.media.stills import write_picture
from animator.samples.media import RATE, write_samples
from animator.spec import JobSpec
from animator.values import Location

SHEET = Path(__file__).parent.parent / "docs" / "faces.jpg"
HEIGHT, GAP, WORDS, TYPE = 232, 8, 34, 19
PARTS = (("0.5", "1.7"), ("2.6", "3.4"))
"""Beginning and end of the two driving videos in the sample's, in seconds."""
SHOWN = (0.3, 0.7, 1.0)
"""Seconds into the result; the second driving video has ended before the last."""
Pictures = NDArray[np.uint8]


def main() -> None:
    """Make picture and videos, animate, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=SHEET)
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portrait, driving = write_samples(folder)
        both = two_faces(read_picture(portrait).pixels)
        write_picture(folder / "two.png", both, "")
        videos = [cut(driving, folder / f"{n}.mp4", *part) for n, part in enumerate(PARTS, 1)]
        spec = JobSpec(
            Location(str(folder / "two.png")),
            Location(str(videos[0])),
            Location(str(folder / "out.mp4")),
            face=f"1={videos[0]};2={videos[1]}",
            crf=12,
        )
        animate(spec)
        moments = [frame_at(folder / "out.mp4", seconds) for seconds in SHOWN]
        drives = [frame_at(video, SHOWN[0]) for video in videos]
    rows = [
        {"the picture": both, "1=smile.mp4": drives[0], "2=talk.mp4": drives[1]},
        {f"{seconds} s": picture for seconds, picture in zip(SHOWN, moments, strict=True)},
    ]
    joined(rows).save(output, quality=85, optimize=True)
    print(f"{output}: {output.stat().st_size // 1024} KB")


def two_faces(portrait: Pictures) -> Pictures:
    """The portrait, and more of its mirror image on the right, which makes that face smaller."""
    large = portrait[:320, 40:400]
    more = np.ascontiguousarray(portrait[:430, 40:440][:, ::-1])
    return np.hstack([large, resize(more, 298, 320)])


def cut(video: Path, path: Path, start: str, end: str) -> Path:
    """A part of a video as a file of its own."""
    with (
        VideoReader(video, start=Fraction(start), end=Fraction(end)) as reader,
        VideoWriter(
            path, width=reader.info.width, height=reader.info.height,
            time_base=1 / RATE, rate=RATE,
        ) as writer,
    ):  # fmt: skip
        pictures = (picture for batch in reader for picture in batch.pixels)
        for number, picture in enumerate(pictures):
            writer.write(picture, number)
    return path


def frame_at(video: Path, seconds: float) -> Pictures:
    """The frame of a video at a time."""
    with VideoReader(video) as reader:
        pictures = [picture for batch in reader for picture in batch.pixels]
    return pictures[min(round(seconds * float(RATE)), len(pictures) - 1)]


def joined(rows: list[dict[str, Pictures]]) -> Image.Image:
    """Rows of pictures with words below each."""
    widths = [[tile.shape[1] * HEIGHT // tile.shape[0] for tile in row.values()] for row in rows]
    width = max(sum(row) + GAP * (len(row) - 1) for row in widths)
    page = Image.new("RGB", (width, len(rows) * (HEIGHT + WORDS)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(TYPE)
    for number, (row, across) in enumerate(zip(rows, widths, strict=True)):
        left, top = 0, number * (HEIGHT + WORDS)
        for (words, tile), wide in zip(row.items(), across, strict=True):
            page.paste(Image.fromarray(resize(tile, wide, HEIGHT)), (left, top))
            middle = (left + wide / 2, top + HEIGHT + WORDS / 2)
            pen.text(middle, words, "black", font, anchor="mm")
            left += wide + GAP
    return page


if __name__ == "__main__":
    main()
