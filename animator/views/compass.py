"""The picture of a side: where around an object, and how high above the ground, somebody stands."""

from __future__ import annotations

import math

import cv2
import numpy as np

from animator.views.turntable import AZIMUTH_STEP, AZIMUTHS, ELEVATION_STEP, ELEVATIONS, SeenFrom
from gfla.arrays import Picture

SIZE = 256
"""Side of the picture in pixels."""
_INK, _PALE, _MARK = (60, 60, 60), (200, 200, 200), (214, 96, 0)
_FRACTION = 4


def compass(seen: SeenFrom) -> Picture:
    """A ring of 18 places around the object, seen from above, and a scale of 3 heights beside it.

    Returns:
        uint8 `SIZE` x `SIZE` x 3; azimuth 0 is at the bottom, and turns go to the right.
    """
    picture = np.full((SIZE, SIZE, 3), 255, np.uint8)
    middle, radius = (108, 118), 78
    _disc(picture, middle, 15, _INK)
    for place in range(AZIMUTHS):
        azimuth = place * AZIMUTH_STEP
        chosen = azimuth == seen.azimuth
        angle = math.radians(azimuth)
        at = middle[0] + radius * math.sin(angle), middle[1] + radius * math.cos(angle)
        _disc(picture, at, 10 if chosen else 4, _MARK if chosen else _PALE)
    for place in range(ELEVATIONS):
        chosen = place * ELEVATION_STEP == seen.elevation
        _disc(picture, (230, 178 - 60 * place), 10 if chosen else 4, _MARK if chosen else _PALE)
    text = f"azimuth {seen.azimuth}, elevation {seen.elevation}"
    cv2.putText(picture, text, (10, 240), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    return picture


def _disc(
    picture: Picture, at: tuple[float, float], radius: int, colour: tuple[int, int, int]
) -> None:
    x, y = (round(value * 2**_FRACTION) for value in at)
    cv2.circle(picture, (x, y), radius * 2**_FRACTION, colour, -1, cv2.LINE_AA, _FRACTION)
