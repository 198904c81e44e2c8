"""The sound of one file, carried into another at exactly the same times.

Packets are copied untouched where the container's players understand their coding and nothing is
taken out of their midst, else decoded and encoded as AAC, or in Matroska and WebM as Opus. Either
way the sound keeps its place to the sample: encoder delay, a start before or after the picture,
gaps and a cut in the middle of a packet all end in timestamps and edit lists.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from animator.media.holes import Holes
from animator.media.mixing import Mixer
from animator.media.sound_choice import EDITED, choose_sound, encoded_rate, open_stream
from animator.media.streams import demux
from animator.media.timeline import DISCONTINUOUS, Joints
from animator.media.video_file import video_offsets
from animator.settings import DEFAULT_LIMITS, MediaLimits

_BITS_PER_CHANNEL = 96_000

# Packets before a cut that a decoder needs to be in its steady state (Opus asks for 80 ms); the
# edit list hides them.
_PREROLL = Fraction(1, 10)

_LONGEST_SILENCE = 1  # seconds; a longer gap becomes a step in the timestamps

_SEEK_FROM = 10  # seconds; nearer cuts are reached by reading from the beginning
_SEEK_MARGIN = 2

# Formats that count in milliseconds place sound with this much jitter, which is smoothed away. A
# larger step is a real gap and stays.
_JITTER = Fraction(2, 1000)


class AudioTrack(Protocol):
    """The sound stream of an output, filled step by step."""

    def write_until(self, seconds: Fraction | None) -> None:
        """Write what comes before this time of the output, in seconds; None writes the rest."""

    def close(self) -> None:
        """Release the input file."""


def add_audio(
    output: OutputContainer,
    path: Path,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    delay: Fraction = Fraction(0),
    holes: Sequence[tuple[Fraction, Fraction]] = (),
    limits: MediaLimits = DEFAULT_LIMITS,
    muxer: str = "mp4",
    warn: Callable[[str], None] = lambda sentence: None,
) -> AudioTrack | None:
    """Add the sound of a file to an output that has not been started yet.

    Args:
        output: a container.
        path: the file that has the sound.
        start: the time in the file, in seconds, that is 0 in the output; nothing before it is
            heard. None keeps the file's times.
        end: the time in the file, in seconds, where the sound ends; None means its own end.
        delay: seconds by which all of it is later in the output.
        holes: spans between start and end, first and last second of each in the file, ascending,
            that are taken out; what follows moves up.
        limits: what is refused.
        muxer: libav's name of the container.
        warn: takes a sentence about sound that had to be left out.

    Returns:
        The track, or None if the file has no sound that can be carried over.

    Raises:
        AnimatorError: those of `animator.media.container.open_media`.
    """
    resources = ExitStack()
    try:
        # The file's sound, if it has one that can be read.
        choice = choose_sound(path, limits, muxer)
        if choice.note is not None:
            warn(choice.note)
        if choice.index is None:
            return None
        source = open_stream(path, limits, resources, choice.index)
        # What lies far before the start is jumped over; where that fails, all is read from the
        # beginning.
        if start is not None and start > _SEEK_FROM and not _skip(source, start):
            resources.close()
            source = open_stream(path, limits, resources, choice.index)
        # Where the picture's clock jumps, the sound's does.
        format = source.container.format.name
        known = video_offsets(path, limits) if format in DISCONTINUOUS else None
        # MP4 takes some codings as they are, which loses nothing; others are coded anew, and so is
        # what is cut, as packets are no place to cut at.
        joints = Joints(format, known)
        # Matroska has no edit lists, which would hide what is before the start.
        hidden = start is None or muxer in EDITED
        if choice.copied and not holes and hidden:
            return _Copied(output, source, resources, joints, start, end, delay, muxer)
        return _Encoded(output, source, resources, joints, start, end, delay, holes, muxer)
    except BaseException:
        resources.close()
        raise


def _skip(source: AudioStream, start: Fraction) -> bool:
    """Jump to before `start`, and tell whether that worked."""
    container: Any = source.container
    if not container.format.name.startswith(("mov", "matroska")):
        return False  # others estimate the time of a packet after a jump
    assert source.time_base is not None
    target = int((start - _SEEK_MARGIN) / source.time_base)
    try:
        container.seek(target, stream=source)
        first = next(container.demux(source))
        landed = first.pts is not None and first.pts * source.time_base <= start - _PREROLL
        container.seek(target, stream=source)
    except (av.FFmpegError, StopIteration):
        return False
    return landed


class _Track:
    """What both kinds share: the source, its end, and the way from its times to the output's."""

    def __init__(
        self,
        output: OutputContainer,
        source: AudioStream,
        resources: ExitStack,
        joints: Joints,
        start: Fraction | None,
        end: Fraction | None,
        delay: Fraction,
    ) -> None:
        self._output, self._source, self._resources = output, source, resources
        self._joints = joints
        self._shift = delay - (start or 0)  # from seconds in the file to seconds in the output
        self._cut = start is not None
        self._end = None if end is None else end + self._shift
        self._zero = delay if self._cut else None  # nothing is heard before it
        self._written = Fraction(-1)  # output seconds up to which it is done
        self._done = False
        self._packets = self._source_packets()

    def close(self) -> None:
        self._resources.close()

    def _source_packets(self) -> Iterator[Packet[AudioStream]]:
        packets = demux(self._source.container, self._source)
        with suppress(av.FFmpegError):  # the picture says whether the file is damaged
            for packet in packets:
                self._joints.join(packet)
                yield packet


class _Copied(_Track):
    """Packets as they are, with smooth timestamps in units of one sample."""

    def __init__(self, *arguments: Any) -> None:
        *shared, muxer = arguments
        super().__init__(*shared)
        self._target = self._output.add_stream_from_template(self._source)
        # What is before 0 would move all the rest where nothing hides it.
        opus = self._source.codec_context.name in ("opus", "libopus")
        self._whole = muxer in EDITED or opus
        self._rate = self._source.codec_context.sample_rate
        self._expected: Fraction | None = None
        self._last = -sys.maxsize

    def write_until(self, seconds: Fraction | None) -> None:
        while not self._done and (seconds is None or self._written < seconds):
            packet = next(self._packets, None)
            if packet is None:
                self._done = True
            elif packet.pts is not None and packet.size:
                self._copy(packet)

    def _copy(self, packet: Packet[AudioStream]) -> None:
        assert packet.pts is not None
        time = packet.pts * packet.time_base + self._shift
        if self._expected is not None and abs(time - self._expected) <= _JITTER:
            time = self._expected
        length = self._length(packet)
        self._expected = self._written = time + length
        if self._zero is not None and time + length <= self._zero - _PREROLL:
            return
        if time < 0 and not self._whole:
            return
        if self._end is not None and time >= self._end:
            self._done = True
            return
        if self._end is not None:
            length = min(length, self._end - time)
        pts = round(time * self._rate)
        if pts <= self._last:
            return  # the file's times are out of order, which no output may be
        self._last = pts
        packet.stream = self._target
        packet.time_base = Fraction(1, self._rate)
        packet.pts = packet.dts = pts
        packet.duration = round(length * self._rate)
        with suppress(av.InvalidDataError):  # a damaged packet is a gap
            self._output.mux(packet)

    def _length(self, packet: Packet[AudioStream]) -> Fraction:
        """Seconds of sound in a packet; the container's figure may be rounded to milliseconds."""
        told = (packet.duration or 0) * packet.time_base
        exact = Fraction(self._source.codec_context.frame_size or 0, self._rate)
        return exact if exact and abs(told - exact) <= _JITTER else told


class _Encoded(_Track):
    """Decoded sound without its holes, laid on a line of samples and encoded as AAC or Opus."""

    def __init__(self, *arguments: Any) -> None:
        *shared, holes, muxer = arguments
        super().__init__(*shared)
        context = self._source.codec_context
        self._rate = encoded_rate(context.sample_rate, muxer)
        channels = min(context.channels, 2)
        self._layout = "mono" if channels == 1 else "stereo"
        encoder, self._format = ("aac", "fltp") if muxer in EDITED else ("libopus", "flt")
        target: Any = self._output.add_stream(encoder, rate=self._rate)
        self._target = target
        self._target.codec_context.format = self._format
        self._target.layout = self._layout
        self._target.codec_context.bit_rate = _BITS_PER_CHANNEL * channels
        self._target.codec_context.time_base = Fraction(1, self._rate)
        self._mixer = Mixer(self._layout, self._rate)
        spans = [(begin + self._shift, end + self._shift) for begin, end in holes]
        self._holes = Holes(spans, self._rate)
        if self._end is not None:
            self._end = self._holes.seconds_after(self._end, self._rate)
        self._line: int | None = None  # what follows the latest samples, holes not yet taken out
        self._pending: list[npt.NDArray[np.float32]] = []
        self._pending_start: int | None = None  # output sample number of the first pending sample
        self._pending_count = 0

    def write_until(self, seconds: Fraction | None) -> None:
        while not self._done and (seconds is None or self._written < seconds):
            packet = next(self._packets, None)
            if packet is None:
                self._finish()
                return
            try:
                converted = [part for frame in packet.decode() for part in self._mixer.mix(frame)]
            except (av.FFmpegError, ValueError):
                continue  # a damaged packet is a gap, which silence fills
            for part in converted:
                self._place(part)
            if self._end is not None and self._written >= self._end:
                self._finish()

    def _finish(self) -> None:
        for converted in self._mixer.rest():
            self._place(converted)
        self._encode(whole=False)
        self._output.mux(self._target.encode(None))
        self._done = True

    def _place(self, frame: AudioFrame) -> None:
        """Put samples where their timestamp says, with silence in gaps and nothing twice."""
        samples: npt.NDArray[np.float32] = frame.to_ndarray()  # type: ignore[assignment]
        start = self._line or 0
        if frame.pts is not None and frame.time_base is not None:
            start = round((frame.pts * frame.time_base + self._shift) * self._rate)
        if self._line is not None and abs(start - self._line) <= _JITTER * self._rate:
            start = self._line
        stop = start + samples.shape[1]
        for piece, place in self._holes.pieces(samples, start):
            self._lay(piece, place)
        if self._pending_start is not None:
            self._line = stop if self._line is None else max(self._line, stop)
        self._written = Fraction(self._holes.place(stop), self._rate)

    def _lay(self, samples: npt.NDArray[np.float32], start: int) -> None:
        """Append samples that belong at `start`, holes taken out, or what of them is new."""
        first = self._following()
        if first is None:
            first = start if self._zero is None else max(start, round(self._zero * self._rate))
        samples, start = samples[:, max(first - start, 0) :], max(start, first)
        if self._end is not None:
            samples = samples[:, : max(round(self._end * self._rate) - start, 0)]
        if not samples.shape[1]:
            return
        if start - first > _LONGEST_SILENCE * self._rate:
            self._encode(whole=False, pad=True)
            self._pending_start = None
        if self._pending_start is None:
            self._pending_start = start
        else:
            self._append(np.zeros((len(samples), start - first), np.float32))
        self._append(samples)
        self._encode(whole=True)

    def _following(self) -> int | None:
        if self._pending_start is None:
            return None
        return self._pending_start + self._pending_count

    def _append(self, samples: npt.NDArray[np.float32]) -> None:
        if samples.shape[1]:
            self._pending.append(samples)
            self._pending_count += samples.shape[1]

    def _encode(self, *, whole: bool, pad: bool = False) -> None:
        """Encode what is pending, in frames of the encoder's size; without `whole` all of it.

        A short frame may only be the very last; `pad` makes it whole with silence.
        """
        self._target.codec_context.open(strict=False)
        size = self._target.codec_context.frame_size
        if not self._pending or (whole and self._pending_count < size):
            return
        assert self._pending_start is not None
        if pad:
            rest = -self._pending_count % size
            self._append(np.zeros((len(self._pending[0]), rest), np.float32))
        samples = np.concatenate(self._pending, axis=1)
        # Whole frames of the encoder, and the rest only at the very end.
        stop = samples.shape[1] // size * size if whole else samples.shape[1]
        for first in range(0, stop, size):
            piece = np.ascontiguousarray(samples[:, first : min(first + size, stop)])
            if self._format == "flt":
                piece = np.ascontiguousarray(piece.T).reshape(1, -1)  # channels side by side
            frame = AudioFrame.from_ndarray(piece, self._format, self._layout)
            frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
            frame.pts = self._pending_start + first
            self._output.mux(self._target.encode(frame))
        self._pending = [samples[:, stop:]] if stop < samples.shape[1] else []
        self._pending_start += stop
        self._pending_count -= stop
