"""Image-scale fusion: local attention's idea at layer 0, where a 1 x 1 kernel is a blend.

The references themselves, warped at the picture's own size, are blended with the rendered
picture (paper, figure 2: the module "can be used at different scales"). Texture comes from the
source; the renderer adds what the source lacks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.ops.warp import warp


class ImageFusion(nn.Module):
    """Blends a rendered picture and warped references by a softmax of maps."""

    def __init__(self, references: int, start: float = 2.0) -> None:
        """Start out biased towards the source, which is the last reference.

        Args:
            references: how many there are, R.
            start: logit of the source at the start; the previous frames begin at its negative.
        """
        super().__init__()
        bias = torch.full((references + 1,), -start)
        bias[0], bias[-1] = 0.0, start
        self.bias = nn.Parameter(bias)

    @property
    def maps(self) -> int:
        """How many channels the renderer adds for the shares: R + 1."""
        return len(self.bias)

    def forward(
        self, output: Tensor, images: Sequence[Tensor], flows: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Blend.

        Args:
            output: B (3 + R + 1) h w of the renderer: picture before tanh, then share logits.
            images: R references, B 3 H W; H is a whole multiple of h.
            flows: R flows, B 2 H W in pixels of the references.

        Returns:
            B 3 H W in [-1, 1], and the shares B (R + 1) H W, the rendered picture's first.
        """
        output = _resize(output.float(), images[0].shape[-2:])
        rendered, logits = output[:, :3].tanh(), output[:, 3:] + self.bias.view(1, -1, 1, 1)
        shares = logits.softmax(1)
        picture = shares[:, :1] * rendered
        for index, (image, flow) in enumerate(zip(images, flows, strict=True), start=1):
            picture = picture + shares[:, index : index + 1] * warp(image.float(), flow)
        return picture, shares


def _resize(maps: Tensor, size: torch.Size) -> Tensor:
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
