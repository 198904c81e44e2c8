"""The 18 joints of a person: their order, and how other orders become this one.

Joints are 18 x 2 pixel coordinates (x, y), ``MISSING`` where one was not found. Nothing here needs
PyTorch, so that data can be prepared in many processes at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gfla.errors import GflaError

Joints = npt.NDArray[np.float64]

JOINTS = (
    "nose",
    "neck",
    "right shoulder",
    "right elbow",
    "right wrist",
    "left shoulder",
    "left elbow",
    "left wrist",
    "right hip",
    "right knee",
    "right ankle",
    "left hip",
    "left knee",
    "left ankle",
    "right eye",
    "left eye",
    "right ear",
    "left ear",
)
"""OpenPose's COCO order; right and left are the person's own."""
MISSING = -1.0
"""Coordinate of a joint that was not found."""

NECK = JOINTS.index("neck")
SHOULDERS = (JOINTS.index("right shoulder"), JOINTS.index("left shoulder"))
COCO_17 = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""Where the joints are in COCO's own order of 17, which has no neck."""
BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Where the joints are in OpenPose's BODY_25, which has a middle hip at 8 and feet from 19 on."""


def found(joints: Joints) -> npt.NDArray[np.bool_]:
    """Which joints are there: 18 truth values (or more dimensions before)."""
    return np.asarray((joints != MISSING).all(-1))


def from_coco17(
    points: npt.NDArray[np.floating], seen: npt.NDArray[np.bool_] | None = None
) -> Joints:
    """The joints of a person in COCO's order of 17; the neck is the middle of the shoulders.

    Args:
        points: 17 x 2 or more pixel coordinates (x, y); what follows the first 17 (Halpe's head,
            neck and feet) is left out.
        seen: which of them were found; None for all.

    Raises:
        GflaError: ``invalid_data`` for fewer than 17 points.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or len(points) < 17 or points.shape[1] != 2:
        raise GflaError("invalid_data", f"COCO persons have 17 points (x, y), got {points.shape}")
    known = np.ones(len(points), bool) if seen is None else np.asarray(seen, bool)
    joints = np.full((len(JOINTS), 2), MISSING)
    for joint, place in enumerate(COCO_17):
        if place is not None and known[place]:
            joints[joint] = points[place]
    # COCO has no neck.
    if found(joints)[list(SHOULDERS)].all():
        joints[NECK] = joints[list(SHOULDERS)].mean(0)
    return joints


def from_openpose(points: npt.NDArray[np.floating], seen: npt.NDArray[np.bool_]) -> Joints:
    """The joints of a person of OpenPose, of which BODY_25 and COCO's 18 are told by their number.

    Args:
        points: 25 x 2 or 18 x 2 pixel coordinates (x, y).
        seen: which of them were found.

    Raises:
        GflaError: ``invalid_data`` for another number of points.
    """
    # The two orders differ in length, so no option has to say which it is.
    places = {25: BODY_25, 18: tuple(range(18))}.get(len(points))
    if places is None or points.shape[1:] != (2,):
        message = f"OpenPose persons have 25 points (BODY_25) or 18 (COCO), got {points.shape}"
        raise GflaError("invalid_data", message)
    order = list(places)
    return np.where(np.asarray(seen)[order, None], np.asarray(points, np.float64)[order], MISSING)


def resized(joints: Joints, old: tuple[int, int], new: tuple[int, int]) -> Joints:
    """The joints in a picture of another size.

    Args:
        joints: ... x 18 x 2.
        old: height and width of the picture that they are of.
        new: height and width that it gets.
    """
    scale = np.array([new[1] / old[1], new[0] / old[0]])
    return np.where(found(joints)[..., None], joints * scale, MISSING)


def extent(joints: Joints) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the joints that were found, in pixels.

    Args:
        joints: ... x 18 x 2; of many persons the extent of all.

    Raises:
        GflaError: ``invalid_data`` if none was found.
    """
    there = joints[found(joints)]
    if not len(there):
        raise GflaError("invalid_data", "no joint was found")
    (left, top), (right, bottom) = there.min(0), there.max(0)
    return float(left), float(top), float(right), float(bottom)
