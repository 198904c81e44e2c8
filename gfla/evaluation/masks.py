"""The mask of persons in the paper's mask-LPIPS (section 4.2), as its released script draws it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gfla.joints import JOINTS, Joints, found

RADIUS = 4.0
"""Half the width of a limb and the radius of a joint, in pixels of Market-1501's 128 x 64."""
CLOSING = 5
"""Side of the square that closes the gaps between them, in pixels."""
LIMBS = (
    ("neck", "right shoulder"), ("right shoulder", "right elbow"), ("right elbow", "right wrist"),
    ("neck", "left shoulder"), ("left shoulder", "left elbow"), ("left elbow", "left wrist"),
    ("neck", "right hip"), ("right hip", "right knee"), ("right knee", "right ankle"),
    ("neck", "left hip"), ("left hip", "left knee"), ("left knee", "left ankle"),
    ("neck", "nose"), ("nose", "right eye"), ("right eye", "right ear"),
    ("nose", "left eye"), ("left eye", "left ear"),
    ("neck", "right ear"), ("neck", "left ear"), ("right ear", "left ear"),
    ("right hip", "left hip"), ("right shoulder", "right hip"), ("left shoulder", "left hip"),
)  # fmt: skip
"""All 23; the last six have no bone, they fill head and torso in part."""


def released_mask(joints: Joints, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Where the person is: limbs as rectangles, joints as discs, and the gaps between them closed.

    It takes a fifth less of a picture than ``gfla.data.prepare.market.person_mask``, which fills
    torso and head. Lengths are in pixels and do not grow with the picture, as in the script, which
    knows 128 x 64 alone.

    Args:
        joints: 18 x 2 pixels.
        size: height and width of the mask.

    Returns:
        uint8 H W, 255 on the person and 0 around.
    """
    there = found(joints)
    places = {name: joints[index] for index, name in enumerate(JOINTS) if there[index]}
    pixels = np.stack(np.meshgrid(np.arange(size[1]), np.arange(size[0])), -1)
    mask = np.zeros(size, bool)
    # A rectangle is what lies beside the limb, not beyond its ends.
    for first, second in LIMBS:
        if first not in places or second not in places:
            continue
        limb = places[second] - places[first]
        length = float(np.hypot(*limb))
        if length == 0:  # two joints in one place have no direction, and a disc anyway
            continue
        away = (pixels - places[first]) @ np.array([[limb[0], -limb[1]], [limb[1], limb[0]]])
        along, beside = away[..., 0] / length, away[..., 1] / length
        mask |= (np.abs(beside) <= RADIUS) & (along >= 0) & (along <= length)
    for place in places.values():
        mask |= ((pixels - place) ** 2).sum(-1) < RADIUS**2
    square = np.ones((CLOSING, CLOSING), np.uint8)
    drawn = mask.astype(np.uint8) * 255
    return np.asarray(cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, square), np.uint8)
