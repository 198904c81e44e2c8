"""Driving videos as jobs keep them: landmarks and times, as a value and as arrays of a file."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.landmarks import Landmarks
from animator.files.arrays import from_text, to_text


class Track(Protocol):
    """Where the points of a face or a person are in each of T frames."""

    def __len__(self) -> int: ...

    @property
    def found(self) -> NDArray[np.bool_]:
        """T: whether the frame shows it."""
        ...

    def part(self, frames: slice, /) -> Self:
        """A stretch of the frames."""
        ...


Tracked = TypeVar("Tracked", bound=Track)


@dataclass(frozen=True, eq=False)
class Followed(Generic[Tracked]):
    """What is kept of a driving video.

    Attributes:
        landmarks: of its T frames; of a person, the joints.
        pts: T timestamps in units of ``time_base``, those of the result.
        time_base: seconds.
        rate: frames a second on average, None if unknown.
        size: width and height of a frame in pixels.
        audio: where the sound of the result begins and ends in the file, in seconds.
        faces: most faces seen in one frame.
        cuts: the frames with which a new shot begins; None where that was not looked for, as in
            what an older version has kept.
        faults: sentences about what of picture and sound could not be read.
        pictures: whether the file has pictures and sound; a motion file has neither.

    Raises:
        ValueError: if there are not as many timestamps as landmarks.
    """

    landmarks: Tracked
    pts: list[int]
    time_base: Fraction
    rate: Fraction | None
    size: tuple[int, int]
    audio: tuple[Fraction | None, Fraction | None]
    faces: int
    cuts: tuple[int, ...] | None = None
    faults: tuple[str, ...] = ()
    pictures: bool = True

    def __post_init__(self) -> None:
        """Check that the lengths agree."""
        if len(self.pts) != len(self.landmarks):
            frames = len(self.landmarks)
            raise ValueError(f"{len(self.pts)} timestamps for the landmarks of {frames} frames")

    @property
    def seconds(self) -> NDArray[np.float64]:
        """T times in seconds."""
        return np.array([float(pts * self.time_base) for pts in self.pts])

    def part(self, start: Fraction | None, end: Fraction | None) -> Self:
        """The frames from a time on and before another, in seconds; the first has time 0 then.

        Raises:
            AnimatorError: `no_frames` if there are none.
        """
        times = [pts * self.time_base for pts in self.pts]
        first = 0 if start is None else bisect_left(times, start)
        last = len(times) if end is None else bisect_left(times, end)
        if first >= last:
            until = "its end" if end is None else f"{float(end):g} s"
            message = f"The motion has no frame between {float(start or 0):g} s and {until}."
            raise AnimatorError("no_frames", message)
        cuts = None if self.cuts is None else [cut - first for cut in self.cuts]
        return replace(
            self,
            landmarks=self.landmarks.part(slice(first, last)),
            pts=[pts - self.pts[first] for pts in self.pts[first:last]],
            cuts=None if cuts is None else tuple(cut for cut in cuts if 0 < cut < last - first),
        )


Driving = Followed[Landmarks]
"""A driving video of a face."""


def driving_arrays(driving: Driving) -> dict[str, NDArray[Any]]:
    """A driving video as arrays, from which `driving_of` makes an equal one."""
    return time_arrays(driving) | {
        "points": driving.landmarks.points,
        "boxes": driving.landmarks.boxes,
        "confidence": driving.landmarks.confidence,
    }


def time_arrays(driving: Followed[Any]) -> dict[str, NDArray[Any]]:
    """All but the points of a driving video as arrays; see `followed_of`."""
    numbers = {
        "time_base": str(driving.time_base),
        "rate": _text(driving.rate),
        "size": driving.size,
        "audio": [_text(time) for time in driving.audio],
        "faces": driving.faces,
        "cuts": driving.cuts,
        "faults": driving.faults,
        "pictures": driving.pictures,
    }
    return {
        "driving": from_text(json.dumps(numbers)),
        "pts": np.array(driving.pts, np.int64),
    }


def driving_of(arrays: Mapping[str, NDArray[Any]]) -> Driving:
    """The driving video of `driving_arrays`.

    Raises:
        KeyError, TypeError, ValueError: if they are not those.
    """
    landmarks = Landmarks(arrays["points"], arrays["boxes"], arrays["confidence"])
    return followed_of(arrays, landmarks)


def followed_of(arrays: Mapping[str, NDArray[Any]], track: Tracked) -> Followed[Tracked]:
    """The driving video of `time_arrays` with these points; errors as of `driving_of`."""
    # Fractions are text, which keeps them exact.
    numbers = json.loads(to_text(arrays["driving"]))
    first, last = map(_fraction, numbers["audio"])
    width, height = numbers["size"]
    return Followed(
        track,
        arrays["pts"].tolist(),
        Fraction(numbers["time_base"]),
        _fraction(numbers["rate"]),
        (width, height),
        (first, last),
        numbers["faces"],
        _cuts(numbers.get("cuts"), len(arrays["pts"])),
        tuple(map(str, numbers.get("faults", ()))),
        numbers.get("pictures", True) is True,
    )


def _cuts(numbers: Any, frames: int) -> tuple[int, ...] | None:
    if numbers is None:
        return None
    edges = [0, *numbers, frames]
    if not all(type(cut) is int for cut in edges) or sorted(set(edges)) != edges:
        raise ValueError("these are no frames with which shots begin")
    return tuple(numbers)


def _text(value: Fraction | None) -> str | None:
    return None if value is None else str(value)


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)
