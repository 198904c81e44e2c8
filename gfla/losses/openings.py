"""Losses of mouths and eyes that are drawn anew: their tone, and that of the skin around (ours)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_SMALLEST = 12.0
"""Pixels of an opening from which its brightness counts in full."""
_LEAST = 1e-6
"""Variance that keeps the gradient of its root finite."""
_GREY = (0.299, 0.587, 0.114)


def tone(error: Tensor, opening: Tensor) -> Tensor:
    """Squared error of the mean brightness within openings; small ones count less."""
    mean, counted = _brightness(error, opening)
    return (counted * mean.square()).sum() / counted.sum().clamp(min=1)


def spread(change: Tensor, wanted: Tensor, opening: Tensor) -> Tensor:
    """Squared difference of how widely brightness within openings changes, over a batch.

    What minimises an error alone changes too little: half as much as the truth, where the landmarks
    tell half of it.

    Args:
        change: B 3 h w, what was drawn less what was there.
        wanted: B 3 h w, the truth less what was there.
        opening: B 1 h w.
    """
    ours, theirs = (_deviation(*_brightness(each, opening)) for each in (change, wanted))
    return (ours - theirs).square()


def _brightness(picture: Tensor, opening: Tensor) -> tuple[Tensor, Tensor]:
    """Mean brightness within openings, B, and how much each counts."""
    grey = (picture * picture.new_tensor(_GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
    area = opening.sum((1, 2, 3))
    # An opening of less than a pixel has no brightness to speak of.
    mean = (grey * opening).sum((1, 2, 3)) / area.clamp(min=1)
    return mean, (area / _SMALLEST).clamp(max=1)


def _deviation(values: Tensor, counted: Tensor) -> Tensor:
    total = counted.sum().clamp(min=1)
    mean = (counted * values).sum() / total
    return ((counted * (values - mean).square()).sum() / total + _LEAST).sqrt()


def rim(change: Tensor, gate: Tensor) -> Tensor:
    """How far the skin's tone changes where a drawn region ends: L1 of local means, 0 to 2.

    Args:
        change: B 3 h w, result less what was there.
        gate: B 1 h w; where it is neither 0 nor 1 is the rim.
    """
    # Largest where the gate is half open.
    ring = gate * (1 - gate)
    coarse = F.avg_pool2d(change, 5, 1, 2).abs().mean(1, keepdim=True)
    return (ring * coarse).sum() / ring.sum().clamp(min=1)
