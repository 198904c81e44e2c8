"""Structure guidance for persons: one heat map for each of 18 joints.

The paper does not say how a pose is encoded; this is how the code released with it does it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfla.errors import GflaError
from gfla.joints import JOINTS, MISSING
from gfla.shapes import shape_of

SIGMA = 6.0
"""Width of the published heat maps in pixels."""


def pose_heatmaps(
    joints: Tensor,
    size: tuple[int, int],
    annotated: tuple[int, int] | None = None,
    sigma: float = SIGMA,
) -> Tensor:
    """Draw the structure guidance of a batch of persons.

    Args:
        joints: B 18 2, pixel coordinates (x, y) in the order of ``JOINTS``; they may lie outside
            the picture. A joint with a coordinate of ``MISSING`` was not found.
        size: height and width of the maps.
        annotated: height and width of the picture that the coordinates are of, if that is another
            size: (256, 176) for DeepFashion, whose maps are 256 x 256.
        sigma: of the Gaussian, in pixels of the maps.

    Returns:
        B 18 H W in 0..1: exp(-d^2 / (2 sigma^2)) of the distance to the joint, whose coordinates
        are cut to whole pixels as published; zero for a missing joint. Float32 (float64 for
        float64 joints).

    Raises:
        GflaError: ``invalid_shape``, or ``invalid_config`` for sizes or a sigma not above 0.
    """
    batch, _, _ = shape_of("joints", joints, f"B {len(JOINTS)} 2")
    check_above_zero(size, annotated, sigma)
    (height, width), (rows, columns) = size, annotated or size
    found = (joints != MISSING).all(-1)
    joints = joints.double() if joints.dtype == torch.float64 else joints.float()
    # In this order whole results stay whole; a rounded quotient first would fall short of some.
    scaled = joints * joints.new_tensor([width, height]) / joints.new_tensor([columns, rows])
    scaled = scaled.trunc()  # cut, not rounded, as published
    return heat_maps(scaled, found, size, sigma)


def check_above_zero(
    size: tuple[int, int], annotated: tuple[int, int] | None, sigma: float
) -> None:
    """Refuse heat maps without an extent.

    Raises:
        GflaError: ``invalid_config``.
    """
    if not all(value > 0 for value in (*size, *(annotated or size), sigma)):  # nor NaN
        message = f"size {size}, annotated {annotated} and sigma {sigma} must be above 0"
        raise GflaError("invalid_config", message)


def heat_maps(centres: Tensor, found: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """A Gaussian around every centre, whole or not.

    Args:
        centres: B J 2, pixels (x, y) of the maps.
        found: B J of truth values; the map of a joint that was not found is zero.
        size: height and width of the maps.
        sigma: of the Gaussians in pixels.

    Returns:
        B J H W in 0..1, of the centres' type.
    """
    height, width = size
    # A Gaussian of two dimensions is the product of two of one.
    along_x = _bell(centres[..., 0], width, sigma)
    along_y = _bell(centres[..., 1], height, sigma) * found[..., None]
    return along_y[..., :, None] * along_x[..., None, :]


def _bell(centres: Tensor, length: int, sigma: float) -> Tensor:
    """A Gaussian along a line of pixels around every centre: ... -> ... length."""
    places = torch.arange(length, device=centres.device, dtype=centres.dtype)
    return torch.exp(-((places - centres[..., None]) ** 2) / (2 * sigma**2))
