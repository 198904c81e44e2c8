"""Distance of pixels (paper, equation 11)."""

from __future__ import annotations

from torch import Tensor

from gfla.shapes import shape_of


def reconstruction_loss(result: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean absolute difference.

    Args:
        result: B C H W.
        target: B C H W.
        weights: B 1 H W with mean 1, such as ``expression.expression_weights``; all 1 unless given.

    Returns:
        A scalar, in units of the pictures.

    Raises:
        GflaError: ``invalid_shape``.
    """
    batch, channels, height, width = shape_of("result", result, "B C H W")
    shape_of("target", target, "B C H W", B=batch, C=channels, H=height, W=width)
    difference = (result - target).abs()
    if weights is not None:
        shape_of("weights", weights, "B 1 H W", B=batch, H=height, W=width)
        difference = difference * weights
    return difference.mean()
