"""Spectral normalisation of a critic's weights, as the published models were trained with it."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization


class SpectralNorm(nn.Module):
    """A weight divided by an estimate of its largest singular value.

    Every look at the weight in training improves the estimate by a step of power iteration: first
    the right singular vector from the left one, then the left one from that. PyTorch's own goes
    the other way round, so that its vectors, and with them its critics, are half a step apart.
    """

    def __init__(self, weight: Tensor) -> None:
        """Begin with random vectors for a weight of shape O ...."""
        super().__init__()
        matrix = weight.detach().flatten(1)
        rows, columns = matrix.shape
        self.register_buffer("_u", F.normalize(matrix.new_empty(rows).normal_(), dim=0))
        self.register_buffer("_v", F.normalize(matrix.new_empty(columns).normal_(), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """The normalised weight."""
        # In half precision the estimate would be off by a part in 250.
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            left, right = cast(Tensor, self._u), cast(Tensor, self._v)
            if self.training:
                with torch.no_grad():
                    right.copy_(F.normalize(matrix.T @ left, dim=0))
                    left.copy_(F.normalize(matrix @ right, dim=0))
            # Copies, so that the next pass leaves this one's graph alone.
            return weight / (left.clone() @ (matrix @ right.clone()))

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What is kept of a weight that is assigned: itself."""
        return weight


def spectrally_normalised(convolution: nn.Module) -> nn.Module:
    """The convolution, its weight normalised from now on."""
    weight = convolution.weight
    assert isinstance(weight, Tensor)
    return register_parametrization(convolution, "weight", SpectralNorm(weight))
