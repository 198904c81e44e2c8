"""Slow and obvious forms of the operations, for tests and benchmarks only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.ops.warp import pixel_grid


def bilinear_clamped(source: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Samples of B C H W at x, y (both B N): B C N, neighbours' indices clamped to the map."""
    batch, channels, height, width = source.shape
    flat = source.flatten(2)
    x0, y0 = x.floor(), y.floor()
    total = torch.zeros(batch, channels, x.shape[1], dtype=source.dtype, device=source.device)
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (x - x0 if dx else 1 - (x - x0)) * (y - y0 if dy else 1 - (y - y0))
            column = (x0 + dx).clamp(0, width - 1).long()
            row = (y0 + dy).clamp(0, height - 1).long()
            index = (row * width + column)[:, None].expand(-1, channels, -1)
            total = total + weight[:, None] * flat.gather(2, index)
    return total


def unfold_source(source: Tensor, flow: Tensor, kernel: int) -> Tensor:
    """The k x k source block of every location: B C (H k) (W k)."""
    batch, channels, _, _ = source.shape
    _, _, height, width = flow.shape
    x, y = (flow + pixel_grid(height, width, flow)).unbind(1)
    radius = kernel // 2
    steps = torch.arange(-radius, radius + 1, device=flow.device, dtype=flow.dtype)
    x = (x[:, :, None, :, None] + steps).expand(-1, -1, kernel, -1, -1)
    y = (y[:, :, None, :, None] + steps[:, None, None]).expand(-1, -1, -1, -1, kernel)
    blocks = bilinear_clamped(source, x.reshape(batch, -1), y.reshape(batch, -1))
    return blocks.view(batch, channels, height * kernel, width * kernel)


def local_attention(
    target: Tensor,
    source: Tensor,
    flow: Tensor,
    weight: Tensor,
    bias: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
) -> Tensor:
    """Local attention as published: unfold both sides, predict kernels, average the products.

    Args:
        target: B C H W.
        source: B C H W.
        flow: B 2 H W.
        weight: D 2C k k, the kernel predictor's first layer, target channels first.
        bias: D.
        head_weight: k*k D 1 1.
        head_bias: k*k.

    Returns:
        B C H W, the mean over k*k positions of softmax weight x source sample.
    """
    kernel = weight.shape[-1]
    source_blocks = unfold_source(source, flow, kernel)
    target_blocks = unfold_source(target, torch.zeros_like(flow), kernel)
    hidden = F.conv2d(torch.cat([target_blocks, source_blocks], 1), weight, bias, stride=kernel)
    attention = F.conv2d(F.leaky_relu(hidden, 0.1), head_weight, head_bias).softmax(1)
    spread = F.pixel_shuffle(attention, kernel)
    return F.avg_pool2d(spread * source_blocks, kernel)
