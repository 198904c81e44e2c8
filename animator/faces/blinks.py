"""Blinks of eyes that no driving video moves.

People who talk blink 15 to 20 times a minute, at intervals that are far from even (Bentivoglio et
al., "Analysis of blink rate patterns in normal subjects", 1997). A lid falls in less than a tenth
of a second and rises in twice that (VanderWerf et al., "Eyelid movements", 2003).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from animator.faces.geometry import to_points
from animator.faces.motion import EYES, seen_from
from gfla.arrays import Points

MEAN_PAUSE, SHORTEST_PAUSE, LONGEST_PAUSE = 3.6, 1.0, 9.0
"""Seconds between blinks."""
TWICE = 0.08
"""How many blinks are followed by another one at once."""
FALL, SHUT, RISE = 0.09, 0.035, 0.19
"""Seconds that a lid takes down, stays and takes up; blinks differ from that by a fifth."""
LOWER = 0.12
"""The lower lid's part of the way."""

LEFT = 0.28
"""What is left between the landmarks of shut lids, as a share: detectors never see less on real
blinks (0.33 and more in nineteen of twenty clips), and the networks have learned from these."""


def blink_seed(source: str, driving: NDArray[np.float32]) -> int:
    """A number made of the inputs: the same portrait and motion, the same blinks.

    Args:
        source: SHA-256 of the portrait.
        driving: landmarks of the driving face, which a motion file shares with its video.
    """
    digest = hashlib.sha256(f"blinks\n{source}\n".encode())
    digest.update(np.nan_to_num(driving, nan=-1.0).astype("<f4").tobytes())
    return int.from_bytes(digest.digest()[:8], "big")


def closures(seconds: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    """How far lids are closed at some times, 0 (as they are) to 1 (shut).

    Args:
        seconds: T times, increasing; blinks come from the first one on.
        seed: the same number, the same blinks.
    """
    times = np.asarray(seconds, np.float64)
    closed = np.zeros(len(times))
    if not len(times):
        return closed
    for begin, pace, depth in _blinks(float(times[0]), float(times[-1]), seed):
        first, last = np.searchsorted(times, (begin, begin + pace * (FALL + SHUT + RISE)))
        since = (times[first:last] - begin) / pace
        down = _ease(since / FALL)
        up = _ease((since - FALL - SHUT) / RISE)
        closed[first:last] = np.maximum(closed[first:last], depth * (down - up))
    return closed


def _blinks(start: float, end: float, seed: int) -> Iterator[tuple[float, float, float]]:
    """The beginning of each blink in seconds, how slow it is, and how deep."""
    draw = np.random.Generator(np.random.PCG64(seed)).random
    # Only plain draws from 0 to 1, which no version of the library changes.
    moment = start + SHORTEST_PAUSE * (0.4 + draw())
    while moment < end:
        pace = 0.8 + 0.4 * draw()
        depth = 1.0 if draw() < 0.85 else 0.6 + 0.4 * draw()
        yield moment, pace, depth
        moment += pace * (FALL + SHUT + RISE)
        if draw() < TWICE:
            moment += 0.08 + 0.1 * draw()
        else:
            pause = -math.log(1 - draw()) * (MEAN_PAUSE - SHORTEST_PAUSE) + SHORTEST_PAUSE
            moment += min(pause, LONGEST_PAUSE)


def _ease(share: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def close_eyes(points: Points, closed: NDArray[np.floating]) -> NDArray[np.float32]:
    """Faces T x 68 x 2 with lids closed by T shares; lids that are shut already stay."""
    target = np.array(points, np.float64)
    for corners, upper, lower in EYES:
        rows, half = [*upper, *lower], len(upper)
        local, middle, axis = seen_from(target, corners, rows)
        way = (
            1j
            * (1 - LEFT)
            * closed[:, None]
            * np.maximum((local[:, half:] - local[:, :half]).imag, 0)
        )
        local += np.concatenate([(1 - LOWER) * way, -LOWER * way], -1)
        target[:, rows] = to_points(middle + axis * local)
    shut = np.asarray(closed) > 0
    return np.where(shut[:, None, None], target, points).astype(np.float32)
