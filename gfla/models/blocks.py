"""The blocks that every network is put together from (pre-activation; paper, appendix D)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1
"""Negative slope of every LeakyReLU."""


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm with affine parameters and no running statistics: B C H W -> B C H W.

    One picture alone is a batch whose statistics are its own, and batch norm can read it with
    channels last in memory, where instance norm would copy it first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        """B C H W -> B C H W."""
        # A map of one channel or one pixel is contiguous either way, and gains nothing.
        last = features.is_contiguous(memory_format=torch.channels_last)
        if features.shape[0] != 1 or features.is_contiguous() or not last:
            return super().forward(features)
        # Statistics of the batch, never running ones: of one picture they are instance norm's.
        return F.batch_norm(
            features, None, None, self.weight, self.bias, training=True, eps=self.eps
        )


def _act() -> nn.Module:
    return nn.LeakyReLU(SLOPE)


def _double_size(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


class Down(nn.Sequential):
    """B in H W -> B out H/2 W/2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            InstanceNorm(inputs),
            _act(),
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1),
            InstanceNorm(outputs),
            _act(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )


class Res(nn.Module):
    """B in H W -> B out H W, residual; as many channels out as in unless given."""

    def __init__(self, inputs: int, outputs: int | None = None) -> None:
        super().__init__()
        outputs = outputs or inputs
        self.body = nn.Sequential(
            InstanceNorm(inputs),
            _act(),
            nn.Conv2d(inputs, inputs, 3, padding=1),
            InstanceNorm(inputs),
            _act(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Identity() if outputs == inputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """B in H W -> B out H W."""
        return self.shortcut(features) + self.body(features)


class Up(nn.Module):
    """B in H W -> B out 2H 2W; ``hidden`` channels between, ``inputs`` unless given."""

    def __init__(self, inputs: int, outputs: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or inputs
        self.body = nn.Sequential(
            InstanceNorm(inputs),
            _act(),
            nn.Conv2d(inputs, hidden, 3, padding=1),
            InstanceNorm(hidden),
            _act(),
            _double_size(hidden, outputs),
        )
        self.shortcut = _double_size(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """B in H W -> B out 2H 2W."""
        return self.body(features) + self.shortcut(features)


class Jump(nn.Sequential):
    """Skip connection of the flow estimator: B C H W -> B C H W."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            _act(), nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        )


class Out(nn.Sequential):
    """Last layer of a renderer: B C H W -> B out H W, before any tanh."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(_act(), nn.Conv2d(channels, outputs, 3, padding=1, padding_mode="reflect"))


class Encoder(nn.Module):
    """A stack of Downs that keeps the features of some layers."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.downs = nn.ModuleList(
            Down(before, after) for before, after in zip((inputs, *widths), widths, strict=False)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """B C H W -> features of layers 1, 2, ... (B widths[k-1] H/2^k W/2^k)."""
        features = []
        for down in self.downs:
            image = down(image)
            features.append(image)
        return features
