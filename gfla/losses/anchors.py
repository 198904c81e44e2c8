"""The distance of a flow from its landmark prior, at the landmarks."""

from __future__ import annotations

from torch import Tensor

from gfla.arrays import to_pixels
from gfla.ops.warp import at_least_float32, sample
from gfla.shapes import shape_of


def anchor_distance(residual: Tensor, landmarks: Tensor) -> Tensor:
    """How far a flow leaves its landmark prior at the landmarks, where the prior is right.

    Args:
        residual: B 2 H W in pixels, what is added to the prior.
        landmarks: B N 2 of the frame to render, in units of the picture.

    Returns:
        A scalar in units of the picture: |x| + |y|, mean over landmarks.

    Raises:
        GflaError: ``invalid_shape``.
    """
    batch, _, height, width = shape_of("residual", residual, "B 2 H W")
    shape_of("landmarks", landmarks, "B N 2", B=batch)
    size = landmarks.new_tensor([width, height])
    # Pixels of the flow, as a map B 2 1 N of places to sample.
    positions = to_pixels(landmarks, size).transpose(1, 2)[:, :, None]
    moves = sample(at_least_float32(residual), positions) / size.view(1, 2, 1, 1)
    return moves.abs().sum(1).mean()
