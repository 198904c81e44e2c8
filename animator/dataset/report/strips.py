"""A few small frames of a video, as a report shows them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from animator.dataset.rows import Row
from animator.errors import AnimatorError
from animator.media.display import Display
from animator.media.video_file import VideoFile
from animator.settings import DEFAULT_LIMITS

FRAMES = 4
HEIGHT = 128
_WIDEST = 256
_QUALITY = 72
_SEEK_FROM = 5  # seconds; nearer frames are reached by decoding


@dataclass(frozen=True)
class Strip:
    """Frames spread over one video."""

    jpegs: tuple[bytes, ...] = ()
    """At most `HEIGHT` pixels high, all of one size."""
    seconds: tuple[float, ...] = ()
    """When each is shown."""
    width: int = 0
    height: int = 0
    note: str = ""
    """Why there are no frames, if there are none."""


def read_strip(row: Row, video_of: Callable[[Row], bytes]) -> Strip:
    """The strip of a sample; a note in place of one whose video cannot be had or read."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.mp4"
            path.write_bytes(video_of(row))
            return _strip(path)
    except AnimatorError as error:
        # Its sentence would name the temporary file, which says nothing to a reader.
        return Strip(note=f"The video cannot be shown ({error.code}).")
    except (OSError, ValueError, KeyError, av.FFmpegError) as error:
        return Strip(note=f"The video cannot be shown ({type(error).__name__}).")


def _strip(path: Path) -> Strip:
    file = VideoFile(path, DEFAULT_LIMITS)
    try:
        first = file.next()
        if first is None:
            raise AnimatorError("no_frames", "The video has no frame.")
        display = Display(first[1], file.stream.sample_aspect_ratio)
        frames = _spread(file, first)
        scale = min(HEIGHT / display.height, _WIDEST / display.width, 1)
        width = max(1, round(display.width * scale))
        height = max(1, round(display.height * scale))
        jpegs = []
        for _, frame in frames:
            whole = Image.fromarray(np.ascontiguousarray(display.rgb(frame)))
            picture = whole.resize((width, height), Image.Resampling.LANCZOS)
            encoded = io.BytesIO()
            picture.save(encoded, format="JPEG", quality=_QUALITY, optimize=True)
            jpegs.append(encoded.getvalue())
        times = tuple(float((pts - first[0]) * file.time_base) for pts, _ in frames)
        return Strip(tuple(jpegs), times, width, height)
    finally:
        file.close()


def _spread(file: VideoFile, first: tuple[int, VideoFrame]) -> list[tuple[int, VideoFrame]]:
    """The frames that are on the screen in the middles of equal parts of the video."""
    base = file.time_base
    length = Fraction(0)
    if file.stream.duration is not None:
        length = file.stream.duration * base
    elif file.container.duration is not None:
        length = Fraction(file.container.duration, av.time_base)
    shown, current, coming = [], first, file.next()
    for part in range(FRAMES):
        wanted = first[0] * base + length * (2 * part + 1) / (2 * FRAMES)
        if wanted - current[0] * base > _SEEK_FROM:
            coming = file.go_before(wanted)
        while coming is not None and coming[0] * base <= wanted:
            current, coming = coming, file.next()
        shown.append(current)
    return shown
