"""Figures of a motion: its length, its faces, the turning of the head and what opens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Driving
from animator.animation.motion.file import FORMAT, Motion
from animator.faces.landmarks import Landmarks
from animator.faces.measures import face_extent, head_angles, relative_openings
from animator.faces.shots import cuts_sentence
from animator.faces.tracking import SURE

_ANGLES = ("roll", "pitch", "yaw")
_OPENINGS = ("left_eye", "right_eye", "mouth")


@dataclass(frozen=True, eq=False)
class MotionCurves:
    """How a face moves over T frames; NaN where it is not seen.

    Attributes:
        seconds: T times.
        angles: T x 3, roll, pitch and yaw in degrees, about; pitch counts from its median, as
            how long a nose is differs from face to face.
        openings: T x 3, the picture's left eye, its right eye, and the mouth, in units of their
            width.
    """

    seconds: NDArray[np.float64]
    angles: NDArray[np.float64]
    openings: NDArray[np.float64]


@dataclass(frozen=True)
class MotionSummary:
    """A motion in figures.

    Attributes:
        frames: how many there are.
        seconds: from the first to the last.
        rate: frames a second on average, None if unknown.
        width: of the driving picture, in pixels.
        height: likewise.
        faces: most faces that were seen in one frame of the video.
        with_face: frames that show the face.
        missing: first and last frame of each run without it.
        doubtful: frames in which the detector was not sure of it.
        confidence: mean confidence of the frames with the face, 0 to 1.
        face_pixels: median of the face's greater extent in pixels.
        cuts: frames with which a new shot begins.
        angles: least and greatest roll, pitch and yaw in degrees, about.
        openings: least and greatest opening of eyes and mouth, in units of their width.
        faults: sentences about what could not be read of the video.
    """

    frames: int
    seconds: float
    rate: float | None
    width: int
    height: int
    faces: int
    with_face: int
    missing: tuple[tuple[int, int], ...]
    doubtful: int
    confidence: float
    face_pixels: float
    cuts: tuple[int, ...]
    angles: dict[str, tuple[float, float]]
    openings: dict[str, tuple[float, float]]
    faults: tuple[str, ...]


def curves_of(driving: Driving) -> MotionCurves:
    """The curves of a motion that has a face in at least one frame."""
    landmarks = driving.landmarks
    angles, openings = (np.full((len(landmarks), 3), np.nan) for _ in range(2))
    found = landmarks.found
    angles[found] = head_angles(landmarks.points[found])
    angles[:, 1] -= np.nanmedian(angles[:, 1])
    openings[found] = relative_openings(landmarks.points[found])
    return MotionCurves(driving.seconds, angles, openings)


def summarise(driving: Driving, curves: MotionCurves) -> MotionSummary:
    """The figures of a motion and of its curves."""
    landmarks = driving.landmarks
    sure = landmarks.confidence[landmarks.found]
    return MotionSummary(
        frames=len(landmarks),
        seconds=round(float(driving.seconds[-1]), 3),
        rate=None if driving.rate is None else round(float(driving.rate), 3),
        width=driving.size[0],
        height=driving.size[1],
        faces=driving.faces,
        with_face=int(landmarks.found.sum()),
        missing=_missing(landmarks),
        doubtful=int((sure < SURE).sum()),
        confidence=round(float(sure.mean()), 3),
        face_pixels=round(float(np.median(face_extent(landmarks.points[landmarks.found]))), 1),
        cuts=driving.cuts or (),
        angles=_ranges(_ANGLES, curves.angles, 1),
        openings=_ranges(_OPENINGS, curves.openings, 3),
        faults=driving.faults,
    )


def described(motion: Motion, summary: MotionSummary, size: int) -> dict[str, Any]:
    """A motion file as plain values, for JSON.

    Args:
        motion: what is in it.
        summary: of that.
        size: of the file in bytes.
    """
    origin = {name: _plain(value) for name, value in asdict(motion.origin).items()}
    return {
        "format": FORMAT,
        "bytes": size,
        **asdict(summary),
        "origin": origin,
        "rights": asdict(motion.rights),
    }


def notes_on(motion: Motion, summary: MotionSummary) -> Iterator[str]:
    """Sentences about a motion that a person should read who has just saved it."""
    if summary.faces > 1:
        which = motion.origin.face
        chosen = "the largest" if which == "largest" else f"number {which} from the left"
        yield f"The video shows {summary.faces} faces; {chosen} was followed."
    if missing := summary.frames - summary.with_face:
        yield f"{missing} frames show no face." if missing > 1 else "1 frame shows no face."
    if summary.cuts:
        seconds = motion.driving.seconds
        yield cuts_sentence([float(seconds[cut]) for cut in summary.cuts])
    yield from summary.faults


def _missing(landmarks: Landmarks) -> tuple[tuple[int, int], ...]:
    changes = np.flatnonzero(np.diff(~landmarks.found, prepend=False, append=False))
    return tuple((first, end - 1) for first, end in changes.reshape(-1, 2).tolist())


def _ranges(
    names: tuple[str, ...], values: NDArray[np.float64], decimals: int
) -> dict[str, tuple[float, float]]:
    low, high = np.nanmin(values, 0), np.nanmax(values, 0)
    # Zero is added so that none is "-0.0".
    return {
        name: (round(float(one), decimals) + 0.0, round(float(other), decimals) + 0.0)
        for name, one, other in zip(names, low, high, strict=True)
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Fraction) else value
