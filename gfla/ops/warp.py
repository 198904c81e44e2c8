"""Sampling a map along a flow field, and moving flow fields between scales."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.shapes import shape_of


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half-precision tensors as float32: coordinates and flows need it; others unchanged."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def pixel_grid(height: int, width: int, like: Tensor) -> Tensor:
    """Pixel coordinates (x, y) of every location: 1 2 H W, on the device of ``like``, float32+."""
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    ys = torch.arange(height, device=like.device, dtype=dtype)
    xs = torch.arange(width, device=like.device, dtype=dtype)
    return torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)])[None]


def sample(image: Tensor, positions: Tensor) -> Tensor:
    """Bilinear samples of a map, its border continued outwards.

    Args:
        image: B C H W.
        positions: B 2 h w, pixel coordinates (x, y) of ``image``; any finite value.

    Returns:
        B C h w in the type of ``image``. Neighbours outside the map are its border pixels, and
        their weights are not renormalised (paper, eq. A.16 with clamped indices).

    Raises:
        GflaError: ``invalid_shape``, as do all functions here.
    """
    batch, _, height, width = shape_of("image", image, "B C H W")
    shape_of("positions", positions, "B 2 h w", B=batch)
    # Numbers, not a tensor of them: CUDA graphs cannot take in what comes from the host.
    # align_corners=True: -1 and 1 are the centres of the first and the last pixel, not their edges.
    x = positions[:, 0] * (2 / max(width - 1, 1)) - 1
    y = positions[:, 1] * (2 / max(height - 1, 1)) - 1
    return _looked_up(image, x, y)


def _looked_up(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Samples at x and y, B h w each, from -1 to 1 from the first to the last pixel's centre."""
    grid = torch.stack([x, y], 3)
    return F.grid_sample(
        image, grid.to(image.dtype), mode="bilinear", padding_mode="border", align_corners=True
    )


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Warp a map by a flow field.

    Args:
        image: B C H W.
        flow: B 2 h w, channel order (x, y), in pixels of ``image``: the target location ``l``
            takes its value from ``l + flow(l)``.

    Returns:
        B C h w. Computed in float32 (float64 for float64): half-precision coordinates would
        misplace samples by whole pixels.
    """
    _, _, rows, columns = shape_of("flow", flow, "B 2 h w")
    batch, _, height, width = shape_of("image", image, "B C H W")
    shape_of("flow", flow, "B 2 h w", B=batch)
    wide = at_least_float32(image)
    # Where each place itself is, and the flow from there: one pass over the flow.
    x = torch.add(_line(columns, width, wide), flow[:, 0], alpha=2 / max(width - 1, 1))
    y = torch.add(_line(rows, height, wide)[:, None], flow[:, 1], alpha=2 / max(height - 1, 1))
    return _looked_up(wide, x, y).to(image.dtype)


def _line(count: int, side: int, like: Tensor) -> Tensor:
    """The first ``count`` pixels of a row of ``side``, whose first and last are at -1 and 1."""
    places = torch.arange(count, device=like.device, dtype=like.dtype)
    return places * (2 / max(side - 1, 1)) - 1


def upscale_flow(flow: Tensor, factor: int) -> Tensor:
    """A flow field at ``factor`` times the size, in pixels of the larger map (bilinear)."""
    shape_of("flow", flow, "B 2 h w")
    if factor == 1:
        return flow
    # align_corners=False keeps pixel areas: a map's edges stay where they are at every scale.
    return factor * F.interpolate(flow, scale_factor=factor, mode="bilinear", align_corners=False)


def downscale_flow(flow: Tensor, factor: int) -> Tensor:
    """A flow field at 1/``factor`` of the size, in pixels of the smaller map (means of blocks)."""
    shape_of("flow", flow, "B 2 h w")
    if factor == 1:
        return flow
    return F.avg_pool2d(flow, factor) / factor
