"""Small files of every kind that a result may be, marked and not, and how players see them."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from animator.provenance.containers import embed_mark
from animator.provenance.mark import TRAINED, Mark
from tests.animator.media_files import noise, numbered, write_video

VIDEOS = ("mp4", "mov", "mkv", "webm")
PICTURES = ("gif", "apng", "png", "webp")
KINDS = VIDEOS + PICTURES
SIGNABLE = ("mp4", "mov", "gif", "apng", "png", "webp")
FRAMES = 6
MARK = Mark(
    "0.1.0",
    "default@0123456789",
    TRAINED,
    {"source": "a" * 64, "driving": "b" * 64, "weights": "c" * 64},
    {"size": 256, "motion": "relative", "smoothing": 0.5, "weights": "default", "note": "<&>\"'ж"},
)


def make_file(path: Path) -> Path:
    """A file of the kind that its name says, without any mark."""
    kind = path.suffix.removeprefix(".")
    if kind in VIDEOS:
        webm = kind == "webm"
        return write_video(
            path, range(FRAMES), Fraction(1, 25), sound=noise(FRAMES / 25, 48000),
            codec="libvpx-vp9" if webm else "libx264", sound_codec="libopus" if webm else "aac",
            container_options={"movflags": "+faststart"} if kind in ("mp4", "mov") else None,
        )  # fmt: skip
    pictures = [Image.fromarray(numbered(index)) for index in range(FRAMES)]
    many = {} if kind == "png" else {"save_all": True, "append_images": pictures[1:], "loop": 0}
    pictures[0].save(path, "PNG" if kind == "apng" else kind.upper(), **many)
    return path


def make_marked(path: Path, mark: Mark = MARK) -> Path:
    """The same with a mark."""
    embed_mark(make_file(path), mark)
    return path


def decoded(path: Path) -> list[tuple[str, object]]:
    """All that a player gets to see and hear of a file, with times, as hashes."""
    if path.suffix.removeprefix(".") in PICTURES:
        with Image.open(path) as image:
            shown = []
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                pixels = np.asarray(image.convert("RGBA")).tobytes()
                shown.append((hashlib.sha256(pixels).hexdigest(), image.info.get("duration")))
            return [*shown, ("loop", image.info.get("loop"))]
    with av.open(str(path)) as container:
        return [
            (hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest(), frame.time)
            for frame in container.decode(*container.streams)
        ]


def flip(path: Path, offset: int, bit: int = 1) -> Path:
    """The file with one bit of one byte changed."""
    content = bytearray(path.read_bytes())
    content[offset] ^= bit
    path.write_bytes(content)
    return path
