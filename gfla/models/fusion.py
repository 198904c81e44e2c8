"""Image-scale fusion: local attention's idea at layer 0, where a 1 x 1 kernel is a blend.

The references themselves, warped at the picture's own size, are blended with a rendered picture
(paper, figure 2: the module "can be used at different scales"). Texture comes from the source; the
renderer adds what the source lacks. Its picture is the warped source, reduced to the network's
size, plus a correction: a renderer that had to begin from nothing would be shut out of the blend
before it had learned anything. The renderer draws through a bottleneck at 1/8; a small network at
full size may add to its output what it sees in the warped pictures and in the structures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.models.blocks import Out, Res, join
from gfla.ops.warp import warp


@dataclass(frozen=True)
class Fused:
    """What a fusion gives.

    Attributes:
        picture: B 3 H W in [-1, 1].
        rendered: B 3 h w, the renderer's own picture at the network's size, not clamped.
        shares: B (R + 1) H W, of the rendered picture and of each warped reference.
    """

    picture: Tensor
    rendered: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Brought:
    """What references bring to a blend.

    Attributes:
        warped: R pictures B 3 H W, moved to the target; the last is the source.
        reduced: B 3 h w, the last of them at the network's size.
        detail: B 3 H W, what the source has beyond the renderer's own sharpness, if anything.
        seen: B hidden h w, what the correction's first layer makes of all this, if there is one.
    """

    warped: Sequence[Tensor]
    reduced: Tensor
    detail: Tensor | None
    seen: Tensor | None


class ImageFusion(nn.Module):
    """Blends a rendered picture and warped references by a softmax of maps."""

    def __init__(
        self,
        references: int,
        structure_channels: int = 0,
        hidden: int = 0,
        detail: int = 0,
        start: tuple[float, float, float] = (0.0, -1.5, 1.0),
    ) -> None:
        """Start out biased towards the source, which is the last reference.

        Args:
            references: how many there are, R.
            structure_channels: of the structure guidance, C.
            hidden: channels of the network that corrects the renderer's output; 0 for none.
            detail: keep, where the rendered picture is blended in, the detail that the warped
                source has beyond so many times the network's size; 0 keeps none.
            start: logits at the start of the rendered picture, previous frames and source.
        """
        super().__init__()
        rendered, previous, source = start
        outputs = 3 + references + 1
        self.detail = detail
        # Output channels of the renderer: a correction of the picture, and R + 1 logits of shares.
        self.correct = None
        if hidden:
            # It sees that output, the warped references, and the structures of target and source.
            inputs = outputs + 3 * references + 2 * structure_channels
            self.correct = nn.Sequential(
                nn.Conv2d(inputs, hidden, 3, padding=1),
                Res(hidden),
                Res(hidden),
                Out(hidden, outputs),
            )
        # Shares begin with the source, which is right where little moves.
        self.bias = nn.Parameter(torch.tensor([rendered, *[previous] * (references - 1), source]))

    @property
    def maps(self) -> int:
        """How many channels the renderer adds for the shares: R + 1."""
        return len(self.bias)

    def bring(
        self,
        images: Sequence[Tensor],
        flows: Sequence[Tensor],
        scale: int,
        structures: Sequence[Tensor] = (),
    ) -> Brought:
        """What waits for no renderer: the references, moved to the target.

        Args:
            images: R references, B 3 H W.
            flows: R flows, B 2 H W in pixels of the references.
            scale: how many times larger they are than what the renderer gives, B . h w.
            structures: of the target and, warped, of the source, B C h w; for ``correct``.
        """
        # At the picture's size, and at the network's; the last is the source.
        warped = [warp(image.float(), flow) for image, flow in zip(images, flows, strict=True)]
        reduced = [F.avg_pool2d(image, scale) for image in warped]
        seen = None
        if self.correct is not None:
            # The first layer sums over channels: those that are known, without the renderer's.
            first = self._first()
            known = join([*reduced, *structures])
            seen = F.conv2d(known, first.weight[:, -known.shape[1] :], first.bias, padding=1)
        return Brought(warped, reduced[-1], self._detail(warped[-1], scale), seen)

    def forward(self, output: Tensor, brought: Brought) -> Fused:
        """Blend.

        Args:
            output: B (3 + R + 1) h w of the renderer: correction, then share logits.
            brought: of ``bring``.
        """
        if self.correct is not None and brought.seen is not None:
            # The rest of the first layer's sum, and the layers behind it.
            own = self._first().weight[:, : output.shape[1]]
            hidden = F.conv2d(output, own, padding=1) + brought.seen
            for layer in self.correct[1:]:
                hidden = layer(hidden)
            output = output + hidden
        # One map after another in memory from here on, as the pictures have them.
        output = output.float().contiguous()
        # The correction lies in -2..2, the distance from black to white, with slope 1 at 0.
        rendered = brought.reduced + 2 * torch.tanh(output[:, :3] / 2)
        # Shares are interpolated before their softmax, so that they sum to 1 at the full size, too.
        size = brought.warped[-1].shape[-2:]
        logits = output[:, 3:] + self.bias.view(1, -1, 1, 1)
        shares = _resize(logits, size).softmax(1)
        # The blend: equation 10 with more than one reference.
        picture = _resize(rendered, size)
        if brought.detail is not None:
            picture = picture + brought.detail
        picture = shares[:, :1] * picture
        for index, image in enumerate(brought.warped, start=1):
            picture = torch.addcmul(picture, shares[:, index : index + 1], image)
        return Fused(picture.clamp(-1, 1), rendered, shares)

    def _first(self) -> nn.Conv2d:
        assert self.correct is not None
        first = self.correct[0]
        assert isinstance(first, nn.Conv2d)
        return first

    def _detail(self, source: Tensor, scale: int) -> Tensor | None:
        """What the warped source has beyond the size up to which the renderer was trained."""
        # How many times finer the source is than ``detail`` times the network's size.
        beyond = scale // self.detail if self.detail else 1
        if beyond <= 1:
            return None
        return source - _resize(F.avg_pool2d(source, beyond), source.shape[-2:])


def _resize(maps: Tensor, size: torch.Size) -> Tensor:
    if maps.shape[-2:] == size:
        return maps
    # One map after another: of three channels at once PyTorch makes half as many a second.
    apart = maps.flatten(0, 1)[:, None]
    larger = F.interpolate(apart, size=size, mode="bilinear", align_corners=False)
    return larger.view(*maps.shape[:2], *size)
