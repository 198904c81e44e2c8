"""Structure guidance for faces: 16 channels drawn from the 68 iBUG landmarks.

Channel 0 holds edges in [0, 1], channels 1-14 one distance map per edge list in [0, 1], channel 15
the part label 0..6 of every pixel.

There are two styles, which differ by a pixel here and there. "published" is what the published face
model was trained with: landmarks are cut to whole pixels first, and the forehead's line is where
the ends of the jaw put it. "default" is what our own models were trained with: landmarks as they
are, and that line on a whole pixel. ``face_style`` tells which of them a checkpoint wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from gfla.errors import GflaError, check_choice

Style = Literal["default", "published"]
CHANNELS = 16
LANDMARKS = 68
LABELS = 15
"""Index of the label channel."""

_FOREHEAD = tuple(range(68, 83))
_PARTS: tuple[tuple[int, tuple[tuple[int, ...], ...]], ...] = (
    (1, ((*range(17), *_FOREHEAD, 0),)),  # jaw and forehead, closed
    (2, (tuple(range(17, 22)),)),  # right brow
    (2, (tuple(range(22, 27)),)),  # left brow
    (3, ((28, 31), tuple(range(31, 36)), (35, 28))),  # nose
    (4, ((36, 37, 38, 39), (39, 40, 41, 36))),  # right eye
    (4, ((42, 43, 44, 45), (45, 46, 47, 42))),  # left eye
    (5, (tuple(range(48, 55)), (54, 55, 56, 57, 58, 59, 48))),  # mouth
    (6, ((60, 61, 62, 63, 64), (64, 65, 66, 67, 60))),  # inner mouth
)
"""Label and edge lists of every part, in drawing order."""


def _arcs() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Point triples of all arcs, and the edge list that each belongs to.

    A list is drawn through successive triples that share an end; where only two points are left,
    the middle one repeats the last, which makes a straight line.
    """
    triples, owners = [], []
    lists = [edges for _, part in _PARTS for edges in part]
    for owner, edges in enumerate(lists):
        for first in range(0, len(edges) - 1, 2):
            arc = edges[first : first + 3]
            triples.append((arc[0], arc[1], arc[-1]))
            owners.append(owner)
    return np.array(triples), np.array(owners)


_TRIPLES, _OWNERS = _arcs()
_LISTS = int(_OWNERS.max()) + 1


def face_style(info: Mapping[str, Any]) -> Style:
    """The style that a checkpoint wants: ``info["drawing"]``.

    Without it, a checkpoint that was trained here (which says how large its structures were) wants
    the default, and a published one the published style: imports of earlier versions say only that
    it wants the edges of the background.

    Raises:
        GflaError: ``bad_checkpoint`` for a style that is none.
    """
    published = info.get("background_edges") is True or "structure_size" not in info
    style: Style = info.get("drawing", "published" if published else "default")
    if style not in get_args(Style):
        allowed = ", ".join(get_args(Style))
        raise GflaError("bad_checkpoint", f"its drawing is {style!r}; allowed: {allowed}")
    return style


def face_structure(
    landmarks: NDArray[np.floating],
    size: int,
    picture: NDArray[np.uint8] | None = None,
    style: Style = "default",
) -> NDArray[np.float32]:
    """Draw the structure guidance of one frame.

    Args:
        landmarks: 68 x 2, pixels (x, y) of a ``size`` x ``size`` picture; they may lie outside.
        size: side of the structure in pixels; the published model's is 256.
        picture: size x size x 3, RGB; its Canny edges outside the face join channel 0. They belong
            to the picture they are taken from, so leave them out when animating another one.
        style: see this module.

    Returns:
        16 x size x size.

    Raises:
        GflaError: ``invalid_landmarks`` if the landmarks are not 68 finite points,
            ``invalid_config`` for an unknown style.
    """
    check_choice("style", style, get_args(Style))
    landmarks = np.asarray(landmarks)
    if landmarks.shape != (LANDMARKS, 2) or not np.isfinite(landmarks).all():
        raise GflaError(
            "invalid_landmarks", f"got {landmarks.shape}; allowed: 68 x 2 finite values"
        )
    # Points far outside are drawn like those at the limit, in bounded time.
    if style == "published":
        landmarks = np.trunc(landmarks)
    points = np.clip(with_forehead(landmarks, style), -4 * size, 5 * size)
    structure = np.empty((CHANNELS, size, size), np.float32)
    # Distance maps: from every pixel to the nearest of an edge list.
    xs, ys, owners = _rasterise(points, size)
    blank = np.full((_LISTS, size, size), 255, np.uint8)
    blank[owners, ys, xs] = 0
    for index in range(_LISTS):
        distance = cv2.distanceTransform(blank[index], cv2.DIST_L1, 3)
        # Whole steps of 1 / 255, as the published data were stored.
        structure[1 + index] = np.minimum(distance / 3, 255).astype(np.uint8) / np.float32(255)
    # Edges and labels.
    structure[0] = 0
    structure[0, ys, xs] = 1
    structure[LABELS] = _labels(points, size)
    if picture is not None:
        background = background_edges(picture, structure[LABELS])
        both = (structure[0] * background).astype(bool)
        structure[0] = np.maximum(structure[0], background)
        if style == "published":  # bytes were added there, and 255 + 255 is 254
            structure[0, both] = np.float32(254) / np.float32(255)
    return structure


def with_forehead(
    landmarks: NDArray[np.floating], style: Style = "default"
) -> NDArray[np.floating]:
    """68 landmarks and 15 forehead points: the jaw mirrored above the line of its ends.

    Published landmarks are whole pixels, and so are the forehead points; their line may lie between
    two rows of pixels.
    """
    jaw = landmarks[1:16][::-1].copy()
    base = (landmarks[0, 1] + landmarks[16, 1]) / 2
    if style == "default":
        base = np.floor(base)
    # Two thirds as high as the jaw is deep.
    jaw[:, 1] = base + np.floor((base - jaw[:, 1]) * 2 / 3)
    if style == "published":
        jaw = np.trunc(jaw)
    return np.concatenate([landmarks, jaw])


def background_edges(
    picture: NDArray[np.uint8], labels: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Canny edges (sigma 1) of the grey picture where no face part lies: H x W of 0 and 1."""
    from skimage import feature

    edges = feature.canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), sigma=1)
    return (edges & (labels == 0)).astype(np.float32)


def _rasterise(
    points: NDArray[np.floating], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of all arcs at once: columns, rows and the edge list of each.

    Every arc is the parabola through its three points over the longer of its two extents, sampled
    at whole steps. Arcs that bend more sharply than a quadratic coefficient of 1 are left out.
    """
    # Along the longer extent, from left to right: steep arcs change x and y, some their ends.
    arcs = points[_TRIPLES].astype(np.float64)
    strides = np.abs(np.diff(arcs, axis=1)).max(1)
    steep = strides[:, 0] < strides[:, 1]
    arcs[steep] = arcs[steep][:, :, ::-1]
    backwards = arcs[:, 0, 0] > arcs[:, 2, 0]
    arcs[backwards] = arcs[backwards][:, ::-1]
    # A pixel a step, as many as the extent has whole ones.
    curve, slope, offset, drawn = _parabolas(arcs)
    start, length = arcs[:, 0, 0], arcs[:, 2, 0] - arcs[:, 0, 0]
    counts = np.where(drawn, length, 0).astype(np.int64)
    steps = np.arange(max(int(counts.max()), 1))
    inside = steps < counts[:, None]
    across = start[:, None] + steps * (length / np.maximum(counts - 1, 1))[:, None]
    # Horner's scheme.
    relative = across - start[:, None]
    along = offset[:, None] + relative * (slope[:, None] + relative * curve[:, None])
    across, along = across.astype(np.int64), along.astype(np.int64)
    columns = np.where(steep[:, None], along, across)[inside].clip(0, size - 1)
    rows = np.where(steep[:, None], across, along)[inside].clip(0, size - 1)
    return columns, rows, np.broadcast_to(_OWNERS[:, None], inside.shape)[inside]


def _parabolas(arcs: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Quadratic, linear and constant coefficients about each arc's first abscissa.

    Last, whether the arc is to be drawn: it is no function of its abscissa, or bends too sharply,
    otherwise.
    """
    # Through (0, y0), (middle, y1), (last, y2): a chord, and what bends away from it.
    x, y = arcs[:, :, 0] - arcs[:, :1, 0], arcs[:, :, 1]
    middle, last = x[:, 1], x[:, 2]
    straight = (_TRIPLES[:, 1] == _TRIPLES[:, 2]) | (middle * (middle - last) == 0)
    rise = y[:, 2] - y[:, 0]
    chord = np.divide(rise, last, out=np.zeros_like(rise), where=last > 0)
    area = np.where(straight, 1.0, middle * (middle - last))
    curve = np.where(straight, 0.0, (y[:, 1] - y[:, 0] - chord * middle) / area)
    drawn = np.abs(curve) <= 1
    curve = np.where(drawn, curve, 0.0)
    return curve, chord - curve * last, y[:, 0], drawn


def _labels(points: NDArray[np.floating], size: int) -> NDArray[np.uint8]:
    labels = np.zeros((size, size), np.uint8)
    for label, part in _PARTS:
        outline = points[[index for edges in part for index in edges]].astype(np.int32)
        cv2.fillPoly(labels, [outline], label)
    return labels
