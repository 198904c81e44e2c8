"""Which pixels of a face matter most."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gfla.guidance.face import LABELS

_EYES, _INNER_MOUTH = 4, 6


def expression_weights(structure: Tensor, size: tuple[int, int], weight: float) -> Tensor:
    """Weights that raise eyes and mouth, where a few pixels carry the expression.

    Args:
        structure: B 16 h w.
        size: of the result.
        weight: of a pixel in or near these parts; others weigh 1.

    Returns:
        B 1 H W with mean 1 a picture.
    """
    labels = structure[:, LABELS : LABELS + 1]
    inside = ((labels >= _EYES) & (labels <= _INNER_MOUTH)).to(structure.dtype)
    near = F.avg_pool2d(F.max_pool2d(inside, 5, stride=1, padding=2), 5, stride=1, padding=2)
    weights = 1 + (weight - 1) * F.interpolate(
        near, size=size, mode="bilinear", align_corners=False
    )
    return weights / weights.mean((1, 2, 3), keepdim=True)
