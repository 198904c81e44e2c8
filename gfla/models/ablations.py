"""Stand-ins for local attention in the ablation study (section 4.3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gfla.models.attention import SourceFeatures
from gfla.ops.warp import warp


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
    """Every target location attends to all source locations, by similarity of their features.

    The coefficients are a softmax of scaled dot products; a learned 1 x 1 projection follows.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, channels, 1)

    def prepare(self, source: Tensor) -> SourceFeatures:
        """There is nothing to prepare."""
        return SourceFeatures(source)

    def weights(self, target: Tensor, source: SourceFeatures) -> Tensor:
        """Attention coefficients: B (H W) (h w), rows that sum to 1."""
        # Locations as rows of the queries, as columns of the keys.
        queries, keys = target.flatten(2).transpose(1, 2), source.features.flatten(2)
        return (queries @ keys / target.shape[1] ** 0.5).softmax(-1)

    def forward(self, target: Tensor, source: SourceFeatures) -> Tensor:
        """Attend: target B C H W, source B C h w -> B C H W."""
        maps = (target, source.features)
        queries, keys = (values.flatten(2).transpose(1, 2)[:, None] for values in maps)
        attended = F.scaled_dot_product_attention(queries, keys, keys)
        return self.project(attended[:, 0].transpose(1, 2).reshape(target.shape))
