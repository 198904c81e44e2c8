"""Output frames of generated crops: the crop, the whole picture, or both videos abreast."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.crop import Square, resize, whole_square
from animator.media.notes import LARGEST_SIDE
from gfla.arrays import Picture

OutputMode = Literal["crop", "paste-back", "side-by-side"]

FEATHER = 0.12
"""Width of the soft border of a pasted crop, in units of its side. The face models' crop leaves
about a fifth of the side beside the face, so the face itself is never mixed."""
_WIDEST = 8192  # pixels of a driving picture; encoders take no more than twice that


def _even(length: float) -> int:
    """The nearest even number, at least 2: video encoders halve the colour planes."""
    return max(2 * round(length / 2), 2)


def _square_at(left: int, top: int, side: int) -> Square:
    """The square of whole pixels that `whole_square` gives back."""
    return Square(left + side / 2, top + side / 2, side)


def _mask(side: int) -> NDArray[np.float32]:
    """Weights side x side of a pasted crop: 1 inside, falling smoothly to 0 at its border."""
    # From the centres of pixels, so half a pixel at the border.
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    ramp = np.clip(distance / max(FEATHER * side, 1), 0, 1)
    profile = ramp * ramp * (3 - 2 * ramp)
    return np.outer(profile, profile).astype(np.float32)


class Composer:
    """Makes the output frames of one animation.

    Args:
        mode: "crop" is the generated crop itself; "paste-back" puts it back into the source
            picture with a soft border; "side-by-side" shows the driving frame on its left.
        source_image: uint8 H x W x 3, the picture that is animated.
        square: the crop of it that the model animates.
        size: side of the generated crops in pixels.
        driving_size: width and height of the driving frames; for "side-by-side".

    Attributes:
        output_size: width and height of the output in pixels, both even. A picture with an odd
            side loses its last row or column; one beyond `LARGEST_SIDE` is scaled down.
        place: the square of the output that shows the generated crop, in pixels; with "paste-back"
            parts of it may lie outside.

    Raises:
        AnimatorError: invalid_option for another mode.
        ValueError: if "side-by-side" is asked for without a driving size.
    """

    output_size: tuple[int, int]
    place: Square

    def __init__(
        self,
        mode: OutputMode,
        source_image: Picture,
        square: Square,
        size: int,
        driving_size: tuple[int, int] | None = None,
    ) -> None:
        self.mode = mode
        self.size = size
        even = _even(size)
        if mode == "crop":
            self.output_size = (even, even)
            self.place = _square_at(0, 0, even)
        elif mode == "paste-back":
            self._prepare_picture(source_image, square)
        elif mode == "side-by-side":
            if driving_size is None:
                raise ValueError("side-by-side needs the size of the driving frames")
            width, height = driving_size
            # As high as the crop, and as wide as its aspect asks for, unless it is a mere strip.
            self._driving_width = min(_even(width * even / height), _WIDEST)
            self.output_size = (self._driving_width + even, even)
            self.place = _square_at(self._driving_width, 0, even)
        else:
            raise AnimatorError(
                "invalid_option",
                f"output_mode is {mode!r}; allowed is crop, paste-back or side-by-side.",
            )

    def _prepare_picture(self, picture: Picture, square: Square) -> None:
        height, width = picture.shape[:2]
        scale = min(LARGEST_SIDE / max(height, width), 1.0)
        if scale < 1:
            picture = resize(picture, math.ceil(width * scale), math.ceil(height * scale))
            square = Square(square.cx * scale, square.cy * scale, square.side * scale)
        height, width = picture.shape[:2]
        if height < 2 or width < 2:
            picture = resize(picture, max(width, 2), max(height, 2))
        self._picture = picture[: height - height % 2 or 2, : width - width % 2 or 2].copy()
        height, width = self._picture.shape[:2]
        self.output_size = (width, height)
        left, top, self._side = whole_square(square)
        self.place = _square_at(left, top, self._side)
        # The part of the picture under the crop, and the part of the crop over the picture.
        x0, x1 = np.clip((left, left + self._side), 0, width)
        y0, y1 = np.clip((top, top + self._side), 0, height)
        self._inside = slice(y0, y1), slice(x0, x1)
        self._pasted = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        self._weight = np.ascontiguousarray(_mask(self._side)[self._pasted])
        self._below = np.ascontiguousarray(self._picture[self._inside])

    def compose(self, generated: Picture, driving: Picture | None = None) -> Picture:
        """The output frame of a generated crop.

        Args:
            generated: uint8 S x S x 3 with S the size given.
            driving: uint8 H x W x 3, the driving frame; for "side-by-side".

        Returns:
            uint8 height x width x 3 of `output_size`.

        Raises:
            ValueError: if the shape does not fit, or there is no driving frame.
        """
        expected = (self.size, self.size, 3)
        if generated.shape != expected or generated.dtype != np.uint8:
            got = f"{generated.dtype} {generated.shape}"
            raise ValueError(f"expected a uint8 crop {expected}, got {got}")
        width, height = self.output_size
        if self.mode == "paste-back":
            return self._paste(generated)
        if self.mode == "crop":
            return resize(generated, width, height)
        if driving is None:
            raise ValueError("side-by-side needs the driving frame, got none")
        frame = np.empty((height, width, 3), np.uint8)
        frame[:, : self._driving_width] = resize(driving, self._driving_width, height)
        frame[:, self._driving_width :] = resize(generated, height, height)
        return frame

    def _paste(self, crop: Picture) -> Picture:
        frame = self._picture.copy()
        if self._weight.size:
            above = np.ascontiguousarray(resize(crop, self._side, self._side)[self._pasted])
            mixed = cv2.blendLinear(above, self._below, self._weight, 1 - self._weight)
            frame[self._inside] = mixed
        return frame
