"""Weights and windows of eyes and mouth, where a few pixels carry the expression."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.guidance.face import LABELS
from gfla.shapes import shape_of

_EYES, _INNER_MOUTH = 4, 6
_EXPRESSIVE = (slice(36, 48), slice(48, 68))
"""Landmarks of both eyes, and of the mouth."""


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
    # Labels 4 to 6, eyes, lips and inner mouth: widened by 2 pixels, soft over 2 more.
    near = F.avg_pool2d(F.max_pool2d(inside, 5, stride=1, padding=2), 5, stride=1, padding=2)
    weights = 1 + (weight - 1) * F.interpolate(
        near, size=size, mode="bilinear", align_corners=False
    )
    return weights / weights.mean((1, 2, 3), keepdim=True)


def expressive_windows(maps: Tensor, landmarks: Tensor, side: int) -> Tensor:
    """Squares around the eyes and around the mouths, moved inwards where they would leave.

    Args:
        maps: B C H W.
        landmarks: B 68 2 in units of the picture.
        side: of a square, at most the smaller side of the maps.

    Returns:
        2 B C side side, those around the eyes first.

    Raises:
        GflaError: ``invalid_shape``.
    """
    batch, _, height, width = shape_of("maps", maps, "B C H W")
    shape_of("landmarks", landmarks, "B 68 2", B=batch)
    side = min(side, height, width)
    size, limit = (landmarks.new_tensor([width - less, height - less]) for less in (0, side))
    windows = []
    for part in _EXPRESSIVE:
        centres = landmarks[:, part].mean(1) * size
        # Whole pixels: windows are cut out, not sampled.
        corners = torch.minimum((centres - side / 2).round().clamp(min=0), limit).long().tolist()
        windows += [
            picture[:, top : top + side, left : left + side]
            for picture, (left, top) in zip(maps, corners, strict=True)
        ]
    return torch.stack(windows)
