"""Pictures and videos as RGB frames with exact timestamps, in bounded memory.

A frame comes out as a player shows it: turned and mirrored as its display matrix says, with square
pixels, its transparency over white, in the size of the video's first frame. Timestamps count from
the first frame, exact, in the time base of the file's video stream.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from animator.errors import AnimatorError
from animator.files.local import content_hash, quoted
from animator.files.sequence import is_sequence, pictures_of
from animator.media.colour import notes_of
from animator.media.container import open_media, seconds_text
from animator.media.display import Display
from animator.media.frame_source import check_frame_size
from animator.media.frames import FrameBatch
from animator.media.stills import Still, read_still
from animator.media.video_file import open_video
from animator.settings import DEFAULT_LIMITS, MediaLimits

__all__ = [
    "DEFAULT_LIMITS",
    "MediaLimits",
    "VideoInfo",
    "VideoReader",
    "content_hash",
    "open_media",
    "probe",
    "read_image",
    "read_picture",
]

_BATCH_BYTES = 64 * 1024**2  # a batch of frames is cut so that it holds no more
_SEEK_FROM = 5  # seconds; nearer starts are reached by decoding from the beginning


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says, which its frames may contradict.

    Attributes:
        path: the file.
        width: of a frame as it is shown, in pixels.
        height: of a frame as it is shown, in pixels.
        time_base: seconds per unit of a timestamp.
        average_rate: frames a second on average, None if unknown.
        duration: seconds, None if unknown.
        frames: estimated number of frames, None if unknown.
        rotation: degrees counter-clockwise by which stored frames are turned to be shown.
        has_audio: whether there is a sound stream.
        format: the container's name in libav.
        codec: the video codec's name in libav.
        notes: codes of `animator.media.notes.NOTES`.
    """

    path: Path
    width: int
    height: int
    time_base: Fraction
    average_rate: Fraction | None
    duration: Fraction | None
    frames: int | None
    rotation: int
    has_audio: bool
    format: str
    codec: str
    notes: tuple[str, ...] = ()


def probe(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> VideoInfo:
    """Read a video's header and first frame, whatever its length; errors as in `VideoReader`."""
    with VideoReader(path, limits=_any_length(limits)) as reader:
        return reader.info


def read_image(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> npt.NDArray[np.uint8]:
    """The pixels of `read_picture`, uint8 H W 3 RGB."""
    return read_picture(path, limits).pixels


def read_picture(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> Still:
    """Read a picture, or the first frame of an animated picture or a video, or of a folder.

    See `animator.media.stills.read_still` for what is done to it.

    Raises:
        AnimatorError: no_such_file, not_a_file, unreadable_file, too_large, unreadable_image,
            unsupported_format, out_of_memory, and those of `pictures_of`.
    """
    if is_sequence(path):
        path = pictures_of(path, _any_length(limits))[0]
    still = read_still(path, limits)
    if still is not None:
        return still
    try:
        with VideoReader(path, batch=1, limits=_any_length(limits)) as reader:
            return Still(next(iter(reader)).pixels[0], reader.info.notes)
    except AnimatorError as error:
        if error.code not in ("unreadable_video", "no_video_stream", "no_frames"):
            raise
        message = f"{quoted(path)} is not a picture that can be read: it is damaged or unknown."
        raise AnimatorError("unreadable_image", message) from error


class VideoReader:
    """The frames of a video from `start` to `end`, in batches, once.

    The constructor reads up to the first frame, so that a bad file fails before work starts.

    A file that breaks off or is damaged in the middle raises when the damage is reached (or at
    once, where its index shows it) instead of ending early: a silently short result is worse. A
    caller that tells of `faults` may ask for the frames that there are.

    The timestamps count from the first frame that is kept, which gets 0, whatever it has in the
    file; most players show it at once as well.

    Args:
        path: a local file.
        start: leave out frames before this many seconds after the first frame.
        end: leave out frames from this many seconds after the first frame on.
        batch: frames a batch at most; large frames come in smaller batches.
        limits: what is refused.
        forgiving: whether damage leaves out frames and is told in `faults`, instead of raising.
        rate: pictures a second, where the path is a folder of pictures or a pattern.

    Attributes:
        info: what the header says.
        audio_start: the time in the file, in seconds, that is 0 in the output; None means that
            output and file have the same times. For the sound, see
            `animator.media.encode.VideoWriter`.
        audio_end: the time in the file, in seconds, where the sound ends; None means its own end.
        frames: estimated number of frames between start and end, None if unknown.

    Raises:
        AnimatorError: those of `animator.media.video_file.VideoFile`, no_frames, too_long,
            invalid_option (start and end).
    """

    info: VideoInfo
    audio_start: Fraction | None
    audio_end: Fraction | None
    frames: int | None

    def __init__(
        self,
        path: str | Path,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        batch: int = 8,
        limits: MediaLimits = DEFAULT_LIMITS,
        forgiving: bool = False,
        rate: Fraction | None = None,
    ) -> None:
        if batch < 1:
            raise ValueError(f"a batch holds at least one frame, got {batch}")
        _check_span(start, end)
        self._path, self._limits, self._start, self._end = Path(path), limits, start, end
        self._file = open_video(self._path, limits, forgiving, rate)
        try:
            first = self._file.next()
            if first is None:
                raise AnimatorError("no_frames", f"{quoted(path)} has no frame.")
            self.info = self._describe(first[1])
            self._check_length()
            self._pending = self._skip_to_start(first)
        except BaseException:
            self.close()
            raise
        size = self.info.width * self.info.height * 3
        self._batch = max(1, min(batch, _BATCH_BYTES // size))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def faults(self) -> list[str]:
        """Sentences about what could not be read so far."""
        return self._file.faults

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        self._file.close()

    def __iter__(self) -> Iterator[FrameBatch]:
        """Yield the frames that are left, in order, as batches of RGB frames."""
        shape = (self._batch, self.info.height, self.info.width, 3)
        pixels, times = np.empty(shape, np.uint8), list[int]()
        for pts, frame in self._kept():
            pixels[len(times)] = self._display.rgb(frame)
            times.append(pts)
            if len(times) == self._batch:
                yield FrameBatch(pixels, tuple(times), self.info.time_base)
                pixels, times = np.empty(shape, np.uint8), []
        if times:
            yield FrameBatch(pixels[: len(times)], tuple(times), self.info.time_base)

    def _describe(self, first: VideoFrame) -> VideoInfo:
        facts = self._file.facts()
        self._display = Display(first, facts.pixel_aspect)
        check_frame_size(self._path, self._display.width, self._display.height, self._limits)
        return VideoInfo(
            path=self._path,
            width=self._display.width,
            height=self._display.height,
            time_base=self._file.time_base,
            average_rate=facts.rate,
            duration=facts.duration,
            frames=facts.frames,
            rotation=self._display.rotation,
            has_audio=facts.has_audio,
            format=facts.format,
            codec=facts.codec,
            notes=notes_of(first),
        )

    def _check_length(self) -> None:
        """Refuse too long a part and estimate its frames, as far as the header tells."""
        duration, self.frames = self.info.duration, self.info.frames
        if duration is None:
            return
        # A header's count is of the whole file; the part's is in proportion to its seconds.
        used = max(min(duration, self._end or duration) - (self._start or 0), Fraction(0))
        if self.frames is not None and duration:
            self.frames = min(self.frames, round(self.frames * used / duration))
        self._refuse_if_too_long(used, self.frames or 0)

    def _refuse_if_too_long(self, seconds: Fraction, frames: int) -> None:
        if seconds > self._limits.max_seconds or frames > self._limits.max_frames:
            message = (
                f"{quoted(self._path)} has {seconds_text(seconds)} and {frames} frames or more; "
                f"{self._limits.max_seconds} s and {self._limits.max_frames} frames are allowed. "
                "Choose a part with --start and --end."
            )
            raise AnimatorError("too_long", message)

    def _skip_to_start(self, first: tuple[int, VideoFrame]) -> tuple[int, VideoFrame]:
        """Find the first frame to keep, and from it the times of the sound."""
        time_base, first_second = self.info.time_base, first[0] * self.info.time_base
        self.audio_end = None if self._end is None else first_second + self._end
        self.audio_start, self._zero = first_second or None, first[0]
        if self._start is None:
            return first
        wanted = first_second + self._start
        frame: tuple[int, VideoFrame] | None = first
        if self._start > _SEEK_FROM:
            frame = self._file.go_before(wanted)
        while frame is not None and frame[0] * time_base < wanted:
            frame = self._file.next()
        if frame is None or (self.audio_end is not None and frame[0] * time_base >= self.audio_end):
            end = "its end" if self._end is None else seconds_text(self._end)
            message = f"{quoted(self._path)} has no frame between {seconds_text(self._start)}"
            raise AnimatorError("no_frames", f"{message} and {end}.")
        self._zero = frame[0]
        self.audio_start = frame[0] * time_base
        return frame

    def _kept(self) -> Iterator[tuple[int, VideoFrame]]:
        """Frames between start and end with their output timestamps."""
        frame: tuple[int, VideoFrame] | None = self._pending
        count = 0
        while frame is not None:
            if self.audio_end is not None and frame[0] * self.info.time_base >= self.audio_end:
                return
            count += 1
            used = (frame[0] - self._zero) * self.info.time_base
            self._refuse_if_too_long(used, count)
            yield frame[0] - self._zero, frame[1]
            frame = self._file.next()


def _any_length(limits: MediaLimits) -> MediaLimits:
    """The limits for a file of which only the first frame is used."""
    return replace(limits, max_seconds=sys.maxsize, max_frames=sys.maxsize)


def _check_span(start: Fraction | None, end: Fraction | None) -> None:
    if (start is not None and start < 0) or (end is not None and end <= (start or 0)):
        message = f"start must be at least 0 s and end later than it, got {start} and {end}."
        raise AnimatorError("invalid_option", message)


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
