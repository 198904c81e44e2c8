"""Local attention (paper, section 3.2) in its exact unfolding-free form.

A target location ``l`` with flow ``w`` attends to the k x k neighbourhood of ``l + w`` in the
source. The published form unfolds both neighbourhoods, k * k * C floats a location. Here nothing
is unfolded:

- the kernel predictor M is linear up to its activation, so its first layer splits into a target
  half (an ordinary convolution) and a source half, and bilinear sampling commutes with the latter:
  convolve the source once, then sample the result at ``l + w``;
- bilinear weights (2 x 2) and attention weights (k x k) merge into (k + 1) x (k + 1) taps at
  integer source positions, gathered and summed in one fused operation.

``gfla.ops.reference`` has the slow and obvious form that tests compare with, ``gfla.ops.backends``
the implementations of the gather and how one is chosen.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.errors import GflaError
from gfla.ops.backends import resolve_backend
from gfla.ops.warp import at_least_float32, pixel_grid, sample
from gfla.shapes import shape_of


def project_source(source: Tensor, weight: Tensor) -> Tensor:
    """The source half of the kernel predictor's first layer, for every place a flow may lead to.

    It depends on the source alone, so a clip computes it once for its reference.

    Args:
        source: B C H W.
        weight: D C k k, the source half of the layer's weight.

    Returns:
        B D (H + 2r) (W + 2r) with r = k // 2: the domain [-r, W - 1 + r] x [-r, H - 1 + r]. Beyond
        it the half is constant, since all neighbours are then the same border pixels.

    Raises:
        GflaError: ``invalid_shape``, as do all functions here.
    """
    _, channels, _, _ = shape_of("source", source, "B C H W")
    radius = _kernel(weight, channels) // 2
    # One radius for the kernel, one for flows that lead beyond the border.
    return F.conv2d(F.pad(source, [2 * radius] * 4, mode="replicate"), weight)


def project_target(target: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The target half of that layer: B C H W -> B D H W, border replicated."""
    _, channels, _, _ = shape_of("target", target, "B C H W")
    radius = _kernel(weight, channels) // 2
    return F.conv2d(F.pad(target, [radius] * 4, mode="replicate"), weight, bias)


def sample_projection(
    projection: Tensor, flow: Tensor, radius: int, backend: str = "auto"
) -> Tensor:
    """The source half at ``l + flow(l)``: B D H W from ``project_source``'s result."""
    batch, _, height, width = shape_of("flow", flow, "B 2 H W")
    # The padding moved the origin.
    flow = flow + radius
    if resolve_backend(backend, projection.device.type) == "triton":
        # A 1 x 1 neighbourhood of weight 1 is a bilinear sample.
        return gather(projection, flow, flow.new_ones(batch, 1, height, width), backend)
    # In PyTorch's own operations that is a sample in a third of the time.
    wide = at_least_float32(projection)
    return sample(wide, flow + pixel_grid(height, width, flow)).to(projection.dtype)


def gather(source: Tensor, flow: Tensor, weights: Tensor, backend: str = "auto") -> Tensor:
    """Weighted sum over the flowed k x k neighbourhood of every location.

    Args:
        source: B C H W; fastest where channels are last in memory.
        flow: B 2 h w in source pixels, (x, y), any finite values; float32 unless ``source`` is
            float64, since half precision would misplace samples by whole pixels.
        weights: B k*k h w, row by row, k odd.
        backend: one of ``gfla.ops.backends.BACKENDS``.

    Returns:
        B C h w in the type of ``source``, channels last in memory: sum over the k*k offsets of
        weight x (bilinear, border-clamped source sample).

    Raises:
        GflaError: ``invalid_shape``, ``invalid_config`` or ``backend_unavailable``.
    """
    batch, _, _, _ = shape_of("source", source, "B C H W")
    _, _, height, width = shape_of("flow", flow, "B 2 h w", B=batch)
    _, area, _, _ = shape_of("weights", weights, "B K h w", B=batch, h=height, w=width)
    if math.isqrt(area) ** 2 != area or area % 2 == 0:
        message = f"weights has {area} channels; needs an odd square (1, 9, 25, ...)"
        raise GflaError("invalid_shape", message)
    # Channels last: a tap is then a row of the table, and rows are read whole.
    table = source.permute(0, 2, 3, 1)
    if resolve_backend(backend, source.device.type) == "triton":
        # Here, because it cannot be imported where Triton is not installed.
        from gfla.ops.triton_gather import local_gather

        summed: Tensor = local_gather(table, flow, weights)
    else:
        summed = _gather(table, flow, weights)
    return summed.permute(0, 3, 1, 2)


def _kernel(weight: Tensor, channels: int) -> int:
    """The kernel size of a half of the layer's weight, D C k k."""
    _, _, kernel, _ = shape_of("weight", weight, "D C k k", C=channels, k=weight.shape[-1])
    if kernel % 2 == 0:
        raise GflaError("invalid_shape", f"weight has kernel size {kernel}; needs an odd one")
    return kernel


def _gather(table: Tensor, flow: Tensor, weights: Tensor) -> Tensor:
    """The gather in PyTorch's own operations: B H W C -> B h w C."""
    batch, height, width, channels = table.shape
    _, kernel_area, out_height, out_width = weights.shape
    # Where the flow leads: the tap above and left of it, and how far beyond that tap it lies.
    positions = flow + pixel_grid(out_height, out_width, flow)
    # A sample this far outside sees border pixels alone; clamping keeps indices representable.
    reach = 2 * kernel_area
    x = positions[:, 0].clamp(-reach, width + reach)
    y = positions[:, 1].clamp(-reach, height + reach)
    left, top = x.detach().floor(), y.detach().floor()
    indices = _tap_indices(left.long(), top.long(), kernel_area, height, width)
    dtype = weights.dtype
    taps = _tap_weights(weights, (x - left).to(dtype), (y - top).to(dtype)).to(table.dtype)

    # One table for the batch: picture b's rows begin at b H W.
    offsets = torch.arange(batch, device=table.device).view(batch, 1, 1, 1) * (height * width)
    indices = (indices + offsets).flatten(0, 2)
    taps = taps.flatten(0, 2)
    # Without contiguous rows embedding_bag leaves its fast path and takes 30 times as long.
    rows = table.reshape(-1, channels).contiguous()
    if torch.compiler.is_compiling():  # a compiler fuses this; uncompiled it would hold all rows
        summed = (rows[indices] * taps[..., None]).sum(1)
    else:
        summed = F.embedding_bag(indices, rows, mode="sum", per_sample_weights=taps)
    return summed.view(batch, out_height, out_width, channels)


def _tap_indices(left: Tensor, top: Tensor, kernel_area: int, height: int, width: int) -> Tensor:
    """Flat clamped source positions of the (k + 1)^2 taps: B h w (k + 1)^2."""
    kernel = math.isqrt(kernel_area)
    # k positions with 2 bilinear neighbours each share k + 1 taps along an axis.
    steps = torch.arange(kernel + 1, device=left.device) - kernel // 2
    columns = (left[..., None] + steps).clamp(0, width - 1)
    rows = (top[..., None] + steps).clamp(0, height - 1)
    return (rows[..., :, None] * width + columns[..., None, :]).flatten(-2)


def _tap_weights(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Attention (k x k) spread over its bilinear neighbours: B h w (k + 1)^2."""
    kernel = math.isqrt(weights.shape[1])
    weights = weights.permute(0, 2, 3, 1).unflatten(3, (kernel, kernel))
    x, y = x[..., None, None], y[..., None, None]
    # Along x, then along y: a share stays on its tap, the rest moves on to the next.
    weights = F.pad(weights * (1 - x), [0, 1]) + F.pad(weights * x, [1, 0])
    weights = F.pad(weights * (1 - y), [0, 0, 0, 1]) + F.pad(weights * y, [0, 0, 1, 0])
    return weights.flatten(-2)
