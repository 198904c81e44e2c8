"""Conversions of ranges: bytes to [-1, 1] and back, and a smooth step from 0 to 1."""

from __future__ import annotations

from torch import Tensor


def from_bytes(pictures: Tensor) -> Tensor:
    """uint8 pictures as the networks see them: floats in [-1, 1]."""
    return pictures.float() / 127.5 - 1


def to_bytes(images: Tensor, truncated: bool = False) -> Tensor:
    """Images in [-1, 1] as uint8; what lies outside the range is clipped.

    Args:
        images: of any shape.
        truncated: cut the fraction off, as the published code does, rather than round.
    """
    if truncated:  # in the published order of operations, as a last bit decides here
        return ((images.float() + 1) / 2 * 255).clamp(0, 255).byte()
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte()


def smooth_step(share: Tensor) -> Tensor:
    """Shares 0..1 with level ends: 3 x^2 - 2 x^3, so that no edge shows where a share begins."""
    return share * share * (3 - 2 * share)
