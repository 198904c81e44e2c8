"""Draw a contact sheet: the source, and below each other driving frames and the result's."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.media.decode import VideoReader, read_image

HEIGHT = 192


def main() -> None:
    """Read, pick frames, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("driving", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=7, help="columns")
    parser.add_argument("--at", type=int, nargs="+", help="these frames instead of even steps")
    options = parser.parse_args()
    driving, result = pictures(options.driving), pictures(options.result)
    last = min(len(driving), len(result)) - 1
    chosen = options.at or np.linspace(0, last, options.frames).astype(int).tolist()
    source = scaled(read_image(options.source))
    rows = [
        np.hstack([source, *(driving[index] for index in chosen)]),
        np.hstack([source, *(result[index] for index in chosen)]),
    ]
    width = max(row.shape[1] for row in rows)
    sheet = np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
    cv2.imwrite(str(options.out), sheet[..., ::-1])


def pictures(video: Path) -> list[NDArray[np.uint8]]:
    """All frames of a short video, scaled down."""
    with VideoReader(video) as reader:
        return [scaled(picture) for batch in reader for picture in batch.pixels]


def scaled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At the sheet's height."""
    width = round(picture.shape[1] * HEIGHT / picture.shape[0])
    small = cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


if __name__ == "__main__":
    main()
