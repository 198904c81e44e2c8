"""A video file with exact times and with the sound of another file, whole or not at all.

MP4 and QuickTime keep every time exactly; Matroska and WebM count in milliseconds.

What fills its picture is the caller's business: an encoder, or the packets of other files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet

from animator.files.output import OutputFile, coded_errors
from animator.media.audio import AudioTrack, add_audio
from animator.settings import DEFAULT_LIMITS, MediaLimits

METADATA_KEYS = frozenset(
    "title artist album album_artist composer comment copyright date description episode_id genre "
    "grouping keywords lyrics network show synopsis".split()
)
"""What MP4 has a place for; a muxer leaves out other keys without a word."""

_FINEST = 48000  # the sound's start is kept at least to this part of a second


@dataclass(frozen=True)
class Sound:
    """The sound that goes with a picture.

    Attributes:
        path: the file that has it; one without sound gives a silent video.
        start: the time in that file, in seconds, that is 0 in the output; None if both have the
            same times. See `animator.media.decode.VideoReader.audio_start`.
        end: the time in that file, in seconds, where the sound ends; None for its own end.
        limits: what is refused of the file.
        holes: spans between start and end, first and last second of each in that file, ascending,
            that are taken out; what follows moves up.
    """

    path: Path
    start: Fraction | None = None
    end: Fraction | None = None
    limits: MediaLimits = DEFAULT_LIMITS
    holes: tuple[tuple[Fraction, Fraction], ...] = ()


class Mp4Output:
    """The file while it is written: open it, add the picture's stream, start, mux, publish.

    Args:
        output: the file to write; its folder must exist. A symbolic link is followed.
        time_base: of the picture's timestamps, in seconds; need not be known to MP4.
        sound: what is heard.
        metadata: what the file says about itself; keys from `METADATA_KEYS`.
        warn: takes sentences about what the file lacks.
        muxer: libav's name of the container: "mp4", "mov", "matroska" or "webm".

    Raises:
        ValueError: for a time base or a metadata key that makes no sense.
        AnimatorError: output_exists_as_folder, output_not_writable, disk_full, encoding_failed,
            and those of `animator.media.container.open_media`.
    """

    def __init__(
        self,
        output: Path,
        time_base: Fraction,
        *,
        sound: Sound | None = None,
        metadata: Mapping[str, str] | None = None,
        warn: Callable[[str], None] = lambda sentence: None,
        muxer: str = "mp4",
    ) -> None:
        if time_base <= 0:
            raise ValueError(f"the time base must be positive, got {time_base}")
        unknown = sorted(set(metadata or ()) - METADATA_KEYS)
        if unknown:
            raise ValueError(f"MP4 has no metadata {unknown}; it has {sorted(METADATA_KEYS)}")
        self.path, self.time_base, self._muxer = output, time_base, muxer
        self._sound, self._metadata, self._warn = sound, dict(metadata or {}), warn
        self._file: OutputFile | None = None
        self._container: OutputContainer | None = None
        self._track: AudioTrack | None = None
        self._shift = 0

    @property
    def container(self) -> OutputContainer:
        """The open container."""
        assert self._container is not None
        return self._container

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Raise coded errors; after any of them, nothing of the file is left."""
        try:
            with coded_errors(self.path):
                yield
        except BaseException:
            self.discard()
            raise

    def open(self) -> None:
        """Begin the file under a temporary name."""
        self._file = OutputFile(self.path)
        # Edit lists count in the movie's unit of time: it must hold a first timestamp exactly.
        unit = self.time_base.denominator
        options = {
            "movflags": "+faststart",
            "movie_timescale": str(unit * max(1, -(-_FINEST // unit))),
            "video_track_timescale": str(unit * max(1, -(-10000 // unit))),
        }
        if self._muxer not in ("mp4", "mov"):
            options = {"fflags": "+bitexact"}  # else equal files would differ in a random number
        self._container = av.open(
            self._file, "w", format=self._muxer, options=options, io_open=self._file.reopened
        )
        self._container.metadata.update(self._metadata)

    def start(self, first: int) -> int:
        """Add the sound and write the header: only the first frame tells how to place them.

        Args:
            first: timestamp of the first frame.

        Returns:
            What is to be added to the picture's timestamps.
        """
        # MP4 hides what is before 0, so a video that starts there moves to 0, with its sound.
        self._shift = -min(first, 0)
        if self._sound is not None:
            self._track = add_audio(
                self.container,
                self._sound.path,
                start=self._sound.start,
                end=self._sound.end,
                delay=self._shift * self.time_base,
                holes=self._sound.holes,
                limits=self._sound.limits,
                muxer=self._muxer,
                warn=self._warn,
            )
        self.container.start_encoding()
        return self._shift

    def mux(self, packets: Packet | list[Packet]) -> None:
        """Write packets of the picture."""
        self.container.mux(packets)

    def reached(self, pts: int) -> None:
        """Write the sound up to a frame of this timestamp, as it was before the shift.

        Raises:
            OSError: what any writing so far met.
        """
        assert self._file is not None
        if self._track is not None:
            self._track.write_until((pts + self._shift) * self.time_base)
        self._file.check()

    def publish(self) -> None:
        """Write the rest of the sound and the index, and give the file its name."""
        assert self._file is not None
        if self._track is not None:
            self._track.write_until(None)
        try:
            self.container.close()
        finally:
            self._file.check()  # says more than what libav makes of it
        self._container = None
        self._file.publish()
        if self._track is not None:
            self._track.close()

    def discard(self) -> None:
        """Leave nothing behind, whatever state the file is in."""
        if self._track is not None:
            self._track.close()
        if self._file is None:
            return
        self._file.abandon()
        container, self._container = self._container, None
        if container is not None:
            with suppress(Exception):
                container.close()  # would otherwise write its index when it is collected
        self._file.remove()


def last_duration(pts: list[int], rate: Fraction | None, time_base: Fraction) -> int:
    """How long the last frame lasts, which no later one tells, in units of the time base.

    Args:
        pts: the last timestamps, of which there is at least one.
        rate: frames a second, None if unknown.
        time_base: seconds.
    """
    if rate is not None:
        return max(1, round(1 / (rate * time_base)))
    if len(pts) > 1:
        return pts[-1] - pts[-2]
    return max(1, round(Fraction(1, 25) / time_base))


def believable(rate: Fraction | None) -> Fraction | None:
    """A rate to go by; one beyond reason, as some headers have it, would mislead."""
    return rate if rate is not None and rate <= 1000 else None
