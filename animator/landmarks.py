"""Facial landmarks of pictures and videos: the values, the detector protocol, the tracker.

Landmarks follow iBUG-68: 0-16 jaw from the picture's left to its right, 17-26 brows, 27-35 nose,
36-47 eyes, 48-59 outer lips, 60-67 inner lips.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.geometry import Similarity, to_complex

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
                raise ValueError(
                    f"{name} must be float32 {shape}, got {value.dtype} {value.shape}"
                )
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
        return np.isfinite(self.confidence) & np.isfinite(self.points).all((1, 2))

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

    def find_faces(
        self, frame: NDArray[np.uint8], *, thorough: bool = False
    ) -> list[FaceBox]:
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
    raise AnimatorError("invalid_option", f"face must be 'largest' or 1, 2, ...; got {face!r}")


class FaceTracker:
    """Follows one face through the frames of a video.

    The box of a frame comes from the landmarks of the frame before, which costs far less than
    detection and keeps the tracker on its person when there are several. Detection runs at the
    start, when the confidence falls, when the shot changes, and in every frame while no face is
    known. State lives in the tracker, so a video may come in batches of any size.

    Args:
        detector: finds the landmarks.
        face: which face to follow where a shot shows several.

    Attributes:
        faces: the largest number of faces that a detection has shown.

    Raises:
        AnimatorError: invalid_option for a `face` that is not "largest" or 1, 2, ...
    """

    SURE = 0.4
    """Confidence from which a tracked face counts as seen."""
    POSSIBLE = 0.15
    """Confidence below which there is no face at all."""
    PATIENCE = 3
    """Frames between SURE and POSSIBLE, in a row, that are believed before the face is lost."""
    CUT = 40.0
    """Mean change of a 24 x 24 thumbnail, in grey values, that makes a change of shot."""

    def __init__(self, detector: LandmarkDetector, face: FaceChoice = "largest") -> None:
        check_face_choice(face)
        self.detector = detector
        self.face = face
        self.faces = 0
        self._box: NDArray[np.float32] | None = None
        self._roll = np.zeros(1, np.float32)
        self._doubts = 0
        self._thumbnail: NDArray[np.float32] | None = None

    def track(self, frames: NDArray[np.uint8]) -> Landmarks:
        """The landmarks of the next T frames, uint8 T x H x W x 3, RGB."""
        return Landmarks.concatenate([self._step(frame) for frame in frames])

    def _step(self, frame: NDArray[np.uint8]) -> Landmarks:
        if self._shot_changed(frame):
            self._forget()
        if self._box is not None:
            found = self._fit(frame, self._box, self._roll)
            if self._believed(float(found.confidence[0])):
                return self._keep(found)
            self._box = None
        box = self._detect(frame)
        if box is not None:
            found = self._fit(frame, np.array([box.edges], np.float32), None)
            if float(found.confidence[0]) >= self.SURE:
                self._doubts = 0
                return self._keep(found)
        self._forget()
        return missing_landmarks(1)

    def _believed(self, confidence: float) -> bool:
        if confidence >= self.SURE:
            self._doubts = 0
            return True
        self._doubts += 1
        return confidence >= self.POSSIBLE and self._doubts <= self.PATIENCE

    def _fit(
        self,
        frame: NDArray[np.uint8],
        box: NDArray[np.float32],
        roll: NDArray[np.float32] | None,
    ) -> Landmarks:
        points, confidence = self.detector.landmarks(frame[None], box, roll)
        boxes, self._roll = self.detector.boxes_of(points)
        return Landmarks(points, boxes, confidence)

    def _keep(self, found: Landmarks) -> Landmarks:
        self._box = found.boxes
        return found

    def _forget(self) -> None:
        self._box = None
        self._doubts = 0

    def _detect(self, frame: NDArray[np.uint8]) -> FaceBox | None:
        faces = self.detector.find_faces(frame)
        self.faces = max(self.faces, len(faces))
        return choose_face(faces, self.face)

    def _shot_changed(self, frame: NDArray[np.uint8]) -> bool:
        small = cv2.resize(frame, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._thumbnail = self._thumbnail, small
        return before is not None and float(np.abs(small - before).mean()) > self.CUT


def find_face(
    image: NDArray[np.uint8], detector: LandmarkDetector, face: FaceChoice = "largest"
) -> tuple[Landmarks, int]:
    """The landmarks of a face in one picture, and how many faces the picture has.

    Where no face is found at first, the picture is tried with a wider border, for heads that
    fill it, and turned, for portraits that lie on their side.

    Args:
        image: uint8 H x W x 3, RGB.
        detector: finds the landmarks.
        face: which face, where there are several.

    Raises:
        AnimatorError: no_face if there is none, face_not_found if there are fewer than `face`,
            invalid_option for a `face` that is not "largest" or 1, 2, ...
    """
    check_face_choice(face)
    for canvas in _views_of(image):
        faces = _confirmed_faces(canvas.image, detector)
        if not faces:
            continue
        box = choose_face([found for found, _ in faces], face)
        if box is None:
            count = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
            raise AnimatorError(
                "face_not_found", f"face {face} was asked for, but the picture shows {count}"
            )
        points = next(points for found, points in faces if found is box)
        points = canvas.to_image.apply(points).astype(np.float32)[None]
        boxes, _ = detector.boxes_of(points)
        return Landmarks(points, boxes, np.array([box.confidence], np.float32)), len(faces)
    raise AnimatorError("no_face", "no face was found in the picture")


@dataclass(frozen=True, eq=False)
class _Canvas:
    """A picture made from another, and the way back from its pixels."""

    image: NDArray[np.uint8]
    to_image: Similarity


def _views_of(image: NDArray[np.uint8]) -> Iterable[_Canvas]:
    """The picture itself, then with a border, then turned, the likeliest first."""
    height, width = image.shape[:2]
    centre = np.array([[(width - 1) / 2, (height - 1) / 2]])
    for degrees, border in ((0, 0.0), (0, 0.4), (35, 0.3), (-35, 0.3), (90, 0), (-90, 0), (180, 0)):
        if not degrees and not border:
            yield _Canvas(image, Similarity(np.asarray(1.0 + 0j), np.asarray(0j)))
            continue
        turn = Similarity(np.asarray(np.exp(1j * np.radians(degrees))), np.asarray(0j))
        corners = turn.apply(np.array([[0, 0], [width, 0], [0, height], [width, height]]))
        extent = np.ceil((corners.max(0) - corners.min(0)) + 2 * border * min(height, width))
        middle = to_complex((extent - 1) / 2)
        to_image = Similarity(turn.linear, to_complex(centre[0]) - turn.linear * middle)
        a = complex(to_image.linear)
        matrix = np.array(
            [[a.real, -a.imag, to_image.offset.real], [a.imag, a.real, to_image.offset.imag]]
        )
        canvas = cv2.warpAffine(
            image,
            matrix,
            (int(extent[0]), int(extent[1])),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        yield _Canvas(np.asarray(canvas, np.uint8), to_image)


def _confirmed_faces(
    image: NDArray[np.uint8], detector: LandmarkDetector
) -> list[tuple[FaceBox, NDArray[np.float32]]]:
    """Boxes of the faces of a picture, from their landmarks, with these landmarks, 68 x 2."""
    faces: list[tuple[FaceBox, NDArray[np.float32]]] = []
    for candidate in detector.find_faces(image, thorough=True):
        points, confidence = detector.landmarks(image[None], np.array([candidate.edges]))
        if confidence[0] < FaceTracker.SURE:
            continue
        x0, y0, x1, y1 = (float(edge) for edge in detector.boxes_of(points)[0][0])
        box = FaceBox(x0, y0, x1, y1, float(confidence[0]))
        if all(box.overlap(other) < 0.3 for other, _ in faces):
            faces.append((box, points[0]))
    return faces
