"""Where the files go that are written beside a video; quick to import."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from animator.spec import Extra

ENDINGS: dict[Extra, str] = {
    "landmarks": ".landmarks.npz",
    "structures": ".structures.npz",
    "flows": ".flows.npz",
    "frames": ".frames.tar",
}
"""What takes the place of the video's own ending."""


def extra_files(output: str | Path, extras: Iterable[Extra]) -> dict[Extra, Path]:
    """The files beside a video: `out.mp4` has its landmarks in `out.landmarks.npz`."""
    video = Path(output)
    return {extra: video.with_name(video.stem + ENDINGS[extra]) for extra in extras}
