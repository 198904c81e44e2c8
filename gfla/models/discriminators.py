"""Residual discriminators of pictures (appendix D) and of motion, which the paper does not name."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.errors import GflaError
from gfla.models.blocks import SLOPE
from gfla.models.spectral import spectrally_normalised
from gfla.shapes import shape_of

_PICTURE = 3
_SMALLEST_GATE = 1e-3
"""Below it a gate is shut, and its critic has next to nothing to say."""


class CriticDown(nn.Module):
    """B in H W -> B out H/2 W/2 without norms of features.

    ``hidden`` channels lie between its two convolutions; ``normalised`` ones have spectral norm.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, normalised: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            _convolution(inputs, hidden, 3, 1, normalised),
            nn.LeakyReLU(SLOPE),
            _convolution(hidden, outputs, 4, 2, normalised),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), _convolution(inputs, outputs, 1, 1, normalised)
        )

    def forward(self, features: Tensor) -> Tensor:
        """B in H W -> B out H/2 W/2, rounded down."""
        return self.body(features) + self.shortcut(features)


class Critic(nn.Module):
    """Says of every place of a picture how real it looks.

    Args:
        inputs: channels: 3 for pictures, 6 for ``frame_differences`` of three frames.
        widths: output channels of its Downs. The first keeps its width between its convolutions,
            the others that of their input, as published.
        normalised: whether every convolution is spectrally normalised, as published.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], normalised: bool = True) -> None:
        super().__init__()
        # Between its convolutions a Down has its input's width; the first sees a picture.
        hidden = (widths[0], *widths[:-1])
        self.inputs = inputs
        self.downs = nn.ModuleList(
            CriticDown(*sizes, normalised)
            for sizes in zip((inputs, *widths), widths, hidden, strict=False)
        )
        self.head = nn.Sequential(
            nn.LeakyReLU(SLOPE), _convolution(widths[-1], 1, 1, 1, normalised)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Judge pictures.

        Args:
            image: B C H W in [-1, 1]; frame differences lie in [-2, 2]. H and W are at least
                2^layers.

        Returns:
            Logits, B 1 H/2^layers W/2^layers, rounded down; larger is more real.

        Raises:
            GflaError: ``invalid_shape``.
        """
        _, _, height, width = shape_of("image", image, "B C H W", C=self.inputs)
        smallest = 2 ** len(self.downs)
        if min(height, width) < smallest:
            raise GflaError(
                "invalid_shape", f"image is {height} x {width}; needs {smallest} x {smallest}"
            )
        for down in self.downs:
            image = down(image)
        return self.head(image)


class ClipDown(nn.Module):
    """B in T H W -> B out T-2 H/2 W/2: a ``CriticDown`` that looks at three frames at once."""

    def __init__(self, inputs: int, outputs: int, hidden: int, normalised: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            _normal(nn.Conv3d(inputs, hidden, 3, padding=1), normalised),
            nn.LeakyReLU(SLOPE),
            _normal(nn.Conv3d(hidden, outputs, (3, 4, 4), (1, 2, 2), (0, 1, 1)), normalised),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool3d((3, 2, 2), (1, 2, 2)), _normal(nn.Conv3d(inputs, outputs, 1), normalised)
        )

    def forward(self, features: Tensor) -> Tensor:
        """B in T H W -> B out T-2 H/2 W/2, rounded down."""
        return self.body(features) + self.shortcut(features)


class ClipCritic(nn.Module):
    """Says of every place of a short clip how real it moves; of persons, as published.

    Two Downs look along time as well; what is left of time then becomes channels, and the other
    Downs and the head are those of a ``Critic``.

    Args:
        frames: of a clip, at least 5; 6 as published.
        widths: output channels of its Downs, at least two.
        normalised: whether every convolution is spectrally normalised, as published.
    """

    def __init__(self, frames: int, widths: tuple[int, ...], normalised: bool = True) -> None:
        super().__init__()
        self.frames = frames
        first, second, *rest = widths
        self.clip_downs = nn.ModuleList(
            [
                ClipDown(_PICTURE, first, first, normalised),
                ClipDown(first, second, first, normalised),
            ]
        )
        # Two frames of six are left; each of the other Downs keeps its input's width inside.
        inputs = (second * (frames - 2 * len(self.clip_downs)), *rest)
        self.downs = nn.ModuleList(
            CriticDown(width, after, width, normalised)
            for width, after in zip(inputs, rest, strict=False)
        )
        self.head = nn.Sequential(
            nn.LeakyReLU(SLOPE), _convolution(inputs[-1], 1, 1, 1, normalised)
        )

    def forward(self, clip: Tensor) -> Tensor:
        """Judge clips.

        Args:
            clip: B T 3 H W in [-1, 1], T as it was built for; H and W are at least 2^layers.

        Returns:
            Logits, B 1 H/2^layers W/2^layers, rounded down; larger is more real.

        Raises:
            GflaError: ``invalid_shape``.
        """
        _, _, _, height, width = shape_of("clip", clip, "B T 3 H W", T=self.frames)
        smallest = 2 ** (len(self.clip_downs) + len(self.downs))
        if min(height, width) < smallest:
            raise GflaError(
                "invalid_shape", f"clip is {height} x {width}; needs {smallest} x {smallest}"
            )
        features = clip.transpose(1, 2)
        for down in self.clip_downs:
            features = down(features)
        features = features.flatten(1, 2)
        for down in self.downs:
            features = down(features)
        return self.head(features)


class GatedCritic(nn.Module):
    """Says how real a picture looks where a gate is open: there alone it may differ."""

    def __init__(self, critic: Critic) -> None:
        """Keep the critic, of pictures with what is known of them."""
        super().__init__()
        self.critic = critic

    def forward(self, shown: Tensor) -> Tensor:
        """Judge pictures.

        Args:
            shown: B (3 + M + 1) H W: pictures in [-1, 1], M maps of what is known of them, gates
                in 0..1. Gradients go to the pictures alone.

        Returns:
            Scores B, larger is more real: means of the critic's logits, weighed by the gates.

        Raises:
            GflaError: ``invalid_shape``.
        """
        shape_of("shown", shown, "B C H W", C=self.critic.inputs + 1)
        picture, known = shown[:, :_PICTURE], shown[:, _PICTURE:].detach()
        maps, gate = known[:, :-1], known[:, -1:]
        # What lies behind a shut gate cannot tell real from rendered.
        logits: Tensor = self.critic(torch.cat([gate * picture, maps], 1))
        weights = F.avg_pool2d(gate, 2 ** len(self.critic.downs))
        total = weights.sum((1, 2, 3)).clamp(min=_SMALLEST_GATE)
        return (weights * logits).sum((1, 2, 3)) / total


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, normalised: bool
) -> nn.Module:
    """A convolution whose result is 1 / stride as large; without a stride kernels are odd."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2)
    return _normal(convolution, normalised)


def _normal(convolution: nn.Module, normalised: bool) -> nn.Module:
    return spectrally_normalised(convolution) if normalised else convolution


def frame_differences(frames: Tensor) -> Tensor:
    """What the temporal critic sees: each frame minus the next one.

    Args:
        frames: B T 3 H W in [-1, 1], T at least 2; three as published.

    Returns:
        B 3(T-1) H W in [-2, 2], oldest first.

    Raises:
        GflaError: ``invalid_shape``.
    """
    _, length, _, _, _ = shape_of("frames", frames, "B T 3 H W")
    if length < 2:
        raise GflaError("invalid_shape", f"a difference needs 2 frames, there is {length}")
    # The published sign: earlier minus later.
    return (frames[:, :-1] - frames[:, 1:]).flatten(1, 2)
