"""Boxes that a network finds on a grid of anchors, each with a few points, put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_LOGIT = 80.0
"""Beyond it a score's exponential is of no meaning."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One thing that was found.

    Attributes:
        box: left, top, right, bottom in parts of the picture that the network saw.
        points: K x 2, x and y likewise.
        score: 0 to 1.
    """

    box: NDArray[np.float64]
    points: NDArray[np.float64]
    score: float


def anchors(size: int, grids: tuple[tuple[int, int], ...]) -> NDArray[np.float64]:
    """The middles of a network's cells, N x 2 in parts of the picture, in its order.

    Args:
        size: side of the network's input in pixels.
        grids: for each grid in turn its stride in pixels, and how many anchors a cell has.
    """
    found = []
    for stride, count in grids:
        middles = (np.arange(size // stride) + 0.5) * stride / size
        y, x = np.meshgrid(middles, middles, indexing="ij")
        found.append(np.repeat(np.stack([x.ravel(), y.ravel()], -1), count, 0))
    return np.concatenate(found)


def detections(
    places: NDArray[np.floating],
    logits: NDArray[np.floating],
    middles: NDArray[np.float64],
    size: int,
    least: float,
    overlap: float = 0.3,
) -> list[Detection]:
    """What a network found, the surest first; answers that overlap are averaged by their scores.

    Args:
        places: N x (4 + 2 K): middle, width and height of a box, then its points, all in pixels,
            middles and points from the anchor's.
        logits: N, of the scores.
        middles: N x 2, as `anchors`.
        size: side of the network's input in pixels.
        least: score below which an answer is none.
        overlap: of boxes that are one thing's, from 0 to 1.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -_MOST_LOGIT, _MOST_LOGIT).astype(np.float64)))
    chosen = np.flatnonzero(scores >= least)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    scores = scores[chosen]
    # Boxes by their corners, and points, in parts of the picture.
    places = places[chosen].astype(np.float64) / size
    centre, half = places[:, :2] + middles[chosen], places[:, 2:4] / 2
    points = (
        places[:, 4:].reshape(len(chosen), (places.shape[1] - 4) // 2, 2) + middles[chosen][:, None]
    )
    boxes = np.concatenate([centre - half, centre + half], -1)
    found = []
    left = np.ones(len(chosen), np.bool_)
    for best in range(len(chosen)):
        if left[best]:
            same = left & (overlaps(boxes[best], boxes) > overlap)
            same[best] = True
            left &= ~same
            share = scores[same] / scores[same].sum()
            box = np.tensordot(share, boxes[same], 1)
            found.append(Detection(box, np.tensordot(share, points[same], 1), float(scores[best])))
    return found


def overlaps(box: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Common area of a box and each of N boxes, in parts of the area of both."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.maximum(high - low, 0), -1)
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), -1)
    own = np.prod(np.maximum(box[2:] - box[:2], 0))
    return np.asarray(common / np.maximum(areas + own - common, 1e-12), np.float64)
