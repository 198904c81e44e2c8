"""The other side of the benchmarks: local attention as published, with the weights of ours."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.models.attention import LocalAttention, SourceFeatures
from gfla.ops import reference
from gfla.ops.warp import pixel_grid, sample

Network = TypeVar("Network", bound=nn.Module)


class UnfoldingAttention(LocalAttention):
    """Local attention as published, on the blocks that ``gfla.ops.reference`` unfolds."""

    def __init__(self, block: LocalAttention) -> None:
        super().__init__(block.channels, block.kernel, block.mix.out_channels)
        self.load_state_dict(block.state_dict())
        self.to(block.mix.weight.device)

    def prepare(self, source: Tensor) -> SourceFeatures:
        """Nothing can be prepared."""
        return SourceFeatures(source)

    def forward(self, target: Tensor, source: SourceFeatures, flow: Tensor) -> Tensor:
        """Unfold both sides."""
        mix, head = self.mix, self.head
        assert mix.bias is not None and head.bias is not None
        return reference.local_attention(
            target, source.features, flow, mix.weight, mix.bias, head.weight, head.bias
        )


class SampledUnfoldingAttention(UnfoldingAttention):
    """The same with PyTorch's fastest ways to unfold: ``grid_sample`` and ``unfold``."""

    def forward(self, target: Tensor, source: SourceFeatures, flow: Tensor) -> Tensor:
        """Unfold both sides."""
        kernel, mix = self.kernel, self.mix
        height, width = flow.shape[2:]
        radius = kernel // 2
        steps = pixel_grid(kernel, kernel, flow) - radius
        positions = flow + pixel_grid(height, width, flow)
        blocks = positions.repeat_interleave(kernel, 2).repeat_interleave(kernel, 3)
        theirs = sample(source.features, blocks + steps.repeat(1, 1, height, width))
        padded = F.pad(target, [radius] * 4, mode="replicate")
        columns = F.unfold(padded, kernel).unflatten(2, (height, width))
        mine = F.pixel_shuffle(columns, kernel)
        hidden = F.conv2d(torch.cat([mine, theirs], 1), mix.weight, mix.bias, stride=kernel)
        attention = self.head(F.leaky_relu(hidden, 0.1)).softmax(1)
        return F.avg_pool2d(F.pixel_shuffle(attention, kernel) * theirs, kernel)


def unfolding(network: Network) -> Network:
    """The same network with every attention block in the published form."""
    other = copy.deepcopy(network)
    for parent in list(other.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LocalAttention):
                setattr(parent, name, UnfoldingAttention(child))
    return other
