"""The part of a picture that shows a person, cut out and resized, with the joints in it.

Training data and pose transfer cut alike, so a model sees persons as large as it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gfla.joints import MISSING, Joints, extent, found

MARGIN = 0.2
"""What is added above, below and beside the joints, in parts of their extent: the top of the head,
hands and feet lie outside them."""
Resample = Literal["bicubic", "bilinear"]
"""How a picture is resized, by Pillow's filters, which smooth before they shrink."""
LEAST = 16
"""Least side of a window in pixels."""
_LARGEST = 4
"""Largest side of a window in units of the picture's, so that strange joints cost no memory."""


@dataclass(frozen=True)
class Window:
    """A part of a picture, in whole pixels; it may reach beyond its borders."""

    left: int
    top: int
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left and top edge, width and height, as `animator.faces.crop.Part` has them."""
        return self.left, self.top, self.width, self.height

    def scaled(self, scale: float) -> Window:
        """The same part of the picture at another size, on whole pixels."""
        left, top = round(self.left * scale), round(self.top * scale)
        right = round((self.left + self.width) * scale)
        bottom = round((self.top + self.height) * scale)
        return Window(left, top, max(right - left, 1), max(bottom - top, 1))

    def shifted(self, right: int) -> Window:
        """The part that lies so many pixels farther to the right."""
        return replace(self, left=self.left + right)

    def fit(self, picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """A picture of it, from or for the networks, with so many pixels."""
        return resize(picture, (height, width))

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Window:
        """All of a picture of this height and width."""
        return cls(0, 0, size[1], size[0])

    @classmethod
    def around(cls, joints: Joints, aspect: float, margin: float = MARGIN) -> Window:
        """The part around a person, or around one person in all frames of a clip.

        Args:
            joints: ... x 18 x 2 pixels.
            aspect: width of the window in units of its height.
            margin: see ``MARGIN``.

        Raises:
            GflaError: ``invalid_data`` if no joint was found.
        """
        left, top, right, bottom = extent(joints)
        height = max((bottom - top) * (1 + 2 * margin), LEAST)
        width = max((right - left) * (1 + 2 * margin), LEAST)
        # As high as the joints ask for, or as their width does at this aspect.
        height = max(height, width / aspect)
        width = height * aspect
        x, y = (left + right - width) / 2, (top + bottom - height) / 2
        return cls(round(x), round(y), max(1, round(width)), max(1, round(height)))

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether it shows something of a picture of this height and width, and is not huge."""
        overlaps = -self.width < self.left < size[1] and -self.height < self.top < size[0]
        return overlaps and max(self.width, self.height) <= _LARGEST * max(size)

    def cut(
        self, picture: NDArray[np.uint8], size: tuple[int, int], resample: Resample = "bicubic"
    ) -> NDArray[np.uint8]:
        """The part as a picture of a height and width; the border goes on outside.

        Args:
            picture: uint8 H W 3; the window must fit it.
            size: height and width of the result.
            resample: by which filter it is resized.
        """
        height, width = picture.shape[:2]
        right, bottom = self.left + self.width, self.top + self.height
        # The part inside the picture, then its border repeated outside.
        rows = slice(max(self.top, 0), min(bottom, height))
        columns = slice(max(self.left, 0), min(right, width))
        part = cv2.copyMakeBorder(
            picture[rows, columns],
            max(-self.top, 0),
            max(bottom - height, 0),
            max(-self.left, 0),
            max(right - width, 0),
            cv2.BORDER_REPLICATE,
        )
        return resize(np.asarray(part, np.uint8), size, resample)

    def place(self, joints: Joints, size: tuple[int, int]) -> Joints:
        """Where joints of the picture lie in the part at a height and width."""
        scale = np.array([size[1] / self.width, size[0] / self.height])
        places = (joints - np.array([self.left, self.top])) * scale
        # A joint that happens to fall onto the mark of missing ones is moved by nothing visible.
        places = np.where(places == MISSING, MISSING + 1e-3, places)
        return np.where(found(joints)[..., None], places, MISSING)


def resize(
    picture: NDArray[np.uint8], size: tuple[int, int], resample: Resample = "bicubic"
) -> NDArray[np.uint8]:
    """A picture at another height and width; the same one where it fits already.

    By Pillow, as the pictures that the networks are trained on: its filter averages where it
    shrinks, and OpenCV's does not.
    """
    if picture.shape[:2] == tuple(size):
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.array(image.resize((size[1], size[0]), Image.Resampling[resample.upper()]))
