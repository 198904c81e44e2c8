"""The square around a face that moves through a video: it follows calmly, and stays in its shot."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.faces.crop import Square, crop_square, face_square, resize, whole_square
from gfla.arrays import Picture, Points

Floats = NDArray[np.float64]

SPANS = (0.6, 0.3, 0.15, 0.08)
"""Seconds over which a square's way is evened out: the first in which no face comes near the
border, so that it is calm where the face is, and quick where that is quick."""
FREE = 0.06
"""Width of the border, in units of the side, that the face keeps free."""
_LEAST = 10  # percent of the frames that may have less room around them
_REACH = 3.0  # spans to each side; what is further away counts nothing


def follow_squares(
    points: Points, seconds: NDArray[np.floating], shots: Iterable[slice], *, whole: bool
) -> Floats:
    """The square of every frame, N x 3: centre and side as `Square` has them.

    Args:
        points: N x 68 x 2 pixels.
        seconds: N, times of the frames, rising.
        shots: stretches of frames; each has a way of its own.
        whole: whether squares lie on whole pixels, as `whole_square` gives them.
    """
    squares = np.array([face_square(one) for one in points], np.float64)
    for shot in shots:
        squares[shot] = _calm(squares[shot], points[shot], np.asarray(seconds[shot], np.float64))
    if whole:
        squares = np.array([_on_pixels(Square(*one)) for one in squares.tolist()], np.float64)
    return squares


def _on_pixels(square: Square) -> tuple[float, float, float]:
    left, top, side = whole_square(square)
    return left + side / 2, top + side / 2, float(side)


def _calm(squares: Floats, points: Points, seconds: Floats) -> Floats:
    """The squares of one shot, evened out as far as the face allows."""
    way = np.column_stack([squares[:, :2], np.log(squares[:, 2])])
    for span in SPANS:
        found = _evened(way, seconds, span)
        calm = np.column_stack([found[:, :2], np.exp(found[:, 2])])
        off = np.abs(points - calm[:, None, :2]).max((1, 2))
        if (off <= (0.5 - FREE) * calm[:, 2]).all():
            return calm
    return squares


def _evened(way: Floats, seconds: Floats, span: float) -> Floats:
    """At each time the value of the line that fits best around it, so that no end lags behind."""
    found = np.empty_like(way)
    first = np.searchsorted(seconds, seconds - _REACH * span)
    last = np.searchsorted(seconds, seconds + _REACH * span, "right")
    for index, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        away = (seconds[start:stop] - seconds[index]) / span
        weight = np.exp(-0.5 * away**2)
        total, slope, spread = weight.sum(), weight @ away, weight @ away**2
        inverse = total * spread - slope**2
        share = weight / total
        if inverse > 1e-9 * total**2:
            share = weight * (spread - slope * away) / inverse
        found[index] = share @ way[start:stop]
    return found


def room_around(
    squares: Floats, width: int, height: int
) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """One square in one picture that has, on each side, as much room as nearly all frames have.

    Args:
        squares: N x 3, of the frames of a video.
        width: of its frames in pixels.
        height: likewise.

    Returns:
        Left and top edge and side of the square, and width and height of the picture, in pixels
        of frames in which the face is as large as it mostly is.
    """
    side = float(np.median(squares[:, 2]))
    corner = squares[:, :2] - squares[:, 2:] / 2
    before = corner / squares[:, 2:] * side
    after = (np.array([width, height]) - corner - squares[:, 2:]) / squares[:, 2:] * side
    rooms = np.percentile(np.concatenate([before, after], 1), _LEAST, axis=0)
    left, top, right, bottom = np.floor(rooms).astype(int).tolist()
    own = max(round(side), 1)
    return (left, top, own), (left + own + right, top + own + bottom)


def cut_square(image: Picture, square: Square, size: int) -> Picture:
    """As `crop_square`, but exactly where the square lies, between pixels, too."""
    cx, cy, side = square
    left, top = cx - side / 2, cy - side / 2
    if left.is_integer() and top.is_integer() and float(side).is_integer():
        return crop_square(image, square, size)
    # A whole multiple of the size that leaves no pixel out; it is then averaged.
    fine = size * max(1, int(np.ceil(side / size)))
    step = side / fine
    # From pixels of the result to those of the picture: both count from their centres.
    matrix = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(image, matrix, (fine, fine), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return resize(np.asarray(cut, np.uint8), size, size)


def in_square_units(points: Points, squares: Floats) -> NDArray[np.float32]:
    """Points ... x 68 x 2 of pictures in units of squares ... x 3 of them, as `in_units`."""
    place = np.asarray(squares, np.float64)[..., None, :]
    corner = place[..., :2] - place[..., 2:] / 2
    return ((points + 0.5 - corner) / place[..., 2:]).astype(np.float32)
