"""Regularity of flows: a target's neighbours come from neighbours in the source (section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gfla.errors import GflaError
from gfla.ops.warp import at_least_float32
from gfla.shapes import shape_of


def affine_residual(flow: Tensor, kernel: int) -> Tensor:
    """How far a flow is from affine motion within n x n pixels (equations 4 to 6).

    As published, the affine map is fitted from target to source coordinates: the former are the
    same grid in every neighbourhood, so that one constant matrix takes the warped coordinates to
    their residuals. It takes the grid itself to 0, so the flow alone goes in.

    Args:
        flow: B 2 H W in pixels; H and W are at least ``kernel``.
        kernel: n, side of the neighbourhood; below 2 everything is affine.

    Returns:
        A scalar in float32 or float64: the squared residual in pixels^2, summed over a
        neighbourhood's n * n locations, mean over neighbourhoods that lie inside.

    Raises:
        GflaError: ``invalid_shape``, or ``invalid_config`` for a kernel below 1.
    """
    batch, _, height, width = shape_of("flow", flow, "B 2 H W")
    if kernel < 1:
        raise GflaError("invalid_config", f"kernel is {kernel}; must be at least 1")
    if min(height, width) < kernel:
        message = f"flow is {height} x {width}; needs at least {kernel} x {kernel}"
        raise GflaError("invalid_shape", message)
    flow = at_least_float32(flow)
    # n * n filters, one for each residual of a neighbourhood, over x and y apart.
    projection = torch.as_tensor(_residual_projection(kernel), dtype=flow.dtype, device=flow.device)
    projection = projection.view(kernel**2, 1, kernel, kernel)
    with torch.autocast(flow.device.type, enabled=False):  # squares of small differences
        residuals = F.conv2d(flow.reshape(batch * 2, 1, height, width), projection)
    return residuals.square().sum(1).mean() * 2  # x and y are summed, not averaged


@lru_cache(maxsize=8)
def _residual_projection(kernel: int) -> NDArray[np.float64]:
    """What the least-squares affine fit of n x n values leaves of them, as a matrix: n*n x n*n."""
    # x, y and 1 at every place of a neighbourhood: what an affine map is made of.
    steps = np.arange(kernel) - (kernel - 1) / 2
    xs, ys = np.meshgrid(steps, steps)
    coordinates = np.stack([xs.ravel(), ys.ravel(), np.ones(kernel**2)], 1)
    # A pseudo-inverse serves n = 1, too.
    return np.eye(kernel**2) - coordinates @ np.linalg.pinv(coordinates)


class AffineRegularity(nn.Module):
    """Sum of ``affine_residual`` over all flows of a prediction; holds settings only."""

    def __init__(self, kernels: Mapping[int, int]) -> None:
        """Keep the neighbourhoods' sides by layer: as published, those of the attention blocks."""
        super().__init__()
        self.kernels = dict(kernels)

    def forward(self, flows: Mapping[tuple[int, str], Tensor]) -> Tensor:
        """Judge flows by (layer, reference), each B 2 h w in pixels of its layer: a scalar.

        Raises:
            GflaError: ``unknown_layer`` for a layer without a kernel, or ``invalid_shape``.
        """
        unknown = sorted({layer for layer, _ in flows} - set(self.kernels))
        if unknown or not flows:
            message = f"no kernel for layers {unknown}; there are {self.kernels}"
            raise GflaError("unknown_layer", message)
        losses = [affine_residual(flow, self.kernels[layer]) for (layer, _), flow in flows.items()]
        return torch.stack(losses).sum()


def roughness(flow: Tensor) -> Tensor:
    """Mean absolute second difference of B 2 H W; 0 for affine motion."""
    horizontal = flow[..., 2:] - 2 * flow[..., 1:-1] + flow[..., :-2]
    vertical = flow[..., 2:, :] - 2 * flow[..., 1:-1, :] + flow[..., :-2, :]
    return horizontal.abs().mean() + vertical.abs().mean()
