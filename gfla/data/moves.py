"""Turns, zooms and shifts of pictures of persons, and of the joints in them.

A map is 2 x 3, from pixels (x, y) to pixels. The published code turns joints about a place that is
half a pixel off the one that it turns the picture about, and takes the picture's nearest pixels;
``exact`` turns both about the middle of the picture and samples bilinearly.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from gfla.arrays import Picture
from gfla.errors import GflaError
from gfla.joints import Joints, found

Move = npt.NDArray[np.float64]


def check_strengths(scale: tuple[float, float], **largest: float) -> None:
    """Refuse strengths of a variation that no picture can be varied by.

    Args:
        scale: range of the zoom, above 0.
        largest: other strengths by their names, from 0.

    Raises:
        GflaError: ``invalid_config``.
    """
    fine = 0 < scale[0] <= scale[1] < math.inf
    if fine and all(0 <= value < math.inf for value in largest.values()):
        return
    said = ", ".join(f"{name} {value}" for name, value in largest.items())
    message = f"scale is {scale}, {said}; allowed: rising from above 0, and not below 0"
    raise GflaError("invalid_config", message)


def turned(
    degrees: float,
    zoom: float,
    shift: npt.NDArray[np.float64],
    size: tuple[int, int],
    exact: bool,
) -> Move:
    """The map that turns by an angle about the middle, zooms and shifts.

    Args:
        degrees: of the turn, clockwise as one looks at the picture.
        zoom: above 1 enlarges.
        shift: (x, y) in pixels.
        size: height and width of the picture.
        exact: see this module.
    """
    angle = math.radians(degrees)
    linear = zoom * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    # Between the centres of the outermost pixels, or a pixel further down and right.
    centre = np.array([size[1] - 1, size[0] - 1]) / 2 + (0 if exact else 1)
    return np.column_stack([linear, centre - linear @ centre + shift])


def moved_picture(picture: Picture, moved: Move, exact: bool, fill: tuple[int, ...]) -> Picture:
    """A picture (H W or H W 3) moved by such a map; ``fill`` is the colour of what comes in."""
    inverse = np.linalg.inv(np.vstack([moved, [0, 0, 1]]))[:2]
    if exact:
        # Pillow counts from the corner of a pixel, this map from its middle.
        inverse[:, 2] += 0.5 - inverse[:, :2] @ [0.5, 0.5]
    height, width = picture.shape[:2]
    image = Image.fromarray(picture).transform(
        (width, height),
        Image.Transform.AFFINE,
        tuple(inverse.ravel()),
        Image.Resampling.BILINEAR if exact else Image.Resampling.NEAREST,
        fillcolor=fill if picture.ndim == 3 else fill[0],
    )
    return np.array(image)


def moved_joints(joints: Joints, moved: Move) -> Joints:
    """Joints (... 2) moved by such a map; missing ones stay missing, wherever -1 would go."""
    places = joints @ moved[:, :2].T + moved[:, 2]
    return np.where(found(joints)[..., None], places, joints)
