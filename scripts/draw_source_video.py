"""Draw the sheet of docs/video-portraits.md: a video as the portrait, on the sample media.

The sample driving video, mirrored and backwards, is the portrait; the sample driving video itself
moves it. The rows show, at the same moments: the portrait, the driving video, keep and replace.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from animator.animation.pipeline import animate
from animator.faces.crop import resize
from animator.media.decode import VideoReader
from animator.media.encode import VideoWriter
from animator.samples.media import RATE, write_samples
from animator.spec import JobSpec
from gfla.arrays import Picture

SHEET = Path(__file__).parent.parent / "docs" / "video-portraits.jpg"
TILE, GAP, WORDS, TYPE = 170, 6, 104, 17
MOMENTS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
PER_SECOND = 6
"""Frames a second of the results, of which some are shown."""


def main() -> None:
    """Make the media, run both jobs, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=SHEET)
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, driving = write_samples(folder)
        source = mirrored(driving, folder / "portrait.mp4")
        spec = JobSpec(
            str(source), str(driving), str(folder / "out.mp4"), fps=str(PER_SECOND), crf=2,
            output_mode="paste-back",
        )  # fmt: skip
        rows = {"portrait": shown(source), "driving": shown(driving)}
        for motion in ("keep", "replace"):
            animate(replace(spec, source_motion=motion))
            rows[motion] = shown(folder / "out.mp4")
    joined(rows).save(output, quality=82, optimize=True)
    print(f"{output}: {output.stat().st_size // 1024} KB")


def mirrored(video: Path, output: Path) -> Path:
    """The first seconds of a video, mirrored and backwards."""
    with VideoReader(video) as reader:
        pictures = [picture for batch in reader for picture in batch.pixels]
        base, size = reader.info.time_base, (reader.info.width, reader.info.height)
    pictures = pictures[: int(MOMENTS[-1] * RATE) + 5][::-1]
    step = round(1 / (RATE * base))
    with VideoWriter(output, width=size[0], height=size[1], time_base=base, rate=RATE) as writer:
        for number, picture in enumerate(pictures):
            writer.write(np.ascontiguousarray(picture[:, ::-1]), number * step)
    return output


def shown(video: Path) -> list[Picture]:
    """What a video shows at each of the moments."""
    found: list[Picture] = []
    with VideoReader(video) as reader:
        for batch in reader:
            for pts, picture in zip(batch.pts, batch.pixels, strict=True):
                late = pts * reader.info.time_base >= MOMENTS[min(len(found), len(MOMENTS) - 1)]
                if late and len(found) < len(MOMENTS):
                    found.append(resize(picture, TILE, TILE))
    return found


def joined(rows: dict[str, list[Picture]]) -> Image.Image:
    """The rows with their names before them."""
    width = WORDS + len(MOMENTS) * (TILE + GAP)
    page = Image.new("RGB", (width, len(rows) * (TILE + GAP) - GAP), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(TYPE)
    for row, (name, pictures) in enumerate(rows.items()):
        top = row * (TILE + GAP)
        pen.text((4, top + TILE / 2), name, "black", font, anchor="lm")
        for column, picture in enumerate(pictures):
            page.paste(Image.fromarray(picture), (WORDS + column * (TILE + GAP), top))
    return page


if __name__ == "__main__":
    main()
