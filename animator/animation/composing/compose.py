"""Output frames of generated faces: pasted into a view of the source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.animation.composing.blending import blend
from animator.animation.composing.reach import FaceMotion
from animator.animation.composing.view import Placed, View, even
from animator.faces.crop import Part, resize
from gfla.arrays import Picture

FEATHER = 0.12
"""Width of the soft border of a pasted face of which no motion is known, in units of its side. The
face models' crop leaves about a fifth of the side beside the face, so the face itself is never
mixed."""
_WIDEST = 8192  # pixels of a driving picture; encoders take no more than twice that


class GeneratedFace(NamedTuple):
    """A face as the networks rendered it.

    Attributes:
        picture: uint8 H x W x 3.
        square: the part of the source's picture to which it belongs.
        motion: how it has moved; without it, all of the picture is shown but for its border.
    """

    picture: Picture
    square: Part
    motion: FaceMotion | None = None


class Composer:
    """Makes the output frames of one animation.

    Args:
        view: what of the source is shown.
        driving_size: width and height of the driving frames, if those are shown on the left of it.

    Attributes:
        output_size: width and height of the output in pixels, both even.
    """

    output_size: tuple[int, int]

    def __init__(self, view: View[Any], driving_size: tuple[int, int] | None = None) -> None:
        self._view = view
        width, height = view.size
        self._left = 0
        if driving_size is not None:
            # As high as the view, and as wide as its aspect asks for, unless it is a mere strip.
            across, down = driving_size
            self._left = min(even(across * height / down), _WIDEST)
        self.output_size = (self._left + width, height)
        self._source: Picture | None = None

    def place(self, part: Placed) -> Placed:
        """Where a frame shows a part of the source, in its pixels; some may lie outside."""
        placed: Placed = self._view.place(part)
        return placed.shifted(self._left)

    def compose(
        self, source: Picture, faces: Sequence[GeneratedFace], driving: Picture | None = None
    ) -> Picture:
        """The output frame of some generated faces.

        Args:
            source: uint8 H x W x 3, the source's picture, mostly the same again.
            faces: the farthest first; each covers those before it.
            driving: uint8 h x w x 3, the driving frame, where it is shown.

        Returns:
            uint8 height x width x 3 of `output_size`.

        Raises:
            ValueError: if the driving frame is shown and not given.
        """
        frame = self._seen(source).copy()
        for face in faces:
            self._paste(frame, face)
        if not self._left:
            return frame
        if driving is None:
            raise ValueError("the driving frame is shown and was not given")
        return np.hstack([resize(driving, self._left, self.output_size[1]), frame])

    def _seen(self, source: Picture) -> Picture:
        """The view of a picture, which is kept as long as the picture stays the same."""
        if self._source is not source:
            self._source, self._background = source, self._view.picture(source)
        return self._background

    def _paste(self, frame: Picture, face: GeneratedFace) -> None:
        height, width = frame.shape[:2]
        left, top, across, down = self._view.place(face.square).box
        # The part of the frame under the face, and the part of the face over the frame.
        x0, x1 = np.clip((left, left + across), 0, width)
        y0, y1 = np.clip((top, top + down), 0, height)
        if x0 == x1 or y0 == y1:
            return
        if (left, top, across, down) == (0, 0, width, height):  # nothing of the source is seen
            frame[:] = face.square.fit(face.picture, across, down)
            return
        if face.motion is not None:
            blend(frame, (left, top, across), face.picture, face.motion)
            return
        generated = face.square.fit(face.picture, across, down)
        pasted = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        inside = slice(y0, y1), slice(x0, x1)
        weight = np.ascontiguousarray(_mask(across, down)[pasted])
        above, below = (np.ascontiguousarray(part) for part in (generated[pasted], frame[inside]))
        frame[inside] = cv2.blendLinear(above, below, weight, 1 - weight)


@lru_cache(maxsize=4)
def _mask(width: int, height: int) -> NDArray[np.float32]:
    """Weights height x width of a pasted part: 1 inside, falling smoothly to 0 at its border."""
    border = max(FEATHER * max(width, height), 1)
    profiles = []
    for length in (height, width):
        # From the centres of pixels, so half a pixel at the border.
        distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        ramp = np.clip(distance / border, 0, 1)
        profiles.append(ramp * ramp * (3 - 2 * ramp))
    return np.outer(*profiles).astype(np.float32)
