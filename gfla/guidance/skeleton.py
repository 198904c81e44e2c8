"""Structure guidance for person animation: 17 heat maps and a picture of the skeleton.

The paper shows no animated persons; the code released with it has them.

There are two styles. "coco" is ours: COCO's 17 joints of every picture, heat maps on whole pixels,
lines as OpenCV draws them, everything in 0..1. "published" is what the published dance model was
trained with: COCO's joints of the source, but Human3.6M's of every frame, which came from another
detector; heat maps around the joints as they are; lines and joints as scikit-image draws them; and
a skeleton picture of 0..255, which is not quite the same to the instance norm at the networks'
entrance. ``skeleton_style`` tells which of them a checkpoint wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gfla.errors import GflaError, check_choice
from gfla.guidance.pose import SIGMA, check_above_zero, heat_maps, pose_heatmaps
from gfla.joints import COCO_17, JOINTS, Joints, found, resized, to_coco17, to_human36m

Style = Literal["coco", "published"]
Role = Literal["source", "frame"]
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
PUBLISHED_LIMBS: dict[Role, tuple[tuple[int, int], ...]] = {
    "source": (
        *((0, 1), (1, 3), (0, 2), (2, 4), (5, 7), (7, 9), (6, 8), (8, 10)),
        *((11, 12), (5, 6), (11, 13), (12, 14), (13, 15), (14, 16), (5, 11), (6, 12)),
    ),
    "frame": (
        *((0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8)),
        *((8, 9), (9, 10), (8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16)),
    ),
}
"""Likewise as published, of COCO's joints and of Human3.6M's; later lines cover earlier ones."""
RADIUS = 2
"""Of the joints' discs in pixels."""
_FRACTION = 4


def skeleton_style(info: Mapping[str, Any]) -> Style:
    """The style that a checkpoint wants: ``info["skeleton"]``.

    Files of earlier versions do not have it: those that were trained here (which say after how many
    steps) want "coco", and imported published ones the published style.

    Raises:
        GflaError: ``bad_checkpoint`` for a style that is none.
    """
    style: Style = info.get("skeleton", "coco" if "step" in info else "published")
    if style not in get_args(Style):
        allowed = ", ".join(get_args(Style))
        raise GflaError("bad_checkpoint", f"its skeleton is {style!r}; allowed: {allowed}")
    return style


def skeleton_structures(
    joints: Joints,
    size: tuple[int, int],
    annotated: tuple[int, int] | None = None,
    sigma: float = SIGMA,
    *,
    style: Style = "coco",
    role: Role = "frame",
    whole: bool = False,
) -> Tensor:
    """Draw the structure guidance of the frames of a clip, or of its source.

    Args:
        joints: T 18 2, pixel coordinates (x, y) as in ``gfla.joints``, -1 where missing.
        size: height and width of the structures.
        annotated: height and width of the picture that the coordinates are of, if another.
        sigma: of the heat maps, in pixels of the structures.
        style: see this module.
        role: whether the joints are of the source or of frames to render; "published" draws them
            differently.
        whole: whether published joints are cut to whole pixels first, as they were for training on
            pictures that were moved; others always are.

    Returns:
        float32 T 20 H W: a heat map in 0..1 for each of 17 joints, zero where it is missing, then
        red, green and blue of the skeleton picture, in 0..1 ("coco") or 0..255 ("published").

    Raises:
        GflaError: ``invalid_shape`` for other joints, ``invalid_config`` for impossible sizes or an
            unknown style or role.
    """
    joints = np.asarray(joints, np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (len(JOINTS), 2) or not len(joints):
        message = f"joints are {joints.shape}; needs T {len(JOINTS)} 2, T at least 1"
        raise GflaError("invalid_shape", message)
    check_choice("style", style, get_args(Style))
    check_choice("role", role, get_args(Role))
    if style == "published":
        return _published_structures(joints, size, annotated, sigma, role, whole)
    # Heat maps of all 18 joints, of which COCO's 17 are taken; then the pictures.
    maps = pose_heatmaps(torch.from_numpy(joints).float(), size, annotated, sigma)
    placed = resized(joints, annotated, size) if annotated else joints
    pictures = np.stack([skeleton_picture(person, size) for person in placed])
    drawn = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return torch.cat([maps[:, list(ORDER)], drawn], 1)


def _published_structures(
    joints: Joints,
    size: tuple[int, int],
    annotated: tuple[int, int] | None,
    sigma: float,
    role: Role,
    whole: bool,
) -> Tensor:
    """``skeleton_structures`` in the published style, of valid arguments."""
    check_above_zero(size, annotated, sigma)
    placed = resized(joints, annotated, size) if annotated else joints
    points = to_coco17(placed) if role == "source" else to_human36m(placed)
    centres = np.trunc(points) if whole else points
    # There, a coordinate of 0 says that a joint was not found; one that is cut to -1 was.
    seen = found(points) & (centres != 0).all(-1)
    maps = heat_maps(torch.from_numpy(centres), torch.from_numpy(seen), size, sigma).float()
    pictures = np.stack([published_picture(person, size, role) for person in points])
    return torch.cat([maps, torch.from_numpy(pictures).permute(0, 3, 1, 2).float()], 1)


def published_picture(points: Joints, size: tuple[int, int], role: Role) -> NDArray[np.uint8]:
    """The skeleton of one person on black as published: thin smoothed lines, joints of 9 pixels.

    A line covers what was drawn before it, dim edges included, and a joint covers lines. What lies
    below or right of the picture is drawn onto its border, as published; what lies above or left
    of it is left out, where the published drawing comes in again on the other side.

    Args:
        points: 17 2 in pixels of the picture, -1 where missing; COCO's of a source, Human3.6M's
            of a frame.
        size: height and width.
        role: which of both.

    Returns:
        uint8 H W 3, RGB.
    """
    from skimage.draw import disk, line_aa

    picture = np.zeros((*size, 3), np.uint8)
    bottom, right = size[0] - 1, size[1] - 1
    # Cut to whole pixels; points far outside lie at a limit, so that lines end in bounded time.
    far = 4 * max(size)
    places = np.clip(points, -far, far).astype(int)
    there = found(points) & (places != 0).all(-1)
    for a, b in PUBLISHED_LIMBS[role]:
        if there[a] and there[b]:
            (x0, y0), (x1, y1) = places[a], places[b]
            rows, columns, values = line_aa(y0, x0, y1, x1)
            shown = (rows >= 0) & (columns >= 0)
            rows, columns = rows[shown].clip(max=bottom), columns[shown].clip(max=right)
            picture[rows, columns] = (values[shown] * 255).astype(np.uint8)[:, None]
    for joint, (x, y) in enumerate(places):
        if there[joint]:
            picture[disk((y, x), RADIUS, shape=size)] = _colour(joint)
    return picture


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
