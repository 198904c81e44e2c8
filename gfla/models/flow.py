"""The global flow field estimator (section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gfla.models.blocks import Encoder, Jump, Up
from gfla.ops.warp import at_least_float32


class FlowEstimator(nn.Module):
    """One flow field and one occlusion mask per reference at every attention layer."""

    def __init__(
        self, inputs: int, widths: tuple[int, ...], layers: tuple[int, ...], references: int
    ) -> None:
        super().__init__()
        self.layers = layers
        depth, last = len(widths), min(layers)
        self.encoder = Encoder(inputs, widths)
        self.ups = nn.ModuleList()
        self.jumps = nn.ModuleList()
        for layer in range(depth - 1, last - 1, -1):
            self.ups.append(Up(widths[layer], widths[layer - 1], hidden=widths[layer - 1]))
            self.jumps.append(Jump(widths[layer - 1]))
        self.flow_heads = nn.ModuleDict(
            {str(k): nn.Conv2d(widths[k - 1], 2 * references, 3, padding=1) for k in layers}
        )
        self.mask_heads = nn.ModuleDict(
            {str(k): nn.Conv2d(widths[k - 1], references, 3, padding=1) for k in layers}
        )

    def forward(self, inputs: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
        """Estimate flows and masks.

        Args:
            inputs: B C H W, the references and structures joined by channel.

        Returns:
            For every attention layer: flows B R 2 h w in pixels of that layer, float32, and masks
            B R 1 h w in 0..1.
        """
        skips = self.encoder(inputs)
        features = skips.pop()
        layer = len(skips)
        estimates = {}
        for up, jump in zip(self.ups, self.jumps, strict=True):
            features = up(features) + jump(skips.pop())
            if layer in self.layers:
                flows = at_least_float32(self.flow_heads[str(layer)](features))
                masks = torch.sigmoid(self.mask_heads[str(layer)](features))
                estimates[layer] = (flows.unflatten(1, (-1, 2)), masks.unsqueeze(2))
            layer -= 1
        return estimates
