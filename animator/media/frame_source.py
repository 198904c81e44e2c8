"""The stored frames of a file of any kind, one after another, as their readers know them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from av.video.frame import VideoFrame

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.settings import MediaLimits


@dataclass(frozen=True)
class FileFacts:
    """What a file's header says.

    Attributes:
        rate: frames a second on average, None if unknown.
        duration: seconds, None if unknown.
        frames: how many, None if unknown.
        pixel_aspect: width of a pixel divided by its height, None if unknown.
        has_audio: whether there is a sound stream.
        format: the container's name.
        codec: the video codec's name.
    """

    rate: Fraction | None
    duration: Fraction | None
    frames: int | None
    pixel_aspect: Fraction | None
    has_audio: bool
    format: str
    codec: str


class FrameSource(Protocol):
    """The frames of a file of any kind; see `animator.media.video_file.VideoFile`."""

    @property
    def time_base(self) -> Fraction:
        """Seconds per unit of a timestamp."""

    @property
    def faults(self) -> list[str]:
        """Sentences about what could not be read so far."""

    def next(self) -> tuple[int, VideoFrame] | None:
        """The next frame and its timestamp."""

    def go_before(self, seconds: Fraction) -> tuple[int, VideoFrame] | None:
        """Jump, and give a frame that is not later."""

    def facts(self) -> FileFacts:
        """What the header says."""

    def moments(self) -> Iterator[int | None]:
        """The times of all packets, in any order, without decoding; nothing can be read then."""

    def key_times(self, most: int) -> list[int]:
        """The times of key frames, by an index of so many entries at most."""

    def close(self) -> None:
        """Close the file."""


def check_frame_size(path: Path, width: int, height: int, limits: MediaLimits) -> None:
    """Raise too_large if a frame has more pixels than allowed."""
    if width * height > limits.max_frame_pixels:
        message = (
            f"{quoted(path)} has frames of {width} x {height} pixels; "
            f"{limits.max_frame_pixels} in all are allowed."
        )
        raise AnimatorError("too_large", message)
