"""Structure guidance for person animation: 17 heat maps and a picture of the skeleton (section 5).

The joints are COCO's 17, in COCO's order: those of ``gfla.joints`` without the neck. The published
skeleton picture has values to 255; here it is in 0..1 like everything else, which the instance
norm at the networks' entrance makes the same.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gfla.errors import GflaError
from gfla.guidance.pose import SIGMA, pose_heatmaps
from gfla.joints import COCO_17, JOINTS, Joints, found, resized

CHANNELS = 20
ORDER = tuple(COCO_17.index(place) for place in range(17))
"""Where COCO's 17 joints are in the order of ``gfla.joints``."""
LIMBS = (
    *((0, 1), (1, 3), (0, 2), (2, 4)),
    *((5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 6), (11, 12), (5, 11), (6, 12)),
    *((11, 13), (13, 15), (12, 14), (14, 16)),
)
"""Pairs of COCO's joints that a line joins: face, arms, trunk, legs."""
RADIUS = 2
"""Of the joints' discs in pixels."""
_FRACTION = 4


def skeleton_structures(
    joints: Joints,
    size: tuple[int, int],
    annotated: tuple[int, int] | None = None,
    sigma: float = SIGMA,
) -> Tensor:
    """Draw the structure guidance of the frames of a clip.

    Args:
        joints: T 18 2, pixel coordinates (x, y) as in ``gfla.joints``, -1 where missing.
        size: height and width of the structures.
        annotated: height and width of the picture that the coordinates are of, if another.
        sigma: of the heat maps, in pixels of the structures.

    Returns:
        float32 T 20 H W in 0..1: a heat map for each joint in COCO's order, zero where it is
        missing, then red, green and blue of the skeleton picture.

    Raises:
        GflaError: ``invalid_shape`` for other joints, ``invalid_config`` for impossible sizes.
    """
    joints = np.asarray(joints, np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (len(JOINTS), 2) or not len(joints):
        message = f"joints are {joints.shape}; needs T {len(JOINTS)} 2, T at least 1"
        raise GflaError("invalid_shape", message)
    # Heat maps of all 18 joints, of which COCO's 17 are taken; then the pictures.
    maps = pose_heatmaps(torch.from_numpy(joints).float(), size, annotated, sigma)
    placed = resized(joints, annotated, size) if annotated else joints
    pictures = np.stack([skeleton_picture(person, size) for person in placed])
    drawn = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return torch.cat([maps[:, list(ORDER)], drawn], 1)


def skeleton_picture(joints: Joints, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The skeleton of one person on black: white limbs, and a disc in its own colour a joint.

    Args:
        joints: 18 2 in pixels of the picture, -1 where missing.
        size: height and width.

    Returns:
        uint8 H W 3, RGB.
    """
    picture = np.zeros((*size, 3), np.uint8)
    chosen = list(ORDER)
    there = found(joints)[chosen]
    # Far outside of the picture is as good as farther; OpenCV's numbers end somewhere.
    points = np.clip(np.round(joints[chosen] * 2**_FRACTION), -(2**20), 2**20).astype(int)
    places = [(int(x), int(y)) for x, y in points]
    # Limbs first, joints over them.
    for a, b in LIMBS:
        if there[a] and there[b]:
            ends = places[a], places[b]
            cv2.line(picture, *ends, (255, 255, 255), 1, cv2.LINE_AA, _FRACTION)
    for joint, place in enumerate(places):
        if there[joint]:
            radius = RADIUS * 2**_FRACTION
            cv2.circle(picture, place, radius, _colour(joint), -1, cv2.LINE_8, _FRACTION)
    return picture


def _colour(joint: int) -> tuple[int, int, int]:
    """Colours of the PASCAL VOC palette: the bits of the number, dealt to red, green and blue.

    The first is black, so the nose is a gap in the lines, as published.
    """
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (joint >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]
