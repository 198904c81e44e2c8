"""A video as the portrait: its face followed through all frames, and its pictures one by one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Driving, driving_arrays, driving_of
from animator.errors import AnimatorError
from animator.faces.crop import Square
from animator.faces.motion import fill_missing, smooth
from animator.faces.moving_square import follow_squares, in_square_units
from animator.faces.shots import spans
from animator.files.local import open_file
from animator.files.sequence import is_sequence
from animator.media.animated import open_animated
from animator.media.decode import MediaLimits, VideoReader
from animator.media.stills import read_still
from animator.spec import JobSpec
from gfla.arrays import Picture

_SEEK_FROM = Fraction(5)  # seconds; what begins earlier is reached by decoding from the beginning
_HEAD = 65536  # bytes of a PNG in which it says that it is animated
_BATCH = 4  # frames; all of them stay in memory as long as one is used


@dataclass(frozen=True, eq=False)
class Moving:
    """The face of a portrait that is a video, in each of its N frames.

    Attributes:
        track: the face as it was followed, with the video's times, size, sound, cuts and faults.
        points: N x 68 x 2 pixels, calm, and without gaps.
        squares: N x 3, the part of each frame that is animated, as `Square`.
        there: N, whether the frame shows the face.
    """

    track: Driving
    points: NDArray[np.float32]
    squares: NDArray[np.float64]
    there: NDArray[np.bool_]

    @property
    def first(self) -> int:
        """The first frame that shows the face; its picture stands for the whole video."""
        return int(np.argmax(self.there))

    @property
    def shots(self) -> list[slice]:
        """The stretches of frames that are animated by themselves."""
        return spans(self.track.cuts or (), self.there)

    @property
    def begins(self) -> NDArray[np.bool_]:
        """N, whether the face comes into sight with this frame, or with a new shot."""
        begins = self.there & ~np.concatenate([[False], self.there[:-1]])
        begins[[cut for cut in self.track.cuts or () if self.there[cut]]] = True
        return begins

    def square(self, frame: int) -> Square:
        """The part of a frame that is animated."""
        return Square(*self.squares[frame].tolist())

    def units(self, frames: NDArray[np.intp]) -> NDArray[np.float32]:
        """The landmarks of some frames in units of their squares."""
        return in_square_units(self.points[frames], self.squares[frames])


def moves(spec: JobSpec, limits: MediaLimits) -> bool:
    """Whether the portrait is a video whose frames are all wanted; a folder of pictures is none.

    Raises:
        AnimatorError: those of `read_still`.
    """
    if spec.source_motion == "still" or is_sequence(spec.source):
        return False
    if (animated := open_animated(Path(spec.source), limits)) is not None:
        animated.close()
        return animated.count > 1
    if not _may_play(spec.source.path, limits) and read_still(spec.source, limits) is not None:
        return False
    with suppress(AnimatorError):  # which then is told of it as of any picture
        with VideoReader(spec.source, batch=1, limits=limits, forgiving=True) as reader:
            return len(list(islice(reader, 2))) > 1
    return False


def _may_play(path: Path, limits: MediaLimits) -> bool:
    """Whether a picture is of a kind that can be animated, and is played as a video is."""
    with open_file(path, limits) as file:
        head = file.read(_HEAD)
    return head.startswith(b"GIF8") or (head.startswith(b"\x89PNG") and b"acTL" in head)


def as_driving(spec: JobSpec) -> JobSpec:
    """A job whose driving video is the portrait of this one: so its face is followed."""
    face = spec.face_of("source")
    return replace(spec, driving=spec.source, driving_face=face, start=None, end=None)


def moving_of(spec: JobSpec, track: Driving) -> Moving:
    """The face of a video that is the portrait, of what was found in it.

    Raises:
        AnimatorError: `no_face` if no frame shows one.
    """
    found = track.landmarks.found
    if not found.any():
        raise AnimatorError("no_face", "No face was found in any frame of the source video.")
    seconds, parts = track.seconds, []
    shots = spans(track.cuts or (), found)
    for shot in shots:
        filled = fill_missing(track.landmarks.part(shot), "interpolate", seconds[shot])
        parts.append(smooth(filled.points, seconds[shot], spec.smoothing))
    points = np.concatenate(parts)
    # Pasted back, a face lies on whole pixels of its frame; else the square is all that is shown.
    whole = spec.shows == "paste-back"
    return Moving(track, points, follow_squares(points, seconds, shots, whole=whole), found)


def moving_arrays(moving: Moving) -> dict[str, NDArray[Any]]:
    """A portrait that moves as arrays, from which `moving_from` makes an equal one."""
    own: dict[str, NDArray[Any]] = {
        "of points": moving.points,
        "of squares": moving.squares,
        "of there": moving.there,
    }
    return driving_arrays(moving.track) | own


def moving_from(arrays: dict[str, NDArray[Any]]) -> Moving:
    """The portrait of `moving_arrays`; errors as of `driving_of`."""
    own = (arrays[f"of {name}"] for name in ("points", "squares", "there"))
    return Moving(driving_of(arrays), *own)


def pictures_of(
    path: str | Path,
    moving: Moving,
    frames: NDArray[np.intp],
    limits: MediaLimits,
    check: Callable[[], object] = lambda: None,
) -> Generator[Picture, None, None]:
    """The pictures of some frames of the video, H W 3 each.

    Only a few are in memory at any time, and what comes long before the first is passed over.

    Args:
        path: the video.
        moving: what was found in it.
        frames: T numbers of frames, none less than the one before; each may come several times.
        limits: what is refused.
        check: called for every frame; may raise to stop.
    """
    pts, place = moving.track.pts, 0
    wanted = frames.tolist()
    with _opened(path, moving, wanted[0], limits) as (reader, begins):
        before: Picture | None = None
        for batch in reader:
            for offset, picture in zip(batch.pts, batch.pixels, strict=True):
                # What was wanted up to here is of the frame before.
                while before is not None and pts[wanted[place]] < begins + offset:
                    check()
                    yield before
                    if (place := place + 1) == len(wanted):
                        return
                before = picture
        while before is not None and place < len(wanted):
            yield before
            place += 1


class _opened:
    """The video from a frame on, and what is added to its timestamps; a context manager."""

    def __init__(self, path: str | Path, moving: Moving, frame: int, limits: MediaLimits) -> None:
        track = moving.track
        start = track.pts[frame] * track.time_base
        self._begins = 0
        if start > _SEEK_FROM:
            self._reader = VideoReader(
                path, start=start, batch=_BATCH, limits=limits, forgiving=True
            )
            # Only where the jump has led to this very frame are those after it the right ones.
            if (self._reader.audio_start or 0) == (track.audio[0] or 0) + start:
                self._begins = track.pts[frame]
                return
            self._reader.close()
        self._reader = VideoReader(path, batch=_BATCH, limits=limits, forgiving=True)

    def __enter__(self) -> tuple[VideoReader, int]:
        return self._reader, self._begins

    def __exit__(self, *raised: object) -> None:
        self._reader.close()


def picture_at(path: str | Path, moving: Moving, frame: int, limits: MediaLimits) -> Picture:
    """The picture of one frame."""
    pictures = pictures_of(path, moving, np.array([frame]), limits)
    try:
        return next(pictures)
    finally:
        pictures.close()
