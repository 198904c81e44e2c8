"""Landmarks by MediaPipe's face mesh: a detector of faces, and a network that finds 468 points.

Both networks come under Apache-2.0 (`animator detectors install mesh`) and run in PyTorch, on a CPU
in some milliseconds. The 68 landmarks are made of the mesh's points (`mesh_points`).
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.detectors.mean_face import MEAN_FACE, MIRRORED
from animator.faces.detectors.mesh_points import MESH_POINTS, TO_LANDMARKS
from animator.faces.geometry import RIGID, fit_similarity
from animator.faces.landmarks import POINTS, FaceBox
from animator.models.boxes import Detection, anchors, detections
from animator.models.catalogue import MESH
from animator.models.crops import Region, cut, whole
from animator.models.tflite import TfliteNetwork

_DETECTION_SIDE, _MESH_SIDE = 192, 192
_ANCHORS = anchors(_DETECTION_SIDE, ((4, 1),))
_LEAST, _LEAST_THOROUGH = 0.6, 0.4
"""Certainties from which an answer of the detector is a face."""
_DETECTED = 1.108
"""Side of the detector's box in widths of the box that `mean_face` has for the same face."""
_SEEN, _UP = 1.705, 0.014
"""Side of what the mesh wants to see in widths of that box, and how far above its middle."""
_SAME = 0.4
"""Common area of two boxes, in parts of the smaller one, from which they are of one face."""
_TILES = 3
"""Tiles of the longer side of a picture, in which a thorough search looks for small faces."""

_VIEWS = (
    # turned by, in radians, mirrored, scale of what is seen
    (0.0, False, 1.0),
    (0.0, True, 1.0),
)
"""The network's answer depends a little on what it is shown; the mean of these jitters less."""

_TRIES = 3
_UPRIGHT = 0.15
"""A face that turns out to lean by more, in radians, than it was thought to is looked at again."""
_LID_GAIN, _LID_LESS, _LID_LEAST = 1.7, 0.021, 0.35
"""From the mesh's distance between lids, in widths of the face's box, to that of dlib's landmarks:
so much times it, less so much, but at least so much of it (20 clips; blinks within a clip)."""
_LOWER_LID = 0.2
"""The lower lid's part of the way."""


def version() -> str:
    """The version of the detector, which need not be loaded for it.

    Raises:
        AnimatorError: detector_unavailable if it is not installed.
    """
    if not MESH.is_installed():
        raise AnimatorError("detector_unavailable", MESH.status()[2])
    return f"{MESH.version}, fit 1"


class MeshDetector:
    """The face mesh behind the `LandmarkDetector` protocol.

    Args:
        device: where it computes.
        state_dir: the state folder; None for this process's own.

    Raises:
        AnimatorError: detector_unavailable if it is not installed.
    """

    name = "mesh"

    def __init__(self, device: torch.device | str = "cpu", state_dir: Path | None = None) -> None:
        self.device = torch.device(device)
        self.batch = 16 if self.device.type == "cuda" else 4
        self._detection, self._mesh = (
            TfliteNetwork(MESH.path(name, state_dir), self.device)
            for name in ("face_detection_full_range_sparse.tflite", "face_landmark.tflite")
        )
        self.version = f"{MESH.version}, fit 1"

    def find_faces(self, frame: NDArray[np.uint8], *, thorough: bool = False) -> list[FaceBox]:
        """See `LandmarkDetector.find_faces`.

        Finds faces from about a twenty-fifth of the longer side.
        """
        least = _LEAST_THOROUGH if thorough else _LEAST
        found = self._detect(frame, [whole(frame)], least)
        if thorough or not found:
            tiled = self._detect(frame, _tiles(frame), least)
            found += sorted(tiled, key=lambda face: -face.score)
        # A face in several tiles is one face, and so is a part of one that fills a tile.
        kept: list[Detection] = []
        for face in found:
            if all(_shared(face.box, other.box) < _SAME for other in kept):
                kept.append(face)
        boxes = [_box(face) for face in kept]
        return sorted(boxes, key=lambda box: -box.area)

    def landmarks(
        self,
        frames: NDArray[np.uint8],
        boxes: NDArray[np.floating],
        rolls: NDArray[np.floating] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `LandmarkDetector.landmarks`."""
        points = np.full((len(frames), POINTS, 2), np.nan, np.float32)
        confidence = np.zeros(len(frames), np.float32)
        turns = np.zeros(len(frames)) if rolls is None else rolls
        rows = [row for row in range(len(frames)) if np.isfinite([*boxes[row], turns[row]]).all()]
        if not rows:
            return points, confidence
        # Answers that set the face upright in its proper place, then the views of that.
        faces = [frames[row] for row in rows]
        places, turned = np.asarray(boxes)[rows], turns[rows]
        for _ in range(_TRIES):
            regions = [_region(box, float(roll)) for box, roll in zip(places, turned, strict=True)]
            first, _ = self._points(faces, regions, _VIEWS[:1])
            before = turned
            places, turned = self.boxes_of(first[:, 0])
            if np.abs(np.exp(1j * turned) - np.exp(1j * before)).max() < _UPRIGHT:
                break
        regions = [_region(box, float(roll)) for box, roll in zip(places, turned, strict=True)]
        answers, sure = self._points(faces, regions, _VIEWS)
        points[rows], confidence[rows] = with_open_lids(answers.mean(1)), sure.min(1)
        return points, confidence

    def boxes_of(
        self, points: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `LandmarkDetector.boxes_of`; the boxes are those of `mean_face`."""
        pose = fit_similarity(MEAN_FACE, points, RIGID)
        centre = np.stack([pose.offset.real, pose.offset.imag], -1)
        half = pose.scale[:, None] / 2
        boxes = np.concatenate([centre - half, centre + half], -1)
        return boxes.astype(np.float32), pose.angle.astype(np.float32)

    def _detect(
        self, frame: NDArray[np.uint8], regions: list[Region], least: float
    ) -> list[Detection]:
        """The faces in parts of a frame, in pixels of the frame; those in several come again."""
        crops = [cut(frame, region, _DETECTION_SIDE, cv2.BORDER_CONSTANT) for region in regions]
        batch = np.stack(crops).astype(np.float32) / np.float32(127.5) - np.float32(1)
        answer = self._detection(batch)
        found = []
        for places, logits, region in zip(
            answer["Identity"], answer["Identity_1"], regions, strict=True
        ):
            for face in detections(places, logits[:, 0], _ANCHORS, _DETECTION_SIDE, least):
                box = region.to_picture(face.box.reshape(2, 2)).ravel()
                found.append(Detection(box, region.to_picture(face.points), face.score))
        return found

    def _points(
        self,
        frames: list[NDArray[np.uint8]],
        regions: list[Region],
        views: tuple[tuple[float, bool, float], ...],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The landmarks of N faces in V views of each, N x V x 68 x 2, and confidences N x V."""
        shown, crops = [], []
        for frame, region in zip(frames, regions, strict=True):
            for turn, mirrored, scale in views:
                view = Region(region.x, region.y, region.side * scale, region.angle + turn)
                crop = cut(frame, view, _MESH_SIDE)
                shown.append(view)
                crops.append(crop[:, ::-1] if mirrored else crop)
        answer = self._mesh(np.stack(crops).astype(np.float32) / np.float32(255))
        mesh = answer["conv2d_21"].reshape(len(shown), MESH_POINTS, 3)[..., :2] / _MESH_SIDE
        placed = (TO_LANDMARKS @ mesh.astype(np.float64)).reshape(-1, len(views), POINTS, 2)
        # Back from the mirror: sides change names.
        for number, (_, mirrored, _) in enumerate(views):
            if mirrored:
                placed[:, number] = placed[:, number, MIRRORED]
                placed[:, number, :, 0] = 1 - placed[:, number, :, 0]
        flat = placed.reshape(-1, POINTS, 2)
        points = [region.to_picture(one) for region, one in zip(shown, flat, strict=True)]
        logits = answer["conv2d_31"].reshape(-1, len(views)).astype(np.float64)
        return np.reshape(points, placed.shape), 1 / (1 + np.exp(-np.clip(logits, -80, 80)))


def with_open_lids(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Landmarks whose lids are as far apart as they are in the picture.

    The mesh follows lids with a little more than half of their way: it sees shut ones ajar, and
    wide ones narrow.

    Args:
        points: N x 68 x 2.
    """
    moved = np.array(points, np.float64)
    width = fit_similarity(MEAN_FACE, moved, RIGID).scale
    for upper, lower in (([37, 38], [41, 40]), ([43, 44], [47, 46])):
        apart = moved[:, upper] - moved[:, lower]
        gap = np.linalg.norm(apart, axis=-1).mean(-1) / np.maximum(width, 1e-9)
        wanted = np.maximum(_LID_GAIN * gap - _LID_LESS, _LID_LEAST * gap)
        more = (wanted / np.maximum(gap, 1e-9) - 1)[:, None, None] * apart
        moved[:, upper] += (1 - _LOWER_LID) * more
        moved[:, lower] -= _LOWER_LID * more
    return moved


def _region(box: NDArray[np.floating], roll: float) -> Region:
    """What the mesh wants to see of a face in a box of `mean_face`'s that leans by `roll`."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    side = max((x1 - x0 + y1 - y0) / 2, 1.0)
    up = _UP * side
    x, y = (x0 + x1) / 2 + up * math.sin(roll), (y0 + y1) / 2 - up * math.cos(roll)
    return Region(x, y, _SEEN * side, roll)


def _box(face: Detection) -> FaceBox:
    """A detection as a box of `mean_face`'s."""
    low, high = face.box[:2], face.box[2:]
    centre, half = (low + high) / 2, float((high - low).max()) / _DETECTED / 2
    x0, y0 = centre - half
    x1, y1 = centre + half
    return FaceBox(float(x0), float(y0), float(x1), float(y1), face.score)


def _shared(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Common area of two boxes in parts of the smaller one's."""
    common = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0).prod()
    return float(common / max(min((box[2:] - box[:2]).prod() for box in (one, other)), 1e-9))


def _tiles(frame: NDArray[np.uint8]) -> list[Region]:
    """Overlapping squares of a frame, a few to its longer side."""
    height, width = frame.shape[:2]
    side = 2 * max(height, width) / (_TILES + 1)
    columns, rows = (max(math.ceil(2 * length / side) - 1, 1) for length in (width, height))
    return [
        Region(
            (width - 1) / 2 + (column - (columns - 1) / 2) * side / 2,
            (height - 1) / 2 + (row - (rows - 1) / 2) * side / 2,
            side,
        )
        for row in range(rows)
        for column in range(columns)
    ]
