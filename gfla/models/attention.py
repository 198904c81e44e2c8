"""The local attention block: kernel predictor M and content-aware sampling (section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from gfla.models.blocks import SLOPE
from gfla.ops.local_attention import gather, project_source, project_target, sample_projection


@dataclass(frozen=True)
class SourceFeatures:
    """What attention needs of one reference at one layer; computed once per reference.

    Attributes:
        features: B C H W.
        projection: B D (H + 2r) (W + 2r), the source half of the kernel predictor; None for
            sampling that predicts no kernels.
    """

    features: Tensor
    projection: Tensor | None = None

    def detach(self) -> SourceFeatures:
        """The same values, cut from the graph."""
        projection = None if self.projection is None else self.projection.detach()
        return SourceFeatures(self.features.detach(), projection)


class LocalAttention(nn.Module):
    """Attention from every target location to the k x k neighbourhood its flow leads to."""

    def __init__(self, channels: int, kernel: int, hidden: int) -> None:
        super().__init__()
        self.channels = channels
        self.kernel = kernel
        # Holds the weights of the published layer; never run as a convolution on unfolded blocks.
        self.mix = nn.Conv2d(2 * channels, hidden, kernel)
        self.head = nn.Conv2d(hidden, kernel * kernel, 1)

    def prepare(self, source: Tensor) -> SourceFeatures:
        """The part that depends on the source alone: B C H W -> ``SourceFeatures``."""
        return SourceFeatures(source, project_source(source, self.mix.weight[:, self.channels :]))

    def weights(self, target: Tensor, source: SourceFeatures, flow: Tensor) -> Tensor:
        """Attention coefficients: B k*k H W, summing to 1."""
        assert self.mix.bias is not None and source.projection is not None
        hidden = project_target(target, self.mix.weight[:, : self.channels], self.mix.bias)
        hidden = hidden + sample_projection(source.projection, flow, self.kernel // 2)
        return self.head(F.leaky_relu(hidden, SLOPE)).softmax(1)

    def forward(self, target: Tensor, source: SourceFeatures, flow: Tensor) -> Tensor:
        """Sample the source content-aware.

        Args:
            target: B C H W.
            source: of ``prepare``.
            flow: B 2 H W, (x, y), in pixels of the map.

        Returns:
            B C H W: the weighted sum divided by k*k, as published.
        """
        weights = self.weights(target, source, flow)
        return gather(source.features, flow, weights) / self.kernel**2
