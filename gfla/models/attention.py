"""The local attention block: kernel predictor M and content-aware sampling (section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.models.blocks import SLOPE
from gfla.ops.backends import check_backend, resolve_backend
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
    """Attention from every target location to the k x k neighbourhood its flow leads to.

    Attributes:
        backend: how the gathers run, one of ``gfla.ops.backends.BACKENDS``; see
            ``set_attention_backend``.
    """

    def __init__(self, channels: int, kernel: int, hidden: int) -> None:
        super().__init__()
        self.channels = channels
        self.kernel = kernel
        self.backend = "auto"
        # Holds the weights of the published layer; never run as a convolution on unfolded blocks.
        self.mix = nn.Conv2d(2 * channels, hidden, kernel)
        self.head = nn.Conv2d(hidden, kernel * kernel, 1)

    def prepare(self, source: Tensor) -> SourceFeatures:
        """The part that depends on the source alone: B C H W -> ``SourceFeatures``.

        Both are laid out with channels last, the way every gather of a clip then reads them.
        """
        # The layer's inputs are the target's channels, then the source's.
        projection = project_source(source, self.mix.weight[:, self.channels :])
        last = torch.channels_last
        return SourceFeatures(
            source.contiguous(memory_format=last), projection.contiguous(memory_format=last)
        )

    def weights(self, target: Tensor, source: SourceFeatures, flow: Tensor) -> Tensor:
        """Attention coefficients: B k*k H W, summing to 1."""
        assert self.mix.bias is not None and source.projection is not None
        hidden = project_target(target, self.mix.weight[:, : self.channels], self.mix.bias)
        radius = self.kernel // 2
        hidden = hidden + sample_projection(source.projection, flow, radius, self.backend)
        return self.head(F.leaky_relu(hidden, SLOPE)).softmax(1)

    def forward(self, target: Tensor, source: SourceFeatures, flow: Tensor) -> Tensor:
        """Sample the source content-aware.

        Args:
            target: B C H W.
            source: of ``prepare``.
            flow: B 2 H W, (x, y), in pixels of the map.

        Returns:
            B C H W: the weighted sum divided by k*k, as published.

        Raises:
            GflaError: ``invalid_shape``, or ``backend_unavailable`` if the backend cannot run.
        """
        weights = self.weights(target, source, flow)
        # The published model pools by the mean, so its weights sum to 1 / k^2.
        return gather(source.features, flow, weights, self.backend) / self.kernel**2


def set_attention_backend(network: nn.Module, name: str) -> None:
    """Choose how every local attention block of a network runs.

    Args:
        network: any network; its weights say on which device it runs.
        name: one of ``gfla.ops.backends.BACKENDS``.

    Raises:
        GflaError: ``invalid_config`` for another name, ``backend_unavailable`` if it cannot run
            on the network's device. The network is then as before.
    """
    check_backend(name)
    blocks = [module for module in network.modules() if isinstance(module, LocalAttention)]
    # All are asked before one is changed.
    for block in blocks:
        resolve_backend(name, block.mix.weight.device.type)
    for block in blocks:
        block.backend = name
