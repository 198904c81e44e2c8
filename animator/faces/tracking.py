"""Faces followed through a video, or found in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.geometry import Similarity, to_complex
from animator.faces.landmarks import (
    FaceBox,
    FaceChoice,
    LandmarkDetector,
    Landmarks,
    check_face_choice,
    choose_face,
    missing_landmarks,
)
from animator.faces.shots import ShotDetector

__all__ = [
    "FaceBox",
    "FaceChoice",
    "FaceTracker",
    "LandmarkDetector",
    "Landmarks",
    "find_face",
    "missing_landmarks",
]

SURE = 0.4
"""Confidence from which points count as lying on a face."""
POSSIBLE = 0.15
"""Confidence below which there is no face at all."""
_SEARCH_SIDE = 2048
"""Longer side, in pixels, to which larger pictures are scaled down to look for faces."""


@dataclass(frozen=True, eq=False)
class _Found:
    """A face of one frame: its landmarks (T = 1), its box and how far the head leans."""

    landmarks: Landmarks
    box: FaceBox
    roll: NDArray[np.float32]


class FaceTracker:
    """Follows one face through the frames of a video.

    The box of a frame comes from the landmarks of the frame before, which costs far less than
    detection and keeps the tracker on its person. Detection runs at the start, when the
    confidence falls, when the shot changes, every `LOOK_AROUND` frames, and in every frame while
    the face is away. A face that was lost is taken up again only near the place where it was, in
    a radius that grows while it is away, and never where somebody else was last seen: the
    tracker changes persons only with the shot. State lives in the tracker, so a video may come
    in batches of any size.

    A detector that computes in batches gets several frames with the box of the last face; those
    in which the face has moved on are given again with a newer box.

    Args:
        detector: finds the landmarks.
        face: which face to follow where a shot shows several; if it shows fewer, its largest.

    Attributes:
        faces: the largest number of faces seen in one frame.
        shots: which frames, from 0, begin a new shot.

    Raises:
        AnimatorError: invalid_option for a `face` that is not "largest" or 1, 2, ...
    """

    PATIENCE = 3
    """Frames between SURE and POSSIBLE, in a row, that are believed before the face is lost."""
    LOOK_AROUND = 30
    """Frames between two looks at who else is in the shot."""
    STILL = 0.6
    """Overlap with the box that was used from which a batch's landmarks are taken as they are."""

    def __init__(self, detector: LandmarkDetector, face: FaceChoice = "largest") -> None:
        check_face_choice(face)
        self.detector = detector
        self.face = face
        self.faces = 0
        self.shots = ShotDetector()
        self._last: _Found | None = None
        self._away = 0
        self._doubts = 0
        self._tracked = 0
        self._others: list[FaceBox] = []

    def track(self, frames: NDArray[np.uint8]) -> Landmarks:
        """The landmarks of the next T frames, uint8 T x H x W x 3, RGB."""
        cuts = [self.shots.changed(frame) for frame in frames]
        parts: list[Landmarks] = []
        done = 0
        while done < len(frames):
            ahead = self._look_ahead(frames, cuts, done) if self.detector.batch > 1 else []
            parts += ahead or [self._step(frames[done], cuts[done])]
            done += len(ahead) or 1
        return Landmarks.concatenate(parts)

    def _look_ahead(
        self, frames: NDArray[np.uint8], cuts: list[bool], first: int
    ) -> list[Landmarks]:
        """The next frames, fitted at once, as far as the face stays where the last box is."""
        # As many frames as one shot and one batch of the detector hold.
        end = first
        while end < len(frames) and not cuts[end] and end - first < self.detector.batch:
            end += 1
        if self._last is None or self._away or end - first < 2:
            return []
        count = end - first
        points, confidence = self.detector.landmarks(
            frames[first:end],
            np.repeat(self._last.landmarks.boxes, count, 0),
            np.repeat(self._last.roll, count),
        )
        # Those in which the face is still where it was looked for.
        accepted: list[Landmarks] = []
        for index in range(count):
            found = _found(points[index : index + 1], confidence[index : index + 1], self.detector)
            moved = found.box.overlap(self._last.box) < self.STILL
            if found.box.confidence < SURE or (moved and index):
                break
            accepted.append(found.landmarks)
        if accepted:
            self._doubts = 0
            last = accepted[-1]
            self._last = _found(last.points, last.confidence, self.detector)
            self._look_around(frames[first + len(accepted) - 1], self._last, len(accepted))
        return accepted

    def _step(self, frame: NDArray[np.uint8], cut: bool) -> Landmarks:
        found = None
        if cut:
            found = self._enter_shot(frame)
        elif self._last is None:
            found = self._acquire(frame)
        elif self._away == 0:
            found = self._follow(frame, self._last) or self._recover(frame, self._last)
        else:
            found = self._recover(frame, self._last)
        if found is None:
            self._away += 1
            return missing_landmarks(1)
        self._last = found
        self._away = 0
        return found.landmarks

    def _enter_shot(self, frame: NDArray[np.uint8]) -> _Found | None:
        """A new shot; a face in the same place is the same person under a flash of light."""
        last, self._last, self._others, self._doubts = self._last, None, [], 0
        return self._acquire(frame, last)

    def _acquire(self, frame: NDArray[np.uint8], last: _Found | None = None) -> _Found | None:
        """The face that was asked for, among all that can be seen."""
        faces = _confirm(frame, self.detector.find_faces(frame), self.detector)
        self.faces = max(self.faces, len(faces))
        boxes = [face.box for face in faces]
        chosen = choose_face(boxes, self.face) or choose_face(boxes, "largest")
        for face in faces:
            if last is not None and face.box.overlap(last.box) > 0.5:
                chosen = face.box
        self._others = [face.box for face in faces if face.box is not chosen]
        return next((face for face in faces if face.box is chosen), None)

    def _follow(self, frame: NDArray[np.uint8], last: _Found) -> _Found | None:
        """The face near its place in the frame before, or None if it is there no more."""
        found = _fit(frame, last.landmarks.boxes, last.roll, self.detector)
        self._doubts = 0 if found.box.confidence >= SURE else self._doubts + 1
        if found.box.confidence < POSSIBLE or self._doubts > self.PATIENCE:
            return None
        self._look_around(frame, found, 1)
        return found

    def _look_around(self, frame: NDArray[np.uint8], found: _Found, frames: int) -> None:
        """Every `LOOK_AROUND` frames, note who else is in the shot."""
        self._tracked += frames
        if self._tracked >= self.LOOK_AROUND:
            self._tracked = 0
            seen = self.detector.find_faces(frame)
            elsewhere = [face for face in seen if face.overlap(found.box) < 0.1]
            confirmed = _confirm(frame, elsewhere, self.detector)
            self._others = [face.box for face in confirmed]
            self.faces = max(self.faces, len(self._others) + 1)

    def _recover(self, frame: NDArray[np.uint8], last: _Found) -> _Found | None:
        """The face that was lost, if it is back."""
        self._doubts = 0
        # Who is in the frame: others where they were, and who may be the lost one.
        near, others = [], []
        for face in self.detector.find_faces(frame):
            if any(face.overlap(other) > 0.1 for other in self._others):
                others.append(face)
            elif _reachable(last.box, face, self._away):
                near.append(face)
        # Somebody whom the detector misses in one frame has not left.
        unseen = (old for old in self._others if all(old.overlap(new) <= 0.1 for new in others))
        self._others = [*others, *unseen]
        near.sort(key=lambda face: -face.overlap(last.box))
        return next(iter(_confirm(frame, near, self.detector)), None)


def _reachable(last: FaceBox, face: FaceBox, away: int) -> bool:
    """Whether a face could have moved from its last box to this one in `away` frames."""
    side = last.side
    distance = float(np.hypot(*np.subtract(face.centre, last.centre)))
    growth = max(face.side, side) / max(min(face.side, side), 1.0)
    return distance < (1 + 0.1 * away) * side and growth < 2 + 0.05 * away


def _fit(
    frame: NDArray[np.uint8],
    boxes: NDArray[np.floating],
    rolls: NDArray[np.float32] | None,
    detector: LandmarkDetector,
) -> _Found:
    points, confidence = detector.landmarks(frame[None], boxes, rolls)
    return _found(points, confidence, detector)


def _found(
    points: NDArray[np.float32], confidence: NDArray[np.float32], detector: LandmarkDetector
) -> _Found:
    boxes, rolls = detector.boxes_of(points)
    x0, y0, x1, y1 = (float(edge) for edge in boxes[0])
    box = FaceBox(x0, y0, x1, y1, float(confidence[0]))
    return _Found(Landmarks(points, boxes, confidence), box, rolls)


def _confirm(
    frame: NDArray[np.uint8], faces: Sequence[FaceBox], detector: LandmarkDetector
) -> list[_Found]:
    """The detections that the landmarks confirm, each face once, in the order given."""
    confirmed: list[_Found] = []
    for face in faces:
        found = _fit(frame, np.array([face.edges]), None, detector)
        new = all(found.box.overlap(other.box) < 0.3 for other in confirmed)
        if new and found.box.confidence >= SURE:
            confirmed.append(found)
    return confirmed


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
    search = _search(image, detector)
    if search is None:
        raise AnimatorError("no_face", "No face was found in the picture.")
    box = choose_face([found.box for found in search.faces], face)
    if box is None:
        count = "1 face" if len(search.faces) == 1 else f"{len(search.faces)} faces"
        raise AnimatorError(
            "face_not_found", f"Face {face} was asked for, but the picture shows {count}."
        )
    found = next(found for found in search.faces if found.box is box)
    return search.in_picture(found), len(search.faces)


def find_faces(
    image: NDArray[np.uint8], detector: LandmarkDetector, *, thorough: bool = True, most: int = 16
) -> list[Landmarks]:
    """The landmarks of each face of one picture, in the order of their numbers, if there are any.

    Args:
        image: uint8 H x W x 3, RGB.
        detector: finds the landmarks.
        thorough: whether to look as `find_face` does; else as `FaceTracker` does in a video.
        most: no more than so many.
    """
    if thorough:
        search = _search(image, detector)
        found = [] if search is None else search.faces
    else:
        search, found = None, _confirm(image, detector.find_faces(image), detector)
    from_left = sorted(found, key=lambda face: face.box.x0 + face.box.x1)[:most]
    return [face.landmarks if search is None else search.in_picture(face) for face in from_left]


@dataclass(frozen=True, eq=False)
class _Search:
    """The faces that were found in a smaller, wider or turned copy of a picture."""

    image: NDArray[np.uint8]
    detector: LandmarkDetector
    canvas: _Canvas
    scale: float
    faces: list[_Found]

    def in_picture(self, face: _Found) -> Landmarks:
        """The landmarks of a face in pixels of the picture itself."""
        # Pixels count from their centres, so half a pixel goes with every change of scale.
        found = face.landmarks
        points = (self.canvas.to_image.apply(found.points) + 0.5) / self.scale - 0.5
        boxes, rolls = self.detector.boxes_of(points)
        if self.scale < 1:
            # The large picture shows the same face with more detail.
            fine = _fit(self.image, boxes, rolls, self.detector)
            if fine.box.confidence >= SURE:
                return fine.landmarks
        return Landmarks(points.astype(np.float32), boxes, found.confidence)


def _search(image: NDArray[np.uint8], detector: LandmarkDetector) -> _Search | None:
    """Look in a small picture, then around it, then turned; None if no face was found."""
    scale = min(_SEARCH_SIDE / max(image.shape[:2]), 1.0)
    small = image if scale == 1 else _shrink(image, scale)
    for canvas in _views_of(small):
        candidates = detector.find_faces(canvas.image, thorough=True)
        if faces := _confirm(canvas.image, candidates, detector):
            return _Search(image, detector, canvas, scale, faces)
    return None


def _shrink(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


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
        # A canvas that holds all of the turned picture and the border.
        extent = np.ceil((corners.max(0) - corners.min(0)) + 2 * border * min(height, width))
        middle = to_complex((extent - 1) / 2)
        # From its pixels to those of the picture, middle to middle.
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
