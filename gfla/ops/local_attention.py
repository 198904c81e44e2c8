"""Local attention (paper, section 3.2) in its exact unfolding-free form.

A target location ``l`` with flow ``w`` attends to the k x k neighbourhood of ``l + w`` in the
source. The published form unfolds both neighbourhoods, k * k * C floats a location. Here nothing
is unfolded:

- the kernel predictor M is linear up to its activation, so its first layer splits into a target
  half (an ordinary convolution) and a source half, and bilinear sampling commutes with the latter:
  convolve the source once, then sample the result at ``l + w``;
- bilinear weights (2 x 2) and attention weights (k x k) merge into (k + 1) x (k + 1) taps at
  integer source positions, gathered and summed in one fused operation.

``gfla.ops.reference`` has the slow and obvious form that tests compare with.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.ops.warp import pixel_grid


def project_source(source: Tensor, weight: Tensor) -> Tensor:
    """The source half of the kernel predictor's first layer, for every place a flow may lead to.

    It depends on the source alone, so a clip computes it once for its reference.

    Args:
        source: B C H W.
        weight: D C k k, the source half of the layer's weight.

    Returns:
        B D (H + 2r) (W + 2r) with r = k // 2: the domain [-r, W - 1 + r] x [-r, H - 1 + r]. Beyond
        it the half is constant, since all neighbours are then the same border pixels.
    """
    radius = weight.shape[-1] // 2
    return F.conv2d(F.pad(source, [2 * radius] * 4, mode="replicate"), weight)


def project_target(target: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The target half of that layer: B C H W -> B D H W, border replicated."""
    radius = weight.shape[-1] // 2
    return F.conv2d(F.pad(target, [radius] * 4, mode="replicate"), weight, bias)


def sample_projection(projection: Tensor, flow: Tensor, radius: int) -> Tensor:
    """The source half at ``l + flow(l)``: B D H W from ``project_source``'s result."""
    ones = flow.new_ones(flow.shape[0], 1, *flow.shape[2:])
    return gather(projection, flow + radius, ones)


def gather(source: Tensor, flow: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over the flowed k x k neighbourhood of every location.

    Args:
        source: B C H W.
        flow: B 2 h w in source pixels, (x, y).
        weights: B k*k h w, row by row.

    Returns:
        B C h w: sum over the k*k offsets of weight x (bilinear, border-clamped source sample).
    """
    batch, channels, height, width = source.shape
    _, kernel_area, out_height, out_width = weights.shape
    positions = flow + pixel_grid(out_height, out_width, flow)
    # A sample this far outside sees border pixels alone; clamping keeps indices representable.
    reach = 2 * kernel_area
    limit = positions.new_tensor([width + reach, height + reach]).view(1, 2, 1, 1)
    positions = torch.minimum(positions.clamp(min=-reach), limit)
    corner = positions.detach().floor()
    indices = _tap_indices(corner.long(), kernel_area, height, width)
    taps = _tap_weights(weights, (positions - corner).to(weights.dtype))

    # Without contiguous rows embedding_bag leaves its fast path and takes 30 times as long.
    table = source.permute(0, 2, 3, 1).reshape(batch * height * width, channels).contiguous()
    offsets = torch.arange(batch, device=source.device).view(batch, 1, 1) * (height * width)
    summed = F.embedding_bag(
        (indices.view(batch, -1, indices.shape[-1]) + offsets).flatten(0, 1),
        table,
        mode="sum",
        per_sample_weights=taps.reshape(-1, taps.shape[-1]).to(table.dtype),
    )
    return summed.view(batch, out_height, out_width, channels).permute(0, 3, 1, 2)


def _tap_indices(corner: Tensor, kernel_area: int, height: int, width: int) -> Tensor:
    """Flat clamped source positions of the (k + 1)^2 taps: B h w (k + 1)^2."""
    kernel = round(kernel_area**0.5)
    steps = torch.arange(kernel + 1, device=corner.device) - kernel // 2
    columns = (corner[:, 0, ..., None] + steps).clamp_(0, width - 1)
    rows = (corner[:, 1, ..., None] + steps).clamp_(0, height - 1)
    return (rows[..., :, None] * width + columns[..., None, :]).flatten(-2)


def _tap_weights(weights: Tensor, fraction: Tensor) -> Tensor:
    """Attention (k x k) spread over its bilinear neighbours: B h w (k + 1)^2."""
    batch, kernel_area, height, width = weights.shape
    kernel = round(kernel_area**0.5)
    weights = weights.permute(0, 2, 3, 1).reshape(batch, height, width, kernel, kernel)
    x, y = fraction[:, 0, ..., None, None], fraction[:, 1, ..., None, None]
    weights = F.pad(weights * (1 - x), [0, 1]) + F.pad(weights * x, [1, 0])
    weights = F.pad(weights * (1 - y), [0, 0, 0, 1]) + F.pad(weights * y, [0, 0, 1, 0])
    return weights.flatten(-2)
