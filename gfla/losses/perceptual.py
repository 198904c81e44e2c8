"""Distances of pretrained features (paper, section 3.2, equations 13 and 14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.errors import GflaError
from gfla.losses.features import select
from gfla.ops.warp import at_least_float32
from gfla.shapes import shape_of

PERCEPTUAL_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Of VGG19, as published; each weighs 1."""
STYLE_LAYERS = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")
"""Of VGG19, as published; each weighs 1."""


def perceptual_loss(
    result: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    layers: Sequence[str] = PERCEPTUAL_LAYERS,
) -> Tensor:
    """Sum over layers of the mean absolute difference of features (equation 13).

    Args:
        result: features of the result by layer, B C H W.
        target: features of the truth, of the same shapes.
        layers: which of them count.

    Returns:
        A scalar, 0 for equal features.

    Raises:
        GflaError: ``unknown_layer`` or ``invalid_shape``.
    """
    return torch.stack([F.l1_loss(*pair) for pair in _pairs(result, target, layers)]).sum()


def gram_matrix(features: Tensor) -> Tensor:
    """Products of all pairs of channels, summed over locations: B C H W -> B C C.

    Divided by C * H * W; float32 or float64.

    Raises:
        GflaError: ``invalid_shape``.
    """
    _, channels, height, width = shape_of("features", features, "B C H W")
    flat = at_least_float32(features).flatten(2)
    with torch.autocast(features.device.type, enabled=False):  # sums over many locations
        return flat @ flat.transpose(1, 2) / (channels * height * width)


def style_loss(
    result: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    layers: Sequence[str] = STYLE_LAYERS,
) -> Tensor:
    """Sum over layers of the mean absolute difference of Gram matrices (equation 14).

    Arguments and errors are those of ``perceptual_loss``; 0 for equal statistics.
    """
    pairs = _pairs(result, target, layers)
    return torch.stack(
        [F.l1_loss(gram_matrix(ours), gram_matrix(truth)) for ours, truth in pairs]
    ).sum()


def feature_distance(result: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Mean over layers of the L1 distance in units of the target's own mean activation.

    Each picture has its own units: the distance of a batch is the mean of its pictures' distances.
    Unlike ``perceptual_loss`` it does not depend on the scale of the layers, so it serves any
    feature network.

    Args:
        result: features of the result by layer, B C H W.
        target: features of the truth, of the same layers and shapes.

    Returns:
        A scalar; 0 for equal features.

    Raises:
        GflaError: ``unknown_layer`` or ``invalid_shape``.
    """
    # All dimensions but the batch.
    places = (1, 2, 3)
    distances = [
        ((ours - truth).abs().mean(places) / truth.abs().mean(places).clamp(min=1e-6)).mean()
        for ours, truth in _pairs(result, target, list(target))
    ]
    return torch.stack(distances).mean()


def _pairs(
    result: Mapping[str, Tensor], target: Mapping[str, Tensor], layers: Sequence[str]
) -> list[tuple[Tensor, Tensor]]:
    """Features of the same layers, of equal shapes, at full precision."""
    pairs = []
    for name, ours, truth in zip(
        layers, select(result, layers), select(target, layers), strict=True
    ):
        shape_of(f"target's {name}", truth, "B C H W")
        if ours.shape != truth.shape:
            message = f"{name} of the result is {tuple(ours.shape)}; needs {tuple(truth.shape)}"
            raise GflaError("invalid_shape", message)
        pairs.append((at_least_float32(ours), at_least_float32(truth)))
    return pairs
