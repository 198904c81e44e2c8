"""Faces and their landmarks as values, and the protocol of what finds them.

Landmarks follow iBUG-68: 0-16 jaw from the picture's left to its right, 17-26 brows, 27-35 nose,
36-47 eyes, 48-59 outer lips, 60-67 inner lips.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError

POINTS = 68
"""The number of landmarks of a face."""

FaceChoice = Literal["largest"] | int
"""Which of several faces: the largest, or the N-th from the left of the picture, from 1."""


@dataclass(frozen=True)
class FaceBox:
    """The place of a face that a detector found.

    Attributes:
        x0, y0, x1, y1: the edges in pixels; they may lie outside the picture.
        confidence: 0..1.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    confidence: float

    @property
    def area(self) -> float:
        """Width times height in square pixels."""
        return max(self.x1 - self.x0, 0.0) * max(self.y1 - self.y0, 0.0)

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the middle."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def side(self) -> float:
        """The mean of width and height in pixels."""
        return (self.x1 - self.x0 + self.y1 - self.y0) / 2

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1)."""
        return self.x0, self.y0, self.x1, self.y1

    def overlap(self, other: FaceBox) -> float:
        """Intersection over union with another box, 0..1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        common = width * height
        return common / (self.area + other.area - common)


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The landmarks of one face in T frames.

    Attributes:
        points: float32 T x 68 x 2, pixels of the frame as (x, y), a whole number being the centre
            of a pixel; every value of a frame without the face is NaN.
        boxes: float32 T x 4, the face's square x0 y0 x1 y1 in pixels; NaN without the face.
        confidence: float32 T, 0..1; how sure the detector is that the points lie on a face.

    Raises:
        ValueError: if shapes, types or ranges do not fit together.
    """

    points: NDArray[np.float32]
    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def __post_init__(self) -> None:
        frames = len(self.points)
        expected = {
            "points": (frames, POINTS, 2),
            "boxes": (frames, 4),
            "confidence": (frames,),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value.shape != shape or value.dtype != np.float32:
                raise ValueError(f"{name} must be float32 {shape}, got {value.dtype} {value.shape}")
        whole = np.isfinite(self.points).all((1, 2))
        if not (whole | np.isnan(self.points).all((1, 2))).all():
            raise ValueError("a frame's points must be all finite or all NaN")
        if not (np.isfinite(self.boxes).all(1) == whole).all():
            raise ValueError("a frame needs a box exactly when it has points")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise ValueError("confidence must lie in 0..1")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def found(self) -> NDArray[np.bool_]:
        """T: whether the frame has the face."""
        return np.asarray(np.isfinite(self.points).all((1, 2)), np.bool_)

    def part(self, frames: slice) -> Landmarks:
        """The landmarks of a stretch of the frames."""
        return Landmarks(self.points[frames], self.boxes[frames], self.confidence[frames])

    @staticmethod
    def concatenate(parts: Iterable[Landmarks]) -> Landmarks:
        """The landmarks of successive stretches of one video as one value."""
        chosen = list(parts) or [missing_landmarks(0)]
        return Landmarks(
            np.concatenate([part.points for part in chosen]),
            np.concatenate([part.boxes for part in chosen]),
            np.concatenate([part.confidence for part in chosen]),
        )


def missing_landmarks(frames: int) -> Landmarks:
    """The landmarks of frames that show no face."""
    return Landmarks(
        np.full((frames, POINTS, 2), np.nan, np.float32),
        np.full((frames, 4), np.nan, np.float32),
        np.zeros(frames, np.float32),
    )


class LandmarkDetector(Protocol):
    """What finds faces and their landmarks; the same for every model behind it."""

    name: str
    version: str
    """Changes whenever the same frames may give other landmarks, so that caches can tell."""
    batch: int
    """How many frames `landmarks` likes to get at once; 1 if it takes them one by one anyway."""

    def find_faces(self, frame: NDArray[np.uint8], *, thorough: bool = False) -> list[FaceBox]:
        """The faces of one RGB frame H x W x 3, the largest first.

        `thorough` also looks for small and uncertain faces, at several times the cost; what it
        returns may hold false alarms, which a low confidence of `landmarks` gives away.
        """
        ...

    def landmarks(
        self,
        frames: NDArray[np.uint8],
        boxes: NDArray[np.floating],
        rolls: NDArray[np.floating] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks of one face a frame.

        Args:
            frames: uint8 T x H x W x 3, RGB.
            boxes: T x 4, where the face is, as `find_faces` or `boxes_of` gives it.
            rolls: T, how far the heads lean in radians, when it is known.

        Returns:
            Points T x 68 x 2 in pixels and confidence T in 0..1; a low confidence says that the
            box holds no face.
        """
        ...

    def boxes_of(
        self, points: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes T x 4 and rolls T, as `landmarks` wants them, around known points T x 68 x 2."""
        ...


def choose_face(faces: Sequence[FaceBox], face: FaceChoice) -> FaceBox | None:
    """The face that was asked for, or None if there are fewer."""
    if not faces:
        return None
    if face == "largest":
        return max(faces, key=lambda found: found.area)
    from_left = sorted(faces, key=lambda found: found.x0 + found.x1)
    return from_left[face - 1] if face <= len(from_left) else None


def check_face_choice(face: FaceChoice) -> None:
    """Refuse anything but "largest" and whole numbers from 1."""
    if face == "largest" or (isinstance(face, int) and not isinstance(face, bool) and face >= 1):
        return
    raise AnimatorError("invalid_option", f"face is {face!r}; allowed is largest, or 1, 2, ...")
