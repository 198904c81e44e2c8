"""Sampling through a Gaussian window, whose gradient sees further than a bilinear sample's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.errors import GflaError
from gfla.ops.warp import at_least_float32, pixel_grid
from gfla.shapes import shape_of

WINDOW, SIGMA = 4, 2.0
"""Side of the published window in pixels, and the width of its Gaussian."""


def gaussian_sample(
    image: Tensor, flow: Tensor, window: int = WINDOW, sigma: float = SIGMA
) -> Tensor:
    """Warp a map by a flow field, every sample a Gaussian mean around the flowed position.

    Args:
        image: B C H W.
        flow: B 2 h w, channel order (x, y), in pixels of ``image``; any finite values.
        window: side of the square of pixels around ``l + flow(l)`` that are averaged, even.
        sigma: in pixels of ``image``.

    Returns:
        B C h w, float32 or float64. The weights of a window sum to 1; pixels outside the map are
        its border pixels. There is a small step where the window moves on to the next pixels.

    Raises:
        GflaError: ``invalid_shape``, or ``invalid_config`` for an odd window or sigma not above 0.
    """
    batch, channels, height, width = shape_of("image", image, "B C H W")
    _, _, rows, columns = shape_of("flow", flow, "B 2 h w", B=batch)
    if window < 2 or window % 2 or sigma <= 0:
        message = f"window {window} and sigma {sigma}; needs an even window and sigma above 0"
        raise GflaError("invalid_config", message)
    image = at_least_float32(image)
    positions = flow.to(image.dtype) + pixel_grid(rows, columns, image)
    # A window this far outside holds border pixels alone; clamping keeps indices representable.
    limit = positions.new_tensor([width + window, height + window]).view(1, 2, 1, 1)
    positions = torch.minimum(positions.clamp(min=-window), limit)
    # Weights: a Gaussian of the distance along each axis; a side of 4 spans corner - 1 to + 2.
    corner = positions.detach().floor()
    steps = torch.arange(window, device=image.device) + 1 - window // 2
    distances = (corner - positions)[..., None] + steps
    along = torch.exp(-(distances**2) / (2 * sigma**2))
    along = along / along.sum(-1, keepdim=True)
    weights = along[:, 1, ..., :, None] * along[:, 0, ..., None, :]

    # Rows of the window's pixels in one table of all pictures, indices clamped to the border.
    xs, ys = (corner.long()[..., None] + steps).unbind(1)
    indices = ys.clamp(0, height - 1)[..., :, None] * width + xs.clamp(0, width - 1)[..., None, :]
    offsets = torch.arange(batch, device=image.device) * (height * width)
    indices = indices.flatten(1) + offsets[:, None]
    # Without contiguous rows embedding_bag leaves its fast path.
    table = image.permute(0, 2, 3, 1).reshape(-1, channels).contiguous()
    sampled = F.embedding_bag(
        indices.view(-1, window**2),
        table,
        mode="sum",
        per_sample_weights=weights.reshape(-1, window**2),
    )
    return sampled.view(batch, rows, columns, channels).permute(0, 3, 1, 2)
