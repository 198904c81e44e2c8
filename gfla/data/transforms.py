"""Random variations of face pictures that move picture and landmarks together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gfla.arrays import Picture, Points, pixel_centres, to_pixels
from gfla.errors import GflaError

FLIPPED = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)
"""Which iBUG landmark becomes which in a mirrored picture."""


@dataclass(frozen=True)
class Augmentation:
    """How strongly training blocks are varied.

    What is lost (detail) is lost in every frame of a block, source and truth alike, so that the
    network keeps the quality that it is given and invents none. What is added (noise, blocks of
    compression) is added to the source alone: it does not move with a face, and a truth with it
    would ask for what nobody can predict. All else holds for every frame alike, but reshaping.
    """

    scale: tuple[float, float] = (0.9, 1.3)
    """Range of the picture's zoom."""
    shift: float = 0.04
    """Largest shift, in units of the picture."""
    rotation: float = 6.0
    """Largest rotation, degrees."""
    flip: bool = True
    """Mirror half of the blocks."""
    colour: float = 0.15
    """Largest relative change of brightness, contrast and each channel."""
    gamma: float = 0.15
    """Largest relative change of the exponent of grey values."""
    saturation: float = 0.3
    """Largest relative change of saturation."""
    coarse_share: float = 0.12
    """Share of blocks that lose detail by being made smaller and larger again."""
    coarsest: float = 2.5
    """Largest factor by which they are made smaller."""
    blur_share: float = 0.06
    """Share of blocks that are out of focus."""
    blur: float = 1.2
    """Largest sigma of that blur, in pixels of 256."""
    noise_share: float = 0.08
    """Share of blocks whose source is noisy."""
    noise: float = 8.0
    """Largest standard deviation of that noise, in grey values."""
    jpeg_share: float = 0.12
    """Share of blocks whose source is compressed once more."""
    jpeg_quality: tuple[int, int] = (35, 90)
    """Range of the quality of that JPEG."""
    glasses_share: float = 0.08
    """Share of blocks whose face gets drawn glasses, clear or tinted."""
    mask_share: float = 0.015
    """Share of blocks whose face gets a drawn mask over nose, mouth and chin."""
    reshape_share: float = 0.15
    """Share of clips' blocks whose frames, but not whose source, get one smooth warp: landmarks of
    another face's shape, as another person's motion brings, with a truth that fits them exactly."""
    jitter: float = 0.0015
    """Standard deviation of noise on the landmarks, in units of the face, frame by frame. Detected
    ones vary by 0.003; smoothed ones, as animation gives them, by less than half of it."""

    def __post_init__(self) -> None:
        shares = {name: value for name, value in vars(self).items() if name.endswith("_share")}
        wrong = [f"{name} {value}" for name, value in shares.items() if not 0 <= value <= 1]
        if wrong or self.coarsest < 1 or not 0 < self.scale[0] <= self.scale[1]:
            allowed = "shares lie in 0..1, coarsest is at least 1, scale rises from above 0"
            raise GflaError("invalid_config", f"{', '.join(wrong) or self}; {allowed}")


UNCHANGED = Augmentation(
    scale=(1.0, 1.0),
    shift=0.0,
    rotation=0.0,
    flip=False,
    colour=0.0,
    gamma=0.0,
    saturation=0.0,
    coarse_share=0.0,
    blur_share=0.0,
    noise_share=0.0,
    jpeg_share=0.0,
    glasses_share=0.0,
    mask_share=0.0,
    reshape_share=0.0,
    jitter=0.0,
)
"""Frames as they are, for measuring and for sample sheets."""


@dataclass(frozen=True)
class Warp:
    """Maps a picture's pixels and landmarks alike: an affine map, then a smooth displacement.

    Attributes:
        matrix: 2 x 3, from picture to result, both in units of the picture.
        bend: n x n x 2 displacements (result to unbent, units of the picture), or None.
        flip: mirror last.
    """

    matrix: NDArray[np.float64]
    bend: NDArray[np.float32] | None = None
    flip: bool = False

    @classmethod
    def similarity(cls, random: np.random.Generator, strength: Augmentation, size: int) -> Warp:
        """Zoom, rotation, shift and mirror of a whole block."""
        angle = np.deg2rad(random.uniform(-strength.rotation, strength.rotation))
        zoom = random.uniform(*strength.scale)
        shift = random.uniform(-strength.shift, strength.shift, 2)
        flip = strength.flip and random.random() < 0.5
        return cls(_about_centre(zoom, zoom, angle, 0.0, shift), flip=flip)

    def __call__(
        self, picture: Picture, landmarks: Points, size: int | None = None
    ) -> tuple[Picture, Points]:
        """Map a square picture (H H 3) and its landmarks (68 2); ``size`` resizes on the way."""
        source, size = picture.shape[0], size or picture.shape[0]
        # Backwards: for every pixel of the result its place in the picture.
        linear, offset = self.matrix[:, :2], self.matrix[:, 2]
        inverse = np.linalg.inv(linear)
        axis = pixel_centres(size)
        places = np.stack(np.meshgrid(axis, axis), -1)
        if self.bend is not None:
            places = places + cv2.resize(self.bend, (size, size), interpolation=cv2.INTER_CUBIC)
        places = to_pixels(((places - offset) @ inverse.T).astype(np.float32), source)
        # A picture that shrinks a lot is halved by areas first; bilinear samples alone would alias.
        if source >= 2 * size:
            half = (source // 2, source // 2)
            picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)
            # Pixel centres of the half: (2 i + 0.5) becomes i.
            places = (places - 0.5) / 2
        result = sample_picture(picture, places, cv2.BORDER_REFLECT_101)
        # Forwards: where the landmarks go.
        moved = (landmarks @ linear.T + offset).astype(np.float32)
        if self.bend is not None:
            moved = _unbend(moved, self.bend)
        # Mirrored, a right eye is a left one.
        if self.flip:
            result = np.ascontiguousarray(result[:, ::-1])
            moved = moved[FLIPPED]
            moved[:, 0] = 1 - moved[:, 0]
        return result, moved


def random_still_warps(random: np.random.Generator, count: int) -> list[Warp]:
    """A still's block: one warp per frame, moving smoothly after the first.

    Affine maps and 5 x 5 displacement fields, as weak as real faces' motion: stronger ones look
    unnatural and teach the network to repair them.
    """
    # The source by itself; from begin to end in even steps.
    ends = [_still_motion(random) for _ in range(3)]
    source, (begin, end) = ends[0], ends[1:]
    warps = [Warp(*source)]
    for step in range(count - 1):
        t = step / max(count - 2, 1)
        matrix = (1 - t) * begin[0] + t * end[0]
        warps.append(Warp(matrix, ((1 - t) * begin[1] + t * end[1]).astype(np.float32)))
    return warps


def colour_shift(
    random: np.random.Generator, strength: Augmentation
) -> Callable[[Picture], Picture]:
    """A random change of brightness, contrast, gamma, white balance and saturation.

    The same for every frame that is given.
    """
    # One table of 256 grey values a channel: gamma, then gains, then lift.
    gains = (
        1
        + random.uniform(-strength.colour, strength.colour)
        + random.uniform(-strength.colour / 3, strength.colour / 3, 3)
    )
    lift = 255 * random.uniform(-strength.colour, strength.colour) / 2
    exponent = 1 + random.uniform(-strength.gamma, strength.gamma)
    curve = 255 * (np.arange(256) / 255) ** exponent
    table = np.clip(curve[:, None] * gains + lift + 0.5, 0, 255).astype(np.uint8)
    share = 1 + random.uniform(-strength.saturation, strength.saturation)
    # Each channel between itself and the grey of all.
    mix = share * np.eye(3) + (1 - share) * np.array([0.299, 0.587, 0.114])

    def change(picture: Picture) -> Picture:
        shifted = cv2.LUT(picture, table[None])
        return np.asarray(shifted if share == 1 else cv2.transform(shifted, mix), np.uint8)

    return change


def sample_picture(picture: NDArray[Any], places: Points, border: int) -> NDArray[Any]:
    """Bilinear samples of H W C at h w 2 pixel coordinates (x, y); ``border`` is OpenCV's."""
    x, y = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=border)


def _still_motion(random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    zoom = random.uniform(0.94, 1.06)
    stretch = zoom * random.uniform(0.92, 1.04)
    angle, shear = np.deg2rad(random.normal(0, 5)), random.normal(0, 0.04)
    shift = random.normal(0, 0.025, 2)
    strength = random.uniform(0.004, 0.018)
    bend = random.normal(0, strength, (5, 5, 2)).astype(np.float32)
    return _about_centre(stretch, zoom, angle, shear, shift), bend


def _about_centre(
    zoom_x: float, zoom_y: float, angle: float, shear: float, shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    linear = rotation @ np.array([[zoom_x, shear], [0.0, zoom_y]])
    return np.column_stack([linear, np.array([0.5, 0.5]) - linear @ [0.5, 0.5] + shift])


def _unbend(points: Points, bend: NDArray[np.float32]) -> Points:
    """Where bent points land: solves place + bend(place) = point by fixed-point iteration."""
    dense = cv2.resize(bend, (64, 64), interpolation=cv2.INTER_CUBIC)
    place = points.copy()
    for _ in range(5):
        # In pixels of the dense field; outside of it the border's displacement holds.
        at = np.clip(to_pixels(place, 64), 0, 63).astype(np.float32)
        move = sample_picture(dense, at[:, None], cv2.BORDER_REPLICATE)
        place = points - move[:, 0]
    return place
