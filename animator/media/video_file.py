"""The stored frames of one video file, in order, each once, with strictly increasing times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.files.sequence import is_sequence
from animator.media.animated import AnimatedFile, open_animated
from animator.media.container import (
    RAW,
    cut_packet,
    missing_bytes,
    open_media,
    seconds_text,
    transparent_decoder,
)
from animator.media.frame_source import FileFacts, FrameSource, check_frame_size
from animator.media.picture_sequence import PictureSequence
from animator.media.streams import demux, video_stream
from animator.media.timeline import DISCONTINUOUS, FrameClock, Gaps, Joints
from animator.settings import MediaLimits
from animator.spec import DEFAULT_RATE

_SEEK_MARGIN = 1  # seconds; lands before the key frame whose decoding order hides its time
_LARGEST_STEP_BACK = 1  # seconds; more is a clock that starts anew
_THREADS = 2
_FORGIVEN = 100  # packets that may fail before the first frame


def open_video(
    path: Path, limits: MediaLimits, forgiving: bool = False, rate: Fraction | None = None
) -> FrameSource:
    """Open a video, an animated picture, or pictures that stand for a video.

    Arguments and errors as of `VideoFile` and `PictureSequence`; without a rate, such pictures
    come at `animator.spec.DEFAULT_RATE`.
    """
    if is_sequence(path):
        return PictureSequence(path, limits, rate or DEFAULT_RATE, forgiving)
    animated = open_animated(path, limits)
    if animated is None:
        return VideoFile(path, limits, forgiving)
    try:
        check_frame_size(path, *animated.size, limits)
    except BaseException:
        animated.close()
        raise
    return AnimatedFile(animated)


class VideoFile:
    """An open video and the position in it.

    Args:
        path: a local file.
        limits: what is refused.
        forgiving: whether damage and a missing end leave out frames and are told in `faults`; else
            they are errors.

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

    def __init__(self, path: Path, limits: MediaLimits, forgiving: bool = False) -> None:
        self._path, self._limits, self._forgiving = path, limits, forgiving
        self._resources = ExitStack()
        self._lost = self._missing = 0
        self._gaps = Gaps()
        self._may_jump: bool | None = None
        try:
            self._open()
            if self.container.format.name == "mjpeg":
                self._refuse_one_picture()
        except BaseException:
            self.close()
            raise

    @property
    def faults(self) -> list[str]:
        """Sentences about what could not be read so far."""
        sentences = []
        if self._lost:
            packets = "1 packet" if self._lost == 1 else f"{self._lost} packets"
            sentences.append(
                f"The video is damaged: {packets} of it could not be decoded, whose frames are "
                "missing."
            )
        elif lacking := self._gaps.lacking:
            frames = "1 frame is" if lacking == 1 else f"about {lacking} frames are"
            sentences.append(f"The video has gaps: {frames} missing.")
        if self._missing:
            sentences.append(
                f"The video is incomplete: at least {self._missing} bytes of its end are missing."
            )
        return sentences

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        self._resources.close()

    def next(self) -> tuple[int, VideoFrame] | None:
        """The next frame with its timestamp in units of `time_base`; None after the last.

        A frame that by its time does not come later than the one before it is shown for the
        shortest time there is. Where the clock of the file jumps, times go on evenly.

        Raises:
            AnimatorError: unreadable_video where the file is damaged or breaks off, out_of_memory.
        """
        return next(self._frames, None)

    def go_before(self, seconds: Fraction) -> tuple[int, VideoFrame] | None:
        """Jump, and give a frame that is not later than `seconds`.

        Where the format does not allow it, that is the first frame of the file.
        """
        if self._can_jump():
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
        self._reopen()
        return self.next()

    def facts(self) -> FileFacts:
        """What the header says."""
        stream, container = self.stream, self.container
        rate, duration = self._usual_rate(), None
        if stream.duration is not None:
            duration = stream.duration * self.time_base
        elif container.duration is not None:
            duration = Fraction(container.duration, av.time_base)
        if duration is not None and duration > self._limits.max_seconds and not self._can_jump():
            duration = None  # it is that of a clock which jumps
        return FileFacts(
            rate=rate,
            duration=duration,
            frames=stream.frames or (round(duration * rate) if duration and rate else None),
            pixel_aspect=stream.sample_aspect_ratio,
            has_audio=bool(container.streams.audio),
            format=container.format.name,
            codec=stream.codec_context.name,
        )

    def moments(self) -> Iterator[int | None]:
        """The times of all packets, in any order, without decoding; nothing can be read then."""
        clock = FrameClock(self._lacks_times)
        for packet in self._packets():
            if packet.size:
                by_decoding = clock.by_decoding or packet.pts is None
                yield packet.dts if by_decoding and packet.dts is not None else packet.pts

    def key_times(self, most: int) -> list[int]:
        """The times of key frames, by an index of so many entries at most."""
        entries = self.stream.index_entries
        if not 1 < len(entries) <= most:
            return []
        return sorted(entry.timestamp for entry in entries if entry.is_keyframe)

    def offsets(self) -> list[Fraction]:
        """What is added to times after each jump of the clock, first 0; nothing can be read then.

        Raises:
            av.FFmpegError, OSError: where the file is damaged.
        """
        joints = self._joints()
        for packet in demux(self.container, self.stream):
            joints.join(packet)
        return joints.offsets

    # -- opening -----------------------------------------------------------------------------

    def _open(self) -> None:
        self.container = self._resources.enter_context(open_media(self._path, self._limits))
        self.stream = video_stream(self._path, self.container)
        assert self.stream.time_base is not None
        self.time_base = self.stream.time_base
        self._missing = missing_bytes(self._path, self.container)
        if self._forgiving:
            self._missing = self._missing or cut_packet(self._path, self.container)
        elif self._missing:
            message = (
                f"{quoted(self._path)} is incomplete: at least {self._missing} bytes are missing."
            )
            raise AnimatorError("unreadable_video", message)
        context = self.stream.codec_context
        check_frame_size(self._path, context.width, context.height, self._limits)
        # The decoder checks again, for a stream that changes its size on the way.
        context.options = {"max_pixels": str(self._limits.max_frame_pixels)}
        context.thread_type, context.thread_count = "AUTO", _THREADS
        self._decoder = transparent_decoder(self.stream, self._limits) or context
        self._lacks_times = self.container.format.name in ("avi", *RAW)
        self._frames = self._timed_frames()

    def _reopen(self) -> None:
        self.close()
        self._lost = 0
        self._open()

    def _refuse_one_picture(self) -> None:
        """A bare JPEG looks like a stream of one; players call that a picture."""
        packets = [packet for packet, _ in zip(self._packets(), range(2), strict=False)]
        if sum(packet.size > 0 for packet in packets) < 2:
            message = f"{quoted(self._path)} is a picture; a video or an animated GIF is needed."
            raise AnimatorError("unreadable_video", message)
        self._reopen()

    def _joints(self) -> Joints:
        return Joints(self.container.format.name)

    def _can_jump(self) -> bool:
        """Whether a jump lands where its time says, with all frames from there on."""
        if self._lacks_times and self.stream.codec_context.has_b_frames:
            return False  # frames that cannot be decoded after a jump would shift all times
        if self.container.format.name not in DISCONTINUOUS:
            return True
        if self._may_jump is None:
            self._may_jump = len(video_offsets(self._path, self._limits)) == 1
        return self._may_jump

    # -- reading -----------------------------------------------------------------------------

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        joints = self._joints()
        for packet in demux(self.container, self.stream):
            joints.join(packet)
            yield packet

    def _timed_frames(self) -> Iterator[tuple[int, VideoFrame]]:
        clock = FrameClock(self._lacks_times)
        step, back = self._usual_step(), int(_LARGEST_STEP_BACK / self.time_base)
        context, gaps = self.stream.codec_context, Gaps()
        if self.container.format.name in DISCONTINUOUS:  # which lose packets without a trace
            self._gaps = gaps
        for frame in self._raw_frames(clock):
            at_once = not context.has_b_frames
            pts = clock.time(frame.pts, frame.dts, step, back, at_once)
            gaps.add(pts)
            yield pts, frame

    def _raw_frames(self, clock: FrameClock) -> Iterator[VideoFrame]:
        packets = self._packets()
        position, seen, faults, first = 0.0, False, 0, True
        while True:
            try:
                packet = next(packets, None)
                if packet is not None and packet.size and first:
                    # Matroska has them or not, as the one who wrote it came from AVI or not.
                    clock.by_decoding |= packet.pts is None and packet.dts is not None
                    first = False
                frames = [] if packet is None else self._decode(packet, seen, clock)
            except MemoryError as error:
                message = f"{quoted(self._path)} needs more memory than there is."
                raise AnimatorError("out_of_memory", message, retryable=True) from error
            except (av.FFmpegError, OSError) as error:
                # A stream may start in the middle of a group of pictures: its first are forgiven.
                faults += 1
                self._lost += seen
                if not seen and faults > _FORGIVEN:
                    raise self._broken(position) from error
                if seen and not self._forgiving:
                    raise self._broken(position) from error
                if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
                    packets, packet = iter(()), None
                continue
            if packet is None:
                break
            for frame in frames:
                seen = True
                position = frame.time or position
                yield frame
        missing = missing_bytes(self._path, self.container)  # by now, the index may tell of more
        self._missing = max(self._missing, missing)
        if (missing and not self._forgiving) or (faults and not seen):
            raise self._broken(position)

    def _decode(
        self, packet: Packet[VideoStream], seen: bool, clock: FrameClock
    ) -> list[VideoFrame]:
        if packet.size == 0 and packet.dts is not None:
            return []  # "show the last frame again"; to the decoder it would mean the end
        # A transport stream marks packets after any lost one; elsewhere the mark means truncated.
        if packet.is_corrupt and seen and self.container.format.name != "mpegts":
            raise av.InvalidDataError(0, "truncated packet")
        if packet.size:
            clock.fed(packet)
        try:
            return self._decoder.decode(packet)
        except av.FFmpegError:
            clock.failed()
            raise

    def _usual_rate(self) -> Fraction | None:
        return self.stream.average_rate or self.stream.guessed_rate

    def _usual_step(self) -> int:
        return max(1, round(1 / ((self._usual_rate() or Fraction(25)) * self.time_base)))

    def _broken(self, position: float) -> AnimatorError:
        message = f"{quoted(self._path)} is damaged or incomplete from {seconds_text(position)} on."
        if position:
            message += " Use --end to animate the part before it."
        return AnimatorError("unreadable_video", message)


def video_offsets(path: Path, limits: MediaLimits) -> list[Fraction]:
    """What is added to the times of a file's packets after each jump of the picture's clock.

    Args:
        path: a local file.
        limits: what is refused.

    Returns:
        First 0, and a value in seconds more for each jump.
    """
    try:
        file = VideoFile(path, limits, forgiving=True)
    except AnimatorError:
        return [Fraction(0)]
    try:
        if file.container.format.name not in DISCONTINUOUS:
            return [Fraction(0)]
        return file.offsets()
    except (av.FFmpegError, OSError):
        return [Fraction(0)]
    finally:
        file.close()
