"""Frames and the sound of the driving video as an MP4 file, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import ThreadType
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from animator.audio import AudioTrack, add_audio
from animator.errors import AnimatorError
from animator.frames import FrameBatch
from animator.media import DEFAULT_LIMITS, MediaLimits
from animator.output_file import OutputFile, check_output, coded_errors

__all__ = ["METADATA_KEYS", "VideoWriter", "check_output"]

METADATA_KEYS = frozenset(
    "title artist album album_artist composer comment copyright date description episode_id genre "
    "grouping keywords lyrics network show synopsis".split()
)
"""What MP4 has a place for; a muxer leaves out other keys without a word."""

_BT709 = 1  # the number of BT.709 as primaries, transfer curve and matrix alike
_LIMITED = 1
_FINEST = 48000  # the sound's start is kept at least to this part of a second
_THREADS = 2


class VideoWriter:
    """Writes frames at exactly their times, and the driving video's sound with them.

    A context manager. The file appears under its name when the block ends without an exception,
    complete and on disk; otherwise nothing is left, and a file that was there before is untouched.

    Frames are coded as H.264 with 4:2:0 chroma in BT.709. A width or height that is odd grows by
    one pixel, which repeats the last column or row.

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
            the same times. See `animator.decode.VideoReader.audio_start`.
        audio_end: the time in that file, in seconds, where the sound ends; None for its own end.
        metadata: what the file says about itself; keys from `METADATA_KEYS`.
        crf: quality, 0 (lossless) to 51.
        codec: a libav encoder that takes `crf`.
        limits: what is refused of `audio_from`.

    Attributes:
        warnings: sentences about what the file lacks.

    Raises:
        ValueError: if a size, rate, time base or metadata key makes no sense, or a batch does not
            fit the writer.
        AnimatorError: output_exists_as_folder, output_not_writable, disk_full, encoding_failed,
            no_frames if none was written, and those of `animator.media.open_media`.
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
        crf: int = 18,
        codec: str = "libx264",
        limits: MediaLimits = DEFAULT_LIMITS,
    ) -> None:
        if width < 1 or height < 1:
            raise ValueError(f"frames must have pixels, got {width} x {height}")
        if time_base <= 0 or (rate is not None and rate <= 0):
            raise ValueError(f"time base and rate must be positive, got {time_base} and {rate}")
        unknown = sorted(set(metadata or ()) - METADATA_KEYS)
        if unknown:
            raise ValueError(f"MP4 has no metadata {unknown}; it has {sorted(METADATA_KEYS)}")
        self._output = Path(output)
        self._size, self._time_base = (width, height), time_base
        # A rate beyond reason, as some headers have it, would mislead the encoder.
        self._rate = rate if rate is not None and rate <= 1000 else None
        self._audio = None if audio_from is None else Path(audio_from)
        self._audio_start, self._audio_end, self._limits = audio_start, audio_end, limits
        self._metadata, self._options = dict(metadata or {}), {"crf": str(crf)}
        self._codec = codec
        if codec.startswith("libx26"):
            self._options["preset"] = "veryfast"
        self.warnings: list[str] = []
        self._reformatter = VideoReformatter()
        self._container: OutputContainer | None = None
        self._track: AudioTrack | None = None
        self._last: int | None = None
        self._step: int | None = None

    def __enter__(self) -> Self:
        self._file = OutputFile(self._output)
        try:
            with coded_errors(self._output):
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, batch: FrameBatch) -> None:
        """Append frames, which must come later than those before."""
        if batch.time_base != self._time_base:
            raise ValueError(f"the time base must be {self._time_base}, got {batch.time_base}")
        if not len(batch):
            return
        height, width = batch.pixels.shape[1:3]
        if (width, height) != self._size:
            raise ValueError(f"frames must have {self._size} pixels, got {(width, height)}")
        if self._last is not None and batch.pts[0] <= self._last:
            raise ValueError(f"pts must increase: {batch.pts[0]} follows {self._last}")
        with coded_errors(self._output):
            for pts, pixels in zip(batch.pts, batch.pixels, strict=True):
                self._write(pts, pixels)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            with coded_errors(self._output):
                self._finish()
        except BaseException:
            self._discard()
            raise

    # -- steps -------------------------------------------------------------------------------

    def _open(self) -> None:
        # Edit lists count in the movie's unit of time: it must hold a first timestamp exactly.
        unit = self._time_base.denominator
        options = {
            "movflags": "+faststart",
            "movie_timescale": str(unit * max(1, -(-_FINEST // unit))),
            "video_track_timescale": str(unit * max(1, -(-10000 // unit))),
        }
        self._container = av.open(
            self._file, "w", format="mp4", options=options, io_open=self._file.reopened
        )
        self._container.metadata.update(self._metadata)
        self._stream: VideoStream = self._container.add_stream(
            self._codec, rate=self._rate or Fraction(25), options=self._options
        )  # type: ignore[assignment]
        width, height = self._size
        context = self._stream.codec_context
        context.width, context.height = width + width % 2, height + height % 2
        context.pix_fmt = "yuv420p"
        context.time_base = self._stream.time_base = self._time_base
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        context.thread_type, context.thread_count = ThreadType.FRAME, _THREADS

    def _start(self, first: int) -> None:
        """Add the sound and start: only the first frame tells how to place it."""
        assert self._container is not None
        # MP4 hides what is before 0, so a video that starts there moves to 0, with its sound.
        self._earlier = min(first, 0)
        if self._audio is not None:
            self._track = add_audio(
                self._container,
                self._audio,
                start=self._audio_start,
                end=self._audio_end,
                delay=-self._earlier * self._time_base,
                limits=self._limits,
                warn=self.warnings.append,
            )
        self._container.start_encoding()

    def _write(self, pts: int, pixels: npt.NDArray[np.uint8]) -> None:
        if self._last is None:
            self._start(pts)
        else:
            self._step = pts - self._last
        self._last = pts
        assert self._container is not None
        frame = VideoFrame.from_ndarray(_even(pixels), "rgb24")
        frame = self._reformatter.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = pts - self._earlier, self._time_base
        self._container.mux(self._stream.encode(frame))
        if self._track is not None:
            self._track.write_until(frame.pts * self._time_base)
        self._file.check()

    def _finish(self) -> None:
        if self._last is None:
            raise AnimatorError("no_frames", "There is no frame to write.")
        assert self._container is not None
        for packet in self._stream.encode(None):
            # The muxer takes a frame's duration from the next one's time; the last has none.
            packet.duration = self._last_duration()
            self._container.mux(packet)
        if self._track is not None:
            self._track.write_until(None)
        try:
            self._container.close()
        finally:
            self._file.check()  # says more than what libav makes of it
        self._container = None
        self._file.publish()
        if self._track is not None:
            self._track.close()

    def _last_duration(self) -> int:
        if self._rate is not None:
            return max(1, round(1 / (self._rate * self._time_base)))
        return self._step or max(1, round(Fraction(1, 25) / self._time_base))

    def _discard(self) -> None:
        """Leave nothing behind, whatever state the output is in."""
        if self._track is not None:
            self._track.close()
        self._file.abandon()
        container, self._container = self._container, None
        if container is not None:
            with suppress(Exception):
                container.close()  # would otherwise write its index when it is collected
        self._file.remove()


def _even(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(pixels)
