"""Stand-ins for local attention in the ablation study (section 4.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.models.attention import SourceFeatures
from gfla.ops.warp import warp

_NARROWER = 8
"""Queries and keys have so many times fewer channels than the features."""


class BilinearSampling(nn.Module):
    """The source features at the place the flow leads to, and nothing else (eq. A.16)."""

    def prepare(self, source: Tensor) -> SourceFeatures:
        """There is nothing to prepare."""
        return SourceFeatures(source)

    def forward(self, target: Tensor, source: SourceFeatures, flow: Tensor) -> Tensor:
        """Warp the source; the target's features have no say.

        Args:
            target: B C H W.
            source: of ``prepare``.
            flow: B 2 H W in pixels of the map.
        """
        return warp(source.features, flow)


class GlobalAttention(nn.Module):
    """Every location attends to all locations, by similarity of projected features.

    As published: queries (C / 8 channels) and values are 1 x 1 projections of the source, keys are
    of the target, and a learned gate that begins at 0 lets what was found into the target. So a
    location's coefficients say which target locations resemble the source there, and weigh the
    source's values at these. Similarities are not scaled.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // _NARROWER)
        self.query = nn.Conv2d(channels, hidden, 1)
        self.key = nn.Conv2d(channels, hidden, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def prepare(self, source: Tensor) -> SourceFeatures:
        """There is nothing to prepare."""
        return SourceFeatures(source)

    def weights(self, target: Tensor, source: SourceFeatures) -> Tensor:
        """Attention coefficients: B (H W) (H W), rows that sum to 1."""
        queries, keys = self.query(source.features), self.key(target)
        # Locations as rows of the queries, as columns of the keys.
        return (queries.flatten(2).transpose(1, 2) @ keys.flatten(2)).softmax(-1)

    def forward(self, target: Tensor, source: SourceFeatures) -> Tensor:
        """What is added to the target: target and source B C H W -> B C H W."""
        maps = self.query(source.features), self.key(target), self.value(source.features)
        queries, keys, values = (m.flatten(2).transpose(1, 2)[:, None] for m in maps)
        attended = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        return self.gate * attended[:, 0].transpose(1, 2).reshape(target.shape)
