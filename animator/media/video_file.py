"""The stored frames of one video file, in order, each once, with strictly increasing times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.media.container import (
    missing_bytes,
    open_media,
    seconds_text,
    transparent_decoder,
)
from animator.settings import MediaLimits

_SEEK_MARGIN = 1  # seconds; lands before the key frame whose decoding order hides its time
_LARGEST_STEP_BACK = 1  # seconds; frames out of order within it are left out
_THREADS = 2
_FORGIVEN = 100  # packets that may fail before the first frame


class VideoFile:
    """An open video and the position in it.

    Args:
        path: a local file.
        limits: what is refused.

    Attributes:
        container: the open container.
        stream: its video stream.
        time_base: seconds per unit of a timestamp.

    Raises:
        AnimatorError: those of `animator.media.container.open_media`, no_video_stream, too_large,
            and unreadable_video where the file shows by its index that bytes are missing.
    """

    container: InputContainer
    stream: VideoStream
    time_base: Fraction

    def __init__(self, path: Path, limits: MediaLimits) -> None:
        self._path, self._limits = path, limits
        self._resources = ExitStack()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        self._resources.close()

    def next(self) -> tuple[int, VideoFrame] | None:
        """The next frame with its timestamp in units of `time_base`; None after the last.

        A frame that does not come later than the one before it cannot be shown and is left out.

        Raises:
            AnimatorError: unreadable_video where the file is damaged or breaks off, out_of_memory.
        """
        return next(self._frames, None)

    def go_before(self, seconds: Fraction) -> tuple[int, VideoFrame] | None:
        """Jump, and give a frame that is not later than `seconds`.

        Where the format does not allow it, that is the first frame of the file.
        """
        try:
            target = int((seconds - _SEEK_MARGIN) / self.time_base)
            self.container.seek(target, stream=self.stream)
            self._decoder.flush_buffers()
            self._frames = self._timed_frames()
            frame = self.next()
            if frame is not None and frame[0] * self.time_base <= seconds:
                return frame
        except (AnimatorError, av.FFmpegError):
            pass
        self.close()
        self._open()
        return self.next()

    def usual_rate(self) -> Fraction | None:
        """Frames a second on average, None if unknown."""
        return self.stream.average_rate or self.stream.guessed_rate

    def _open(self) -> None:
        self.container = self._resources.enter_context(open_media(self._path, self._limits))
        self.stream = _video_stream(self._path, self.container)
        assert self.stream.time_base is not None
        self.time_base = self.stream.time_base
        lacking = missing_bytes(self._path, self.container)
        if lacking:
            message = f"{quoted(self._path)} is incomplete: at least {lacking} bytes are missing."
            raise AnimatorError("unreadable_video", message)
        context = self.stream.codec_context
        check_frame_size(self._path, context.width, context.height, self._limits)
        # The decoder checks again, for a stream that changes its size on the way.
        context.options = {"max_pixels": str(self._limits.max_frame_pixels)}
        context.thread_type, context.thread_count = "AUTO", _THREADS
        self._decoder = transparent_decoder(self.stream, self._limits) or context
        self._frames = self._timed_frames()

    def _timed_frames(self) -> Iterator[tuple[int, VideoFrame]]:
        last: int | None = None
        for frame in self._raw_frames():
            pts = frame.pts if frame.pts is not None else frame.dts
            if pts is None:
                pts = 0 if last is None else last + self._usual_step()
            if last is None or pts > last:
                last = pts
                yield pts, frame
            elif (last - pts) * self.time_base > _LARGEST_STEP_BACK:
                # All that follows would be left out, and the result be short without a word.
                raise self._broken(float(last * self.time_base))

    def _raw_frames(self) -> Iterator[VideoFrame]:
        packets = demux(self.container, self.stream)
        position, seen, faults = 0.0, False, 0
        while True:
            try:
                packet = next(packets, None)
                frames = [] if packet is None else self._decode(packet, seen)
            except MemoryError as error:
                message = f"{quoted(self._path)} needs more memory than there is."
                raise AnimatorError("out_of_memory", message, retryable=True) from error
            except (av.FFmpegError, OSError) as error:
                # A stream may start in the middle of a group of pictures: its first are forgiven.
                faults += 1
                if seen or faults > _FORGIVEN:
                    raise self._broken(position) from error
                continue
            if packet is None:
                break
            for frame in frames:
                seen = True
                position = frame.time or position
                yield frame
        if missing_bytes(self._path, self.container) or (faults and not seen):
            raise self._broken(position)

    def _decode(self, packet: Packet[VideoStream], seen: bool) -> list[VideoFrame]:
        if packet.size == 0 and packet.dts is not None:
            return []  # "show the last frame again"; to the decoder it would mean the end
        # A transport stream marks packets after any lost one; elsewhere the mark means truncated.
        if packet.is_corrupt and seen and self.container.format.name != "mpegts":
            raise av.InvalidDataError(0, "truncated packet")
        return self._decoder.decode(packet)

    def _usual_step(self) -> int:
        return max(1, round(1 / ((self.usual_rate() or Fraction(25)) * self.time_base)))

    def _broken(self, position: float) -> AnimatorError:
        message = f"{quoted(self._path)} is damaged or incomplete from {seconds_text(position)} on."
        if position:
            message += " Use --end to animate the part before it."
        return AnimatorError("unreadable_video", message)


def demux(container: Any, stream: Stream) -> Iterator[Packet[Any]]:
    """The packets of a stream, the last of which is empty and flushes the decoder.

    The container's own method fails at the end of files in which more streams turned up on the way.
    """
    with suppress(IndexError):
        yield from container.demux(stream)


def check_frame_size(path: Path, width: int, height: int, limits: MediaLimits) -> None:
    """Raise too_large if a frame has more pixels than allowed."""
    if width * height > limits.max_frame_pixels:
        message = (
            f"{quoted(path)} has frames of {width} x {height} pixels; "
            f"{limits.max_frame_pixels} in all are allowed."
        )
        raise AnimatorError("too_large", message)


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream that a player shows, which is not the cover picture of a song."""
    best = container.streams.best("video")
    for stream in (best, *container.streams.video):
        if isinstance(stream, VideoStream) and not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                message = f"{quoted(path)} has pictures in a coding that is not known."
                raise AnimatorError("unreadable_video", message)
            return stream
    raise AnimatorError("no_video_stream", f"{quoted(path)} has no moving picture.")
