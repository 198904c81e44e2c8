"""Stored frames of a video as the pictures that a player shows."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from animator.media.colour import FrameColours
from animator.media.orientation import orientation

_WIDEST_PIXEL = (
    4  # a pixel more than four times as wide as high, or the reverse, is a broken header
)


class Display:
    """Turns frames into upright opaque RGB with square pixels, all of the size of the first one.

    Args:
        first: the video's first frame, whose size and display matrix hold for all.
        pixel_aspect: width of a stored pixel divided by its height, None if unknown.

    Attributes:
        width: of the shown picture in pixels.
        height: of the shown picture in pixels.
        rotation: degrees counter-clockwise by which stored frames are turned.
    """

    def __init__(self, first: VideoFrame, pixel_aspect: Fraction | None) -> None:
        self._size = _square_pixels(first.width, first.height, pixel_aspect)
        self._transposed, self._mirrored, self._flipped = orientation(first)
        self.width, self.height = self._size[::-1] if self._transposed else self._size
        self.rotation = first.rotation
        self._colours = FrameColours()

    def rgb(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """uint8 H W 3 RGB of one frame, which may be a view with any strides."""
        pixels: Any = self._colours.rgb(frame, *self._size)
        if self._transposed:
            pixels = pixels.transpose(1, 0, 2)
        return pixels[:: -1 if self._flipped else 1, :: -1 if self._mirrored else 1]


def _square_pixels(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """The size with square pixels: the shorter direction of a pixel is stretched, none shrunk."""
    if not aspect or not Fraction(1, _WIDEST_PIXEL) <= aspect <= _WIDEST_PIXEL:
        return width, height
    if aspect > 1:
        return round(width * aspect), height
    return width, round(height / aspect)
