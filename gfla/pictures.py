"""Pictures of what happens inside the networks (paper, figures 6 and B.11).

Everything takes tensors of one item, without the batch, and gives uint8 H W 3 RGB pictures. Nothing
here knows a model, so every generator's flows, masks and attention kernels can be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from gfla.arrays import Picture
from gfla.errors import GflaError
from gfla.models.attention import LocalAttention
from gfla.ops.ranges import to_bytes
from gfla.ops.warp import upscale_flow, warp
from gfla.shapes import shape_of

Colour = tuple[int, int, int]
Key = TypeVar("Key")

_HEAT = cv2.COLORMAP_VIRIDIS
"""Evenly spaced to the eye, and readable by those who do not see all colours."""


def to_picture(image: Tensor, truncated: bool = False) -> Picture:
    """An image 3 H W in [-1, 1] as a picture; see ``to_bytes``."""
    shape_of("image", image, "3 H W")
    return to_bytes(image.detach(), truncated).permute(1, 2, 0).cpu().numpy()


def flow_scale(flows: Iterable[Tensor], share: float = 0.99) -> float:
    """A length that nearly all vectors of some flow fields keep below, to draw them alike.

    Args:
        flows: 2 h w each, in the same pixels.
        share: of the vectors that may be no longer; a few outliers then do not pale all others.

    Returns:
        Pixels, above 0.
    """
    lengths = torch.cat([flow.detach().float().norm(dim=0).flatten().cpu() for flow in flows])
    return max(float(lengths.quantile(share)), 1e-3)


def flow_picture(flow: Tensor, scale: float) -> Picture:
    """A flow field in the colours of the wheel: hue is the direction, strength the length.

    Args:
        flow: 2 h w, (x, y).
        scale: length with full colour, in the pixels of ``flow``; longer vectors are drawn as if
            they were this long.

    Raises:
        GflaError: ``invalid_shape``, or ``invalid_value`` if the scale is not above 0.
    """
    from torchvision.utils import flow_to_image  # slow to import

    _, _, width = shape_of("flow", flow, "2 H W")
    if not scale > 0:
        raise GflaError("invalid_value", f"scale is {scale}; allowed: above 0")
    # Vectors of at most length 1, in units of the scale.
    unit = flow.detach().float().cpu() / scale
    unit = unit / unit.norm(dim=0, keepdim=True).clamp(min=1)
    # The library takes the longest vector for its scale: one row more holds a vector of length 1.
    ruler = torch.zeros(2, 1, width)
    ruler[0] = 1
    drawn = flow_to_image(torch.cat([unit, ruler], 1))
    return drawn[:, :-1].permute(1, 2, 0).numpy()


def flow_wheel(size: int, background: Colour = (255, 255, 255)) -> Picture:
    """The legend of ``flow_picture``: each place has the colour of the vector that leads to it.

    The middle is no motion, the rim a vector of the scale's length.
    """
    # Every place's own vector from the middle.
    axis = torch.linspace(-1, 1, size)
    vectors = torch.stack([axis.expand(size, size), axis[:, None].expand(size, size)])
    wheel = flow_picture(vectors, 1)
    # The rim's share of each pixel, so that it looks round.
    cover = ((1 - vectors.norm(dim=0)) * size / 2 + 0.5).clamp(0, 1)[..., None].numpy()
    mixed = cover * wheel + (1 - cover) * np.array(background)
    return np.rint(mixed).astype(np.uint8)


def heat_picture(values: Tensor) -> Picture:
    """A mask, a share or another map h w (or 1 h w) of 0..1 as a heat map; see ``heat_bar``."""
    plane = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    shape_of("values", plane, "H W")
    levels = (plane.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    return _heat_colours(levels)


def heat_bar(width: int, height: int) -> Picture:
    """The legend of ``heat_picture``: 0 at the left edge, 1 at the right."""
    levels = np.linspace(0, 255, width).round().astype(np.uint8)
    return _heat_colours(np.repeat(levels[None], height, 0))


def warped_picture(image: Tensor, flow: Tensor) -> Picture:
    """A reference picture warped by the flow of some layer (figure B.11).

    Args:
        image: 3 H W in [-1, 1].
        flow: 2 h w, in pixels of its layer; H and W are the same whole multiple of h and w.
    """
    _, height, width = shape_of("image", image, "3 H W")
    _, rows, columns = shape_of("flow", flow, "2 h w")
    factor = max(height // rows, 1)
    if (height, width) != (factor * rows, factor * columns):
        allowed = "a whole multiple of the flow's sides"
        raise GflaError("invalid_shape", f"image is {tuple(image.shape)}; allowed: {allowed}")
    full = upscale_flow(flow.detach().float()[None], factor)
    return to_picture(warp(image.detach().float()[None], full)[0])


def attention_heat(weights: Tensor, flow: Tensor, cells: Sequence[tuple[int, int]]) -> Tensor:
    """Where in the source the attention of some target locations lands (figure 6).

    The k x k weights of a target location ``l`` belong to places around ``l + flow(l)``, which
    lie between the source's locations: each weight is spread over its four bilinear neighbours,
    and what lies outside the source falls on its border, as in ``ops.local_attention.gather``.

    Args:
        weights: k*k h w of ``LocalAttention.weights``.
        flow: 2 h w, (x, y), in pixels of the layer.
        cells: row and column of each of the N target locations.

    Returns:
        N h w, float64 on the CPU; each map sums to what its weights sum to, 1.

    Raises:
        GflaError: ``invalid_shape``, or ``invalid_value`` for a cell outside the map.
    """
    # The kernel's steps from its middle.
    area, height, width = shape_of("weights", weights, "K H W")
    shape_of("flow", flow, "2 H W", H=height, W=width)
    kernel = math.isqrt(area)
    if kernel**2 != area or area % 2 == 0:
        raise GflaError("invalid_shape", f"weights has {area} maps; needs an odd square")
    steps = torch.arange(kernel, dtype=torch.float64) - kernel // 2
    heat = torch.zeros(len(cells), height, width, dtype=torch.float64)
    for index, (row, column) in enumerate(cells):
        if not (0 <= row < height and 0 <= column < width):
            message = f"cell is {(row, column)}; allowed: rows below {height}, columns {width}"
            raise GflaError("invalid_value", message)
        # The kernel around ``l + flow(l)``, rows and columns apart: shares are products.
        x, y = flow[:, row, column].detach().cpu().double().tolist()
        share = weights[:, row, column].detach().cpu().double().view(kernel, kernel)
        down = _bilinear(row + y + steps, height)
        across = _bilinear(column + x + steps, width)
        heat[index] = down.T @ share @ across
    return heat


def attention_picture(picture: Picture, heat: Tensor, colours: Sequence[Colour]) -> Picture:
    """Attention kernels over the picture that they attend to, each in a colour of its own.

    The picture is greyed; each map is drawn opaque where it is largest. A map's locations are
    drawn as they are, as squares.

    Args:
        picture: H W 3.
        heat: N h w, not negative.
        colours: of the N maps.
    """
    count, _, _ = shape_of("heat", heat, "N h w")
    if count != len(colours):
        raise GflaError("invalid_shape", f"heat has {count} maps and {len(colours)} colours")
    height, width = picture.shape[:2]
    # The picture in light grey, so that every colour shows.
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    drawn = 255 - 0.75 * (255 - np.asarray(grey, np.float64))
    for plane, colour in zip(heat.detach().cpu().double().numpy(), colours, strict=True):
        # Each map in units of its own maximum.
        peak = plane.max()
        share = plane / peak if peak > 0 else plane
        share = cv2.resize(share, (width, height), interpolation=cv2.INTER_NEAREST)[..., None]
        drawn = (1 - share) * drawn + share * np.array(colour)
    return np.rint(drawn).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class AttentionKernels:
    """The attention of one call of a local attention block.

    Attributes:
        block: the block's name in the network.
        weights: B k*k h w, summing to 1.
        flow: B 2 h w, in pixels of the layer.
    """

    block: str
    weights: Tensor
    flow: Tensor


@contextmanager
def record_attention(network: nn.Module) -> Iterator[list[AttentionKernels]]:
    """Record the attention kernels of all that a network renders within the context.

    The kernels are computed once more for it; what the network gives is not changed.

    Yields:
        A list that grows by one entry with each call of a ``LocalAttention``, in order.
    """
    recorded: list[AttentionKernels] = []
    hooks = [
        module.register_forward_hook(partial(_record, recorded, name))
        for name, module in network.named_modules()
        if isinstance(module, LocalAttention)
    ]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def kernels_by_reference(
    recorded: Sequence[AttentionKernels], flows: Mapping[Key, Tensor]
) -> dict[Key, AttentionKernels]:
    """The kernels of one step under the keys of its ``Prediction.flows``: (layer, reference).

    A reference without a local attention block, as in the ablations, has no entry.

    Raises:
        GflaError: ``invalid_value`` if some kernels are not of the step with these flows.
    """
    # The flow that a kernel was used with tells which reference it is of.
    left = list(recorded)
    named = {}
    for key, flow in flows.items():
        index = next((i for i, k in enumerate(left) if torch.equal(k.flow, flow.detach())), None)
        if index is not None:
            named[key] = left.pop(index)
    if left:
        blocks = ", ".join(kernels.block for kernels in left)
        raise GflaError("invalid_value", f"these kernels belong to other flows: {blocks}")
    return named


def _record(
    recorded: list[AttentionKernels],
    name: str,
    module: LocalAttention,
    inputs: tuple[Any, ...],
    output: Tensor,
) -> None:
    target, source, flow = inputs
    with torch.no_grad():
        weights = module.weights(target, source, flow)
    recorded.append(AttentionKernels(name, weights.detach(), flow.detach()))


def _bilinear(positions: Tensor, size: int) -> Tensor:
    """Shares of ``size`` locations in samples at N positions, border continued: N size."""
    corner = positions.floor()
    fraction = positions - corner
    shares = torch.zeros(len(positions), size, dtype=positions.dtype)
    for step, part in ((0, 1 - fraction), (1, fraction)):
        index = (corner + step).clamp(0, size - 1).long()
        shares.scatter_add_(1, index[:, None], part[:, None])
    return shares


def _heat_colours(levels: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, _HEAT), cv2.COLOR_BGR2RGB), np.uint8)
