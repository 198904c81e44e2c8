"""Sampling correctness: whether a flow leads to what the target shows (section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.errors import GflaError, check_choice
from gfla.losses.features import select
from gfla.ops.gaussian import gaussian_sample
from gfla.ops.warp import at_least_float32, pixel_grid, warp
from gfla.shapes import shape_of

Sampling = Literal["gaussian", "bilinear", "published-bilinear"]
MAX_MEBIBYTES = 16.0
"""On CPU no slower than more, which no longer fits into caches; enough rows for a GPU."""
CORRECTNESS_LAYERS = {1: "relu2_1", 2: "relu3_1", 3: "relu4_1", 4: "relu5_1"}
"""Layer of a flow, and the VGG activation of that size; the published models use 2 and 3."""
_SMALLEST_MAXIMUM = 1e-3
"""Below it no source location resembles the target's; a quotient would say nothing, steeply."""
_NOTHING = 1e-8
"""What a mask without any pixel counts as."""


def sampling_correctness(
    flow: Tensor,
    source: Tensor,
    target: Tensor,
    sampling: Sampling = "gaussian",
    max_mebibytes: float = MAX_MEBIBYTES,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean over locations of exp(-mu / mu_max), less exp(-1) (equation 2).

    mu is the cosine similarity of the warped source feature and the target's; mu_max is the
    largest one that any source location would give, so that occlusion does not count.

    Args:
        flow: B 2 H W in pixels, (x, y).
        source: B C H W, features after a ReLU; a constant, as are the target's.
        target: B C H W.
        sampling: how the source is warped: through a 4 x 4 Gaussian window as published, or
            bilinearly (its border continued), or bilinearly as published: along a flow that is
            shortened to (W - 1) / W and (H - 1) / H, with zeros outside of the map.
        max_mebibytes: see ``cosine_maxima``.
        mask: B 1 h w in 0..1 at any size, resized to the nearest: where it counts; the mean is then
            the weighted one, 0 for a mask without any pixel. None counts everywhere.

    Returns:
        A scalar in float32 or float64: about 0 where the best matches are sampled, 0.63 where
        nothing fits. Gradients go to the flow alone.

    Raises:
        GflaError: ``invalid_shape`` or ``invalid_config``.
    """
    batch, channels, height, width = shape_of("source", source, "B C H W")
    shape_of("target", target, "B C H W", B=batch, C=channels, H=height, W=width)
    shape_of("flow", flow, "B 2 H W", B=batch, H=height, W=width)
    check_choice("sampling", sampling, get_args(Sampling))
    # Cosine similarity of what the flow fetches and what is there: mu.
    source, target = at_least_float32(source.detach()), at_least_float32(target.detach())
    samplers = {"gaussian": gaussian_sample, "bilinear": warp, "published-bilinear": _published}
    warped = samplers[sampling](source, flow)
    similarity = (F.normalize(warped, dim=1) * F.normalize(target, dim=1)).sum(1)
    # Divided by the best that any place of the source could give: mu_max.
    maxima = cosine_maxima(source, target, max_mebibytes).clamp(min=_SMALLEST_MAXIMUM)
    # exp(-1) is the least: mu = mu_max everywhere.
    excess = torch.exp(-similarity / maxima) - math.exp(-1)
    if mask is None:
        return excess.mean()
    shape_of("mask", mask, "B 1 h w", B=batch)
    counted = F.interpolate(mask.to(excess.dtype), (height, width))[:, 0]
    return (counted * excess).sum() / (counted.sum() + _NOTHING)


def _published(source: Tensor, flow: Tensor) -> Tensor:
    """Samples along a flow B 2 H W as the published loss takes them, see ``sampling_correctness``.

    The published code divides a flow in pixels by half the size, where its grid from the first
    pixel's centre to the last one's is a pixel shorter; beyond the grid there is nothing.
    """
    _, _, height, width = source.shape
    size = flow.new_tensor([width, height]).view(1, 2, 1, 1)
    places = pixel_grid(height, width, flow) + flow * ((size - 1) / size)
    grid = 2 * places / (size - 1).clamp(min=1) - 1
    return F.grid_sample(source, grid.permute(0, 2, 3, 1).to(source.dtype), align_corners=True)


@torch.no_grad()
def cosine_maxima(source: Tensor, target: Tensor, max_mebibytes: float = MAX_MEBIBYTES) -> Tensor:
    """For every target location the best cosine similarity among all source ones (equation 3).

    Args:
        source: B C H W.
        target: B C h w.
        max_mebibytes: of similarities that are held at once, besides the normalised features; one
            row of them (4 H W bytes) is held in any case. All of them would be 64 MiB a picture
            at 64 x 64.

    Returns:
        B h w in -1..1, without gradients. A location without features has 0.

    Raises:
        GflaError: ``invalid_shape``, or ``invalid_config`` for a bound that is not above 0.
    """
    batch, channels, _, _ = shape_of("source", source, "B C H W")
    _, _, height, width = shape_of("target", target, "B C h w", B=batch, C=channels)
    if not max_mebibytes > 0:
        raise GflaError("invalid_config", f"max_mebibytes is {max_mebibytes}; must be above 0")
    ours = F.normalize(at_least_float32(source).flatten(2), dim=1)
    theirs = F.normalize(at_least_float32(target).flatten(2), dim=1).transpose(1, 2)
    row_bytes = ours.shape[-1] * ours.element_size()
    # So many target locations at once against all source locations.
    rows = max(1, int(min(max_mebibytes * 2**20 / row_bytes, height * width)))
    # Autocast would compare in half precision, where neighbours of a maximum are equal to it.
    with torch.autocast(source.device.type, enabled=False):
        maxima = [
            torch.cat([(part @ ours[index]).amax(1) for part in theirs[index].split(rows)])
            for index in range(batch)
        ]
    return torch.stack(maxima).view(batch, height, width)


class SamplingCorrectness(nn.Module):
    """Sum of ``sampling_correctness`` over all flows of a prediction; holds settings only."""

    def __init__(
        self, sampling: Sampling = "gaussian", max_mebibytes: float = MAX_MEBIBYTES
    ) -> None:
        """Keep the settings, see ``sampling_correctness``.

        Raises:
            GflaError: ``invalid_config`` for an unknown sampling.
        """
        super().__init__()
        check_choice("sampling", sampling, get_args(Sampling))
        self.sampling: Sampling = sampling
        self.max_mebibytes = max_mebibytes

    def forward(
        self,
        flows: Mapping[tuple[int, str], Tensor],
        sources: Mapping[str, Mapping[str, Tensor]],
        target: Mapping[str, Tensor],
        mask: Tensor | None = None,
    ) -> Tensor:
        """Judge the flows of all layers to all references.

        Args:
            flows: by (layer, reference) as in a ``Prediction``, each in pixels of its layer.
            sources: by reference, the VGG features of its picture by layer name.
            target: the features of the truth by layer name.
            mask: see ``sampling_correctness``.

        Returns:
            A scalar, the sum over flows.

        Raises:
            GflaError: ``unknown_layer`` where features are missing, or ``invalid_shape``.
        """
        losses = []
        for (layer, reference), flow in flows.items():
            if layer not in CORRECTNESS_LAYERS or reference not in sources:
                message = f"there are no features for the flow of layer {layer} to {reference!r}"
                raise GflaError("unknown_layer", message)
            name = CORRECTNESS_LAYERS[layer]
            # The VGG layer of the flow's own size.
            (source,), (truth,) = select(sources[reference], [name]), select(target, [name])
            losses.append(
                sampling_correctness(flow, source, truth, self.sampling, self.max_mebibytes, mask)
            )
        return torch.stack(losses).sum()


def warped_distance(reference: Tensor, target: Tensor, flow: Tensor) -> Tensor:
    """The same question asked of pixels: L1 of the warped reference, at the flow's size.

    Args:
        reference: B 3 H W.
        target: B 3 H W.
        flow: B 2 h w in pixels of its own size; H is a whole multiple of h.
    """
    factor = reference.shape[-1] // flow.shape[-1]
    small = F.avg_pool2d(reference, factor), F.avg_pool2d(target, factor)
    return F.l1_loss(warp(small[0], flow), small[1])
