"""Pictures one by one as a source of frames: a folder or a pattern, at even times."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.files.sequence import pictures_of
from animator.media.frame_source import FileFacts
from animator.media.stills import read_still
from animator.settings import MediaLimits


class PictureSequence:
    """The pictures of a folder or a pattern; see `animator.media.frame_source.FrameSource`.

    Each is read as a portrait is: upright, in its colours, over white.

    Args:
        path: the folder or the pattern.
        limits: what is refused of each picture, and of how many there are.
        rate: pictures a second.
        forgiving: whether damaged pictures are left out and told in `faults`; else they are
            errors. What is left out is a gap in time.

    Raises:
        AnimatorError: those of `animator.files.sequence.pictures_of`.
    """

    def __init__(self, path: Path, limits: MediaLimits, rate: Fraction, forgiving: bool) -> None:
        self._path, self._limits, self._forgiving = path, limits, forgiving
        self._pictures = pictures_of(path, limits)
        self._place = self._lost = 0
        self._rate = rate
        # A unit is so short that every frame has a whole number of it.
        self.time_base = Fraction(1, rate.numerator)

    @property
    def faults(self) -> list[str]:
        """Sentences about what could not be read so far."""
        if not self._lost:
            return []
        count = len(self._pictures)
        return [f"{self._lost} of the {count} pictures cannot be read and are left out."]

    def next(self) -> tuple[int, VideoFrame] | None:
        """The next picture and its timestamp.

        Raises:
            AnimatorError: of a damaged picture, if the first or not forgiven.
        """
        while self._place < len(self._pictures):
            place, self._place = self._place, self._place + 1
            try:
                return place * self._rate.denominator, self._read(self._pictures[place])
            except AnimatorError as error:
                damage = error.code in ("unreadable_image", "unsupported_format")
                if not (damage and self._forgiving and place):
                    raise
                self._lost += 1
        return None

    def go_before(self, seconds: Fraction) -> tuple[int, VideoFrame] | None:
        """Go to the picture that is shown at a time, or the first."""
        self._place = max(0, min(int(seconds * self._rate), len(self._pictures) - 1))
        return self.next()

    def facts(self) -> FileFacts:
        """What is known from the names."""
        count = len(self._pictures)
        return FileFacts(
            rate=self._rate,
            duration=count / self._rate,
            frames=count,
            pixel_aspect=None,
            has_audio=False,
            format="pictures",
            codec=self._pictures[0].suffix[1:].lower(),
        )

    def moments(self) -> Iterator[int | None]:
        """The times of all pictures."""
        for place in range(len(self._pictures)):
            yield place * self._rate.denominator

    def key_times(self, most: int) -> list[int]:
        """The times of all pictures, if they are not too many."""
        count = len(self._pictures)
        return [place * self._rate.denominator for place in range(count)] if count <= most else []

    def close(self) -> None:
        """Do nothing, as no file stays open."""

    def _read(self, path: Path) -> VideoFrame:
        still = read_still(path, self._limits)
        if still is None:
            raise AnimatorError("unreadable_image", f"{quoted(path)} is not a picture.")
        return VideoFrame.from_ndarray(still.pixels, "rgb24")
