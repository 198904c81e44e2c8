"""The global flow field estimator (section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gfla.models.blocks import Encoder, Jump, Res, Up
from gfla.ops.warp import at_least_float32

Estimates = Mapping[int, tuple[Tensor, Tensor]]
"""By layer: flows B R 2 h w in pixels of the layer, float32, and masks B R 1 h w in 0..1."""


class FlowEstimator(nn.Module):
    """One flow field and one occlusion mask per reference at every attention layer."""

    def __init__(
        self,
        inputs: int,
        widths: tuple[int, ...],
        layers: tuple[int, ...],
        references: int = 1,
        condition: int = 0,
    ) -> None:
        """Put the estimator together.

        Args:
            inputs: channels of what it sees.
            widths: output channels of its Downs, layer 1 first.
            layers: where flows and masks are wanted.
            references: how many flows and masks a layer.
            condition: channels that join at the deepest layer; 0 for none.
        """
        super().__init__()
        self.layers = layers
        depth, last = len(widths), min(layers)
        # Down to 1 / 2^depth; a condition joins at the bottom.
        self.encoder = Encoder(inputs, widths)
        self.join = Res(widths[-1] + condition, widths[-1]) if condition else None
        # Up again to the finest layer that is asked for, with a skip from every layer.
        self.ups = nn.ModuleList()
        self.jumps = nn.ModuleList()
        for layer in range(depth - 1, last - 1, -1):
            self.ups.append(Up(widths[layer], widths[layer - 1], hidden=widths[layer - 1]))
            self.jumps.append(Jump(widths[layer - 1]))
        # A head for each layer: flows x, y of reference 0, x, y of reference 1, ...; then masks.
        self.flow_heads = nn.ModuleDict(
            {str(k): nn.Conv2d(widths[k - 1], 2 * references, 3, padding=1) for k in layers}
        )
        self.mask_heads = nn.ModuleDict(
            {str(k): nn.Conv2d(widths[k - 1], references, 3, padding=1) for k in layers}
        )

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Estimates:
        """Estimate flows and masks.

        Args:
            inputs: B C H W, the references and structures joined by channel.
            condition: B C' h w at the size of the deepest layer, for an estimator with ``join``.
        """
        skips = self.encoder(inputs)
        features = skips.pop()
        if self.join is not None and condition is not None:
            features = self.join(torch.cat([features, condition], 1))
        layer = len(skips)
        estimates = {}
        for up, jump in zip(self.ups, self.jumps, strict=True):
            features = up(features) + jump(skips.pop())
            if layer in self.layers:
                # Pixels of this layer: half precision would place samples whole pixels away.
                flows = at_least_float32(self.flow_heads[str(layer)](features))
                masks = torch.sigmoid(self.mask_heads[str(layer)](features))
                estimates[layer] = (flows.unflatten(1, (-1, 2)), masks.unsqueeze(2))
            layer -= 1
        return estimates
