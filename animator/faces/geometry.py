"""Similarities of the plane (rotation, uniform scale and shift) fitted to landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gfla.arrays import Points

RIGID = np.concatenate([np.ones(48), np.zeros(20)])
"""Weights of the 68 landmarks for the pose of a head: all but the mouth, which speech moves."""


def to_complex(points: Points) -> NDArray[np.complex128]:
    """Points ... x 2 as complex numbers x + iy, in which a similarity is z -> linear z + offset."""
    points = np.asarray(points, np.float64)
    return points[..., 0] + 1j * points[..., 1]


def to_points(values: NDArray[np.complexfloating]) -> NDArray[np.float64]:
    """The inverse of `to_complex`: complex numbers ... as points ... x 2."""
    return np.stack([values.real, values.imag], axis=-1)


@dataclass(frozen=True, eq=False)
class Similarity:
    """One similarity, or an array of them: z -> linear z + offset with z = x + iy.

    Attributes:
        linear: complex, its magnitude the scale and its angle the rotation (positive turns x
            towards y, so clockwise on a screen).
        offset: complex, of the same shape as `linear`, in pixels.
    """

    linear: NDArray[np.complex128]
    offset: NDArray[np.complex128]

    @property
    def scale(self) -> NDArray[np.float64]:
        """The factor by which lengths grow."""
        return np.abs(self.linear)

    @property
    def angle(self) -> NDArray[np.float64]:
        """The rotation in radians, -pi..pi."""
        return np.angle(self.linear)

    def apply(self, points: Points) -> NDArray[np.float64]:
        """Map points ... x N x 2, where ... is the shape of this array of similarities."""
        moved = self.linear[..., None] * to_complex(points) + self.offset[..., None]
        return to_points(moved)


def fit_similarity(
    source: Points, target: Points, weights: NDArray[np.floating] | None = None
) -> Similarity:
    """The similarity that lays `source` on `target` with the least (weighted) squared distance.

    This is Procrustes analysis without reflection, in closed form: with both sets centred, the
    linear part is the complex regression coefficient of target on source.

    Args:
        source: ... x N x 2.
        target: ... x N x 2, leading axes broadcast with those of `source`.
        weights: N, not negative; all equal when None.

    Returns:
        Similarities of the broadcast leading shape. Where `source` is a single point, whose
        scale cannot be known, the linear part is 1 and only the shift is fitted.
    """
    a, b = to_complex(source), to_complex(target)
    share = np.full(a.shape[-1], 1.0) if weights is None else np.asarray(weights, np.float64)
    share = share / share.sum()
    mean_a = (share * a).sum(-1)
    mean_b = (share * b).sum(-1)
    a0, b0 = a - mean_a[..., None], b - mean_b[..., None]
    spread = (share * np.abs(a0) ** 2).sum(-1)
    product = (share * b0 * a0.conj()).sum(-1)
    spread, product = np.broadcast_arrays(spread, product)
    known = spread > 1e-12
    linear = np.where(known, product / np.where(known, spread, 1.0), 1.0 + 0j)
    return Similarity(linear, mean_b - linear * mean_a)


def face_size(points: Points) -> NDArray[np.floating]:
    """The size of faces ... x 68 x 2 in pixels, by which motion is measured.

    It is 3.2 times the root mean square distance of the landmarks from their middle, about the
    width of the face; unlike the extent it hardly changes when the head turns.
    """
    values = to_complex(points)
    values = values - values.mean(-1, keepdims=True)
    return 3.2 * np.sqrt((np.abs(values) ** 2).mean(-1))
