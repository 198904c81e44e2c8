"""Losses on flow fields that need no labels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gfla.ops.warp import warp


def warped_distance(reference: Tensor, target: Tensor, flow: Tensor) -> Tensor:
    """L1 between the reference, warped at the flow's size, and the target at that size.

    Args:
        reference: B 3 H W.
        target: B 3 H W.
        flow: B 2 h w in pixels of its own size; H is a whole multiple of h.
    """
    factor = reference.shape[-1] // flow.shape[-1]
    small = F.avg_pool2d(reference, factor), F.avg_pool2d(target, factor)
    return F.l1_loss(warp(small[0], flow), small[1])


def roughness(flow: Tensor) -> Tensor:
    """Mean absolute second difference of B 2 H W; 0 for affine motion."""
    horizontal = flow[..., 2:] - 2 * flow[..., 1:-1] + flow[..., :-2]
    vertical = flow[..., 2:, :] - 2 * flow[..., 1:-1, :] + flow[..., :-2, :]
    return horizontal.abs().mean() + vertical.abs().mean()
