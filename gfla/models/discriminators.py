"""Residual discriminators of pictures and of motion (paper, section 5 and appendix D)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gfla.errors import GflaError
from gfla.models.blocks import SLOPE
from gfla.shapes import shape_of


class CriticDown(nn.Module):
    """B in H W -> B out H/2 W/2 without norms; every convolution is spectrally normalised.

    ``hidden`` channels lie between its two convolutions.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv2d(inputs, hidden, 3, padding=1)),
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv2d(hidden, outputs, 4, stride=2, padding=1)),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), spectral_norm(nn.Conv2d(inputs, outputs, 1)))

    def forward(self, features: Tensor) -> Tensor:
        """B in H W -> B out H/2 W/2, rounded down."""
        return self.body(features) + self.shortcut(features)


class Critic(nn.Module):
    """Says of every place of a picture how real it looks.

    Args:
        inputs: channels: 3 for pictures, 6 for ``frame_differences`` of three frames.
        widths: output channels of its Downs. The first keeps its width between its convolutions,
            the others that of their input, as published.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        hidden = (widths[0], *widths[:-1])
        self.inputs = inputs
        self.downs = nn.ModuleList(
            CriticDown(*sizes) for sizes in zip((inputs, *widths), widths, hidden, strict=False)
        )
        self.head = nn.Sequential(
            nn.LeakyReLU(SLOPE), spectral_norm(nn.Conv2d(widths[-1], 1, kernel_size=1))
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
    return (frames[:, :-1] - frames[:, 1:]).flatten(1, 2)
