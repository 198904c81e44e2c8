"""Reading back a video that this program has just made."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

from animator.media.decode import MediaLimits, VideoReader

_ANY = MediaLimits(
    max_bytes=sys.maxsize,
    max_frame_pixels=2**31 - 1,  # the most that libav understands
    max_seconds=sys.maxsize,
    max_frames=sys.maxsize,
)


def open_finished(path: Path, start: Fraction | None = None, batch: int = 8) -> VideoReader:
    """The frames of our own video, whatever its size; the limits are for what others made.

    Args:
        path: the video.
        start: seconds after its first frame from which on.
        batch: frames to read at once.
    """
    return VideoReader(path, start=start, batch=batch, limits=_ANY)
