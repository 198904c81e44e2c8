"""The writer of videos: frames and the driving sound as an MP4 file, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from av.codec.context import ThreadType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from animator.errors import AnimatorError
from animator.files.output import coded_errors
from animator.media.coding import DEFAULT_CODING, VideoCoding
from animator.media.mp4 import Mp4Output, Sound, believable, last_duration
from animator.settings import DEFAULT_LIMITS, MediaLimits
from gfla.arrays import Picture

_BT709 = 1  # the number of BT.709 as primaries, transfer curve and matrix alike
_LIMITED = 1
_THREADS = 2
_EVEN_ROWS = 128
"""Pixels: in rows of another length, the fast form of one of x264's steps (how much later frames
gain by a block) reads memory that nothing was written to, so that equal frames are now and then
coded differently; its plain form does not."""
_FEWEST = 2  # frames of which x265 tells no decoding times; they are decoded as they are shown


class VideoWriter:
    """Writes frames at exactly their times, and the driving video's sound with them.

    A context manager. The file appears under its name when the block ends without an exception,
    complete and on disk; otherwise nothing is left, and a file that was there before is untouched.

    Frames are coded as H.264 with 4:2:0 chroma in BT.709, unless told otherwise. Where pixels
    share a colour, a width or height that is odd grows by one pixel, which repeats the last column
    or row.

    Args:
        output: the file to write; its folder must exist. A symbolic link is followed.
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        time_base: of the frames' timestamps, in seconds; need not be known to MP4.
        rate: frames a second on average, which only steers the coding and gives the last frame its
            duration; None if unknown.
        audio_from: a file whose sound is taken; None, or a file without sound, gives a silent
            video.
        audio_start: the time in that file, in seconds, that is 0 in the output; None if both have
            the same times. See `animator.media.decode.VideoReader.audio_start`.
        audio_end: the time in that file, in seconds, where the sound ends; None for its own end.
        metadata: what the file says about itself; keys from `animator.media.mp4.METADATA_KEYS`.
        coding: how frames are coded.
        limits: what is refused of `audio_from`.

    Attributes:
        warnings: sentences about what the file lacks.

    Raises:
        ValueError: if a size, rate, time base or metadata key makes no sense, or a frame does not
            fit the writer.
        AnimatorError: no_frames if none was written, and those of `animator.media.mp4.Mp4Output`.
    """

    def __init__(
        self,
        output: str | Path,
        *,
        width: int,
        height: int,
        time_base: Fraction,
        rate: Fraction | None = None,
        audio_from: str | Path | None = None,
        audio_start: Fraction | None = None,
        audio_end: Fraction | None = None,
        metadata: Mapping[str, str] | None = None,
        coding: VideoCoding = DEFAULT_CODING,
        limits: MediaLimits = DEFAULT_LIMITS,
    ) -> None:
        if width < 1 or height < 1:
            raise ValueError(f"frames must have pixels, got {width} x {height}")
        if rate is not None and rate <= 0:
            raise ValueError(f"the rate must be positive, got {rate}")
        self.warnings: list[str] = []
        sound = None
        if audio_from is not None:
            sound = Sound(Path(audio_from), audio_start, audio_end, limits)
        self._mp4 = Mp4Output(
            Path(output), time_base, sound=sound, metadata=metadata, warn=self.warnings.append
        )
        self._size, self._rate = (width, height), believable(rate)
        self._coding = coding
        across, down = coding.shared
        self._padding = (-height % down, -width % across)
        self._reformatter = VideoReformatter()
        self._shift = 0
        self._last: list[int] = []  # the last two timestamps
        self._count = 0

    def __enter__(self) -> Self:
        with self._mp4.guarded():
            self._mp4.open()
            self._add_stream()
        return self

    def write(self, frame: Picture, pts: int) -> None:
        """Append a frame.

        Args:
            frame: uint8 H W 3 RGB.
            pts: its time in units of the time base; later than that of the frame before.
        """
        width, height = self._size
        if frame.shape != (height, width, 3):
            got = frame.shape
            raise ValueError(f"frames must have {self._size} pixels in RGB, got the shape {got}")
        if self._last and pts <= self._last[-1]:
            raise ValueError(f"pts must increase: {pts} follows {self._last[-1]}")
        with coded_errors(self._mp4.path):
            self._encode(frame, pts)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._mp4.discard()
            return
        with self._mp4.guarded():
            self._finish()

    # -- steps -------------------------------------------------------------------------------

    def _add_stream(self) -> None:
        width, height = self._size
        options = dict(self._coding.options)
        if self._coding.encoder == "libx264" and (width + self._padding[1]) % _EVEN_ROWS:
            options["x264-params"] = "cpu-independent=1"
        self._stream: VideoStream = self._mp4.container.add_stream(
            self._coding.encoder, rate=self._rate or Fraction(25), options=options
        )  # type: ignore[assignment]
        context = self._stream.codec_context
        context.width, context.height = width + self._padding[1], height + self._padding[0]
        context.pix_fmt = self._coding.pixel_format
        if self._coding.tag is not None:
            context.codec_tag = self._coding.tag
        context.time_base = self._stream.time_base = self._mp4.time_base
        if not self._coding.rgb:
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            context.color_range = _LIMITED
        context.thread_type, context.thread_count = ThreadType.FRAME, _THREADS

    def _encode(self, picture: Picture, pts: int) -> None:
        # Only the first frame tells by how much all must move to begin at 0.
        if not self._last:
            self._shift = self._mp4.start(pts)
        self._last = [*self._last[-1:], pts]
        self._count += 1
        frame = VideoFrame.from_ndarray(self._padded(picture), "rgb24")
        if not self._coding.rgb:
            frame = self._reformatter.reformat(
                frame,
                format=self._coding.pixel_format,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
        frame.pts, frame.time_base = pts + self._shift, self._mp4.time_base
        self._mp4.mux(self._stream.encode(frame))
        self._mp4.reached(pts)

    def _finish(self) -> None:
        if not self._last:
            raise AnimatorError("no_frames", "There is no frame to write.")
        duration = last_duration(self._last, self._rate, self._mp4.time_base)
        for packet in self._stream.encode(None):
            # The muxer takes a frame's duration from the next one's time; the last has none.
            packet.duration = duration
            if self._count <= _FEWEST and self._coding.encoder == "libx265":
                packet.dts = packet.pts
            self._mp4.mux(packet)
        self._mp4.publish()

    def _padded(self, picture: Picture) -> Picture:
        below, right = self._padding
        if below or right:
            picture = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
        return np.ascontiguousarray(picture)
