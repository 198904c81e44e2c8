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
HUMAN36M = (
    "hip",
    "right hip",
    "right knee",
    "right foot",
    "left hip",
    "left knee",
    "left foot",
    "spine",
    "thorax",
    "neck or nose",
    "head",
    "left shoulder",
    "left elbow",
    "left wrist",
    "right shoulder",
    "right elbow",
    "right wrist",
)
"""The 17 joints of Human3.6M, in the order that lifting networks use."""
_FROM_18 = {
    1: 8,
    2: 9,
    3: 10,
    4: 11,
    5: 12,
    6: 13,
    8: NECK,
    11: 5,
    12: 6,
    13: 7,
    14: 2,
    15: 3,
    16: 4,
}
"""Where those of them that are in ``JOINTS`` as well are found there."""
_HIPS, _FACE = (8, 11), (14, 15, 16, 17)
_HEAD_REACH = 7 / 6
"""From the neck to the head's joint, in units of the way to the middle of eyes and ears. Human3.6M
has it 0.24 m above the thorax, of a person whose eyes are 0.21 m above their shoulders."""
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


def to_coco17(joints: Joints) -> Joints:
    """The joints in COCO's own order: ... x 18 x 2 -> ... x 17 x 2."""
    return np.asarray(joints)[..., [COCO_17.index(place) for place in range(17)], :]


def to_human36m(joints: Joints) -> Joints:
    """The joints in the order of ``HUMAN36M``: ... x 18 x 2 -> ... x 17 x 2.

    Those that OpenPose does not have lie where that skeleton's proportions put them: the hip
    between the hips, the spine half way to the thorax, which is the neck, the head a little above
    the middle of eyes and ears (or above the nose, of a person without these), and the neck or nose
    half way to it. A joint is missing if one that it is made of is.
    """
    joints = np.asarray(joints, np.float64)
    made = np.full((*joints.shape[:-2], len(HUMAN36M), 2), MISSING)
    for place, joint in _FROM_18.items():
        made[..., place, :] = joints[..., joint, :]
    # A neck that was not found is between the shoulders, as OpenPose has it.
    thorax = made[..., 8, :] = _first(joints[..., NECK, :], _middle(joints[..., SHOULDERS, :]))
    hip = made[..., 0, :] = _middle(joints[..., _HIPS, :])
    made[..., 7, :] = _between(hip, thorax, 0.5)
    face = _first(_middle(joints[..., _FACE, :], all_of_them=False), joints[..., 0, :])
    head = made[..., 10, :] = _between(thorax, face, _HEAD_REACH)
    made[..., 9, :] = _between(thorax, head, 0.5)
    return made


def _middle(joints: Joints, all_of_them: bool = True) -> Joints:
    """Of the joints that were found, ... x n x 2 -> ... x 2; missing unless all, or any, were."""
    there = found(joints)
    count = there.sum(-1, keepdims=True)
    total = np.where(there[..., None], joints, 0.0).sum(-2)
    enough = np.asarray(there.all(-1) if all_of_them else there.any(-1))
    return np.where(enough[..., None], total / np.maximum(count, 1), MISSING)


def _between(one: Joints, other: Joints, share: float) -> Joints:
    both = found(one) & found(other)
    return np.where(both[..., None], one + share * (other - one), MISSING)


def _first(one: Joints, other: Joints) -> Joints:
    """One joint, or the other where that is missing."""
    return np.where(found(one)[..., None], one, other)


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
