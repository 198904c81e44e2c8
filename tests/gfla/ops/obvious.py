"""The Gaussian sample as one would write it down."""

from __future__ import annotations

import math

import torch


def obvious_gaussian(image, flow, window, sigma):
    """One location after the other, one pixel of its window after the other."""
    batch, channels, height, width = image.shape
    result = torch.zeros(batch, channels, *flow.shape[2:], dtype=image.dtype)
    for b, y, x in torch.cartesian_prod(*map(torch.arange, (batch, *flow.shape[2:]))).tolist():
        at_x, at_y = (x + flow[b, 0, y, x]).item(), (y + flow[b, 1, y, x]).item()
        total = 0.0
        for row in range(math.floor(at_y) - window // 2 + 1, math.floor(at_y) + window // 2 + 1):
            for column in range(
                math.floor(at_x) - window // 2 + 1, math.floor(at_x) + window // 2 + 1
            ):
                weight = math.exp(-((row - at_y) ** 2 + (column - at_x) ** 2) / (2 * sigma**2))
                pixel = image[b, :, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                result[b, :, y, x] += weight * pixel
                total += weight
        result[b, :, y, x] /= total
    return result
