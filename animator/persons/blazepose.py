"""Bodies by BlazePose: a detector of persons, and a network that finds the joints of one.

Both networks are MediaPipe's (`animator detectors install blazepose`); they run in PyTorch, on a
CPU in some hundredths of a second. Sizes, anchors and thresholds are those of MediaPipe's own
graph. A person is followed from frame to frame by the square that the joints themselves name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.models.boxes import anchors, detections
from animator.models.catalogue import BLAZEPOSE
from animator.models.crops import Region, cut, upright_region, whole
from animator.models.tflite import TfliteNetwork
from animator.persons.body import Body, overlap
from animator.weights.loading import choose_device
from gfla.joints import JOINTS, MISSING, NECK, SHOULDERS, Joints, found

MIN_PERSON = 0.5
"""Least certainty of a person, 0 to 1."""
MIN_JOINT = 0.5
"""Least certainty of a joint that is to be seen, 0 to 1."""
# fmt: off
PLACES = (0, None, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
# fmt: on
"""Where the joints are among the 33 points; the neck is the middle of the shoulders."""
_MIDDLE, _TOP = 33, 34
"""Two more points: the middle of the hips, and one on the circle that holds the whole person."""
_POINTS = 39
_DETECTION_SIDE, _LANDMARK_SIDE = 224, 256
_ANCHORS = anchors(_DETECTION_SIDE, ((8, 2), (16, 2), (32, 6)))
_ROOM = 1.25
"""Side of the square in diameters of that circle."""
_MOST_PERSONS = 20
_SAME = 0.5
"""Overlap of boxes from which two answers are one person."""
_KERNEL = 7
"""Cells of a heat map, a side, that a joint is refined from."""


def version() -> str:
    """The version of the detector, which need not be loaded for it."""
    return f"{BLAZEPOSE.version}, fit 1"


class BlazePose:
    """BlazePose (full) behind ``BodyDetector``.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        state_dir: the state folder; None for this process's own.

    Raises:
        AnimatorError: detector_unavailable if it is not installed, device_unavailable.
    """

    def __init__(self, device: str = "auto", state_dir: Path | None = None) -> None:
        self.device = choose_device(device)
        self._detection, self._landmark = (
            TfliteNetwork(BLAZEPOSE.path(name, state_dir), self.device)
            for name in ("pose_detection.tflite", "pose_landmark_full.tflite")
        )

    def find(self, picture: NDArray[np.uint8]) -> list[Body]:
        """See `BodyDetector.find`."""
        kept: list[Body] = []
        for body in self._look(picture, self._persons(picture)):
            if all(overlap(body, other) < _SAME for other in kept):
                kept.append(body)
        return sorted(kept, key=lambda body: -body.area)

    def find_after(self, picture: NDArray[np.uint8], before: Sequence[Body]) -> list[Body]:
        """See `FollowingDetector.find_after`."""
        regions = [body.region for body in before if body.region is not None]
        bodies = self._look(picture, regions)
        if len(bodies) == len(before):
            return sorted(bodies, key=lambda body: -body.area)
        return self.find(picture)

    def _persons(self, picture: NDArray[np.uint8]) -> list[Region]:
        """The squares in which the detector sees persons, the surest first."""
        region = whole(picture)
        crop = cut(picture, region, _DETECTION_SIDE, cv2.BORDER_CONSTANT)
        answer = self._detection(crop[None].astype(np.float32) / np.float32(127.5) - np.float32(1))
        persons = detections(
            answer["Identity"][0], answer["Identity_1"][0, :, 0], _ANCHORS, _DETECTION_SIDE,
            MIN_PERSON,
        )  # fmt: skip
        points = [region.to_picture(person.points) for person in persons[:_MOST_PERSONS]]
        return [upright_region(place[0], place[1], _ROOM) for place in points]

    def _look(self, picture: NDArray[np.uint8], regions: Sequence[Region]) -> list[Body]:
        """The persons in squares, where there are any."""
        if not regions:
            return []
        crops = np.stack([cut(picture, region, _LANDMARK_SIDE) for region in regions])
        answer = self._landmark(crops.astype(np.float32) / np.float32(255))
        points = answer["Identity"].reshape(len(regions), _POINTS, 5)
        places = refined(points[..., :2] / _LANDMARK_SIDE, answer["Identity_3"])
        seen = 1 / (1 + np.exp(-points[..., 3:].astype(np.float64)))
        bodies = [
            _body(region.to_picture(place), sure.min(-1), float(score), picture.shape[:2])
            for region, place, sure, score in zip(
                regions, places, seen, answer["Identity_1"][:, 0], strict=True
            )
            if score >= MIN_PERSON
        ]
        return [body for body in bodies if found(body.joints).any()]


def refined(places: NDArray[np.floating], maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points moved to the middle of what their heat maps show around them, where that is clear.

    Args:
        places: B x K x 2 in parts of the crop.
        maps: B x H x W x K, before the logistic function.
    """
    result = np.array(places, np.float64)
    height, width = maps.shape[1:3]
    half = _KERNEL // 2
    for person, point in np.ndindex(*result.shape[:2]):
        column, row = (math.floor(value) for value in result[person, point] * (width, height))
        if not (0 <= column < width and 0 <= row < height):
            continue
        left, top = max(column - half, 0), max(row - half, 0)
        part = maps[person, top : row + half + 1, left : column + half + 1, point]
        heat = 1 / (1 + np.exp(-part.astype(np.float64)))
        if heat.max() >= MIN_JOINT:
            rows, columns = np.indices(heat.shape)
            x = ((columns + left) * heat).sum() / heat.sum() / width
            y = ((rows + top) * heat).sum() / heat.sum() / height
            result[person, point] = x, y
    return result


def _body(
    points: NDArray[np.float64], sure: NDArray[np.float64], score: float, size: tuple[int, ...]
) -> Body:
    """A person from the 39 points in pixels, and how sure each is to be seen.

    What would be beyond the picture's height and width was guessed.
    """
    within = ((points > -0.5) & (points < np.array(size[::-1]) - 0.5)).all(-1)
    sure = np.where(within, sure, 0.0)
    joints: Joints = np.full((len(JOINTS), 2), MISSING)
    for joint, place in enumerate(PLACES):
        if place is not None and sure[place] >= MIN_JOINT:
            joints[joint] = points[place]
    if found(joints)[list(SHOULDERS)].all():
        joints[NECK] = joints[list(SHOULDERS)].mean(0)
    # Its box holds what is seen of it, hands and feet among it.
    there = points[:_MIDDLE][sure[:_MIDDLE] >= MIN_JOINT]
    there = there if len(there) else points[:_MIDDLE]
    (left, top), (right, bottom) = there.min(0), there.max(0)
    region = upright_region(points[_MIDDLE], points[_TOP], _ROOM)
    return Body(joints, (left, top, right, bottom), score, region)
