"""Bodies as stick figures, the right and the left side in colours of their own."""

from __future__ import annotations

import cv2
import numpy as np

from animator.persons import skeleton
from animator.persons.skeleton import LIMBS, PELVIS
from gfla.arrays import Picture
from gfla.joints import JOINTS, MISSING, NECK, Joints, found

Colour = tuple[int, int, int]

RIGHT: Colour = (235, 110, 60)
LEFT: Colour = (50, 130, 230)
MIDDLE: Colour = (120, 180, 90)
GHOST: Colour = (190, 194, 200)
PALE: Colour = (255, 255, 255)
_RIM: Colour = (20, 22, 26)
_FINE = 4  # bits of a pixel to which OpenCV places lines
_FAR = 1 << 14  # pixels; OpenCV counts lines in 32 bits


def draw_body(picture: Picture, joints: Joints, colour: Colour | None = None) -> Picture:
    """A picture with a stick figure over it.

    Args:
        picture: uint8 H W 3 RGB, which stays as it is.
        joints: 18 x 2 of its pixels, -1 where missing; they may lie outside of it.
        colour: of all of the figure, or None for one a side.
    """
    drawn = np.ascontiguousarray(picture).copy()
    joints = np.asarray(joints, np.float64)
    thick = int(np.clip(round(skeleton.sizes(joints[None]) / 30), 1, 16))
    points = skeleton.complete(joints)
    points = np.where(np.isfinite(points), points, MISSING)
    placed = np.round(np.clip(points, -_FAR, _FAR) * 2**_FINE).astype(int)
    seen = np.append(found(joints), found(points)[PELVIS])
    seen[NECK] = found(points)[NECK]
    # Lines with a dark rim, then the joints over them.
    for limb in LIMBS:
        if seen[limb.joint] and seen[limb.parent]:
            ends = [tuple(int(v) for v in placed[joint]) for joint in (limb.joint, limb.parent)]
            for wide, paint in ((thick + 2, _RIM), (thick, colour or _side(limb.joint))):
                cv2.line(drawn, ends[0], ends[1], paint, wide, cv2.LINE_AA, _FINE)
    for joint in np.flatnonzero(found(joints)):
        centre, radius = tuple(int(v) for v in placed[joint]), (thick + 1) << _FINE
        cv2.circle(drawn, centre, radius, colour or _side(int(joint)), -1, cv2.LINE_AA, _FINE)
    return drawn


def _side(joint: int) -> Colour:
    name = JOINTS[joint]
    return RIGHT if name.startswith("right") else LEFT if name.startswith("left") else MIDDLE
