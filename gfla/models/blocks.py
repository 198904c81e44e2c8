"""The blocks that every network is put together from (pre-activation; paper, appendix D)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1
"""Negative slope of every LeakyReLU."""


def join(maps: Sequence[Tensor]) -> Tensor:
    """Maps B C H W joined by channel; channels last in memory if any of them is.

    As they are, maps of both kinds would give one that each network copies before it reads it.
    """
    last = torch.channels_last
    if any(one.is_contiguous(memory_format=last) and not one.is_contiguous() for one in maps):
        maps = [one.contiguous(memory_format=last) for one in maps]
    return torch.cat(list(maps), 1)


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm with affine parameters and no running statistics: B C H W -> B C H W.

    One picture alone is a batch whose statistics are its own, and batch norm can read it with
    channels last in memory, where instance norm would copy it first. On a CPU that is so for each
    picture of a batch, which then gives what it gives alone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        """B C H W -> B C H W."""
        # A map of one channel or one pixel is contiguous either way, and gains nothing.
        last = features.is_contiguous(memory_format=torch.channels_last)
        one_by_one = features.shape[0] == 1 or not features.is_cuda
        if not one_by_one or features.is_contiguous() or not last:
            return super().forward(features)
        # Statistics of the batch, never running ones: of one picture they are instance norm's.
        alone = [
            F.batch_norm(one, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for one in features.split(1)
        ]
        return alone[0] if len(alone) == 1 else torch.cat(alone)


def _act() -> nn.Module:
    return nn.LeakyReLU(SLOPE)


def _norm_and_act(channels: int) -> list[nn.Module]:
    """Norm and activation, which may overwrite what the norm has just made."""
    return [InstanceNorm(channels), nn.LeakyReLU(SLOPE, inplace=True)]


def _double_size(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


class Down(nn.Sequential):
    """B in H W -> B out H/2 W/2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            *_norm_and_act(inputs),
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1),
            *_norm_and_act(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )


class Res(nn.Module):
    """B in H W -> B out H W, residual; as many channels out as in unless given."""

    def __init__(self, inputs: int, outputs: int | None = None) -> None:
        super().__init__()
        outputs = outputs or inputs
        self.body = nn.Sequential(
            *_norm_and_act(inputs),
            nn.Conv2d(inputs, inputs, 3, padding=1),
            *_norm_and_act(inputs),
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
            *_norm_and_act(inputs),
            nn.Conv2d(inputs, hidden, 3, padding=1),
            *_norm_and_act(hidden),
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
