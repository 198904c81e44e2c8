"""Damage that footage suffers: lost detail, noise, compression, and things worn on a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gfla.arrays import Picture, Points, to_pixels
from gfla.data.transforms import Augmentation

_FRACTION = 4
"""Bits of a pixel's fraction in what OpenCV draws."""
_EYES = ((36, 39), (42, 45))
_PARTS = (range(17), range(17, 27), range(27, 36), range(36, 42), range(42, 48), range(48, 68))


@dataclass(frozen=True)
class Degradation:
    """The quality of one block; see ``Augmentation`` for what befalls which frames.

    Attributes:
        coarse: factor by which pictures are made smaller and larger again; 1 does nothing.
        blur: sigma in pixels of 256; 0 does nothing.
        noise: standard deviation in grey values; 0 does nothing.
        quality: of a JPEG, or None.
    """

    coarse: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    quality: int | None = None

    @classmethod
    def draw(cls, random: np.random.Generator, strength: Augmentation) -> Degradation:
        """The degradation of one block; most blocks have none."""
        # All is drawn whether it is used or not, so that one share changes no other draw.
        chances = random.random(4)
        coarse = random.uniform(1.1, max(strength.coarsest, 1.1))
        blur, noise = random.uniform(0.3, 1) * strength.blur, random.uniform(0, strength.noise)
        quality = int(random.integers(strength.jpeg_quality[0], strength.jpeg_quality[1] + 1))
        return cls(
            coarse if chances[0] < strength.coarse_share else 1.0,
            blur if chances[1] < strength.blur_share else 0.0,
            noise if chances[2] < strength.noise_share else 0.0,
            quality if chances[3] < strength.jpeg_share else None,
        )

    def lose(self, picture: Picture) -> Picture:
        """Take detail from a picture S S 3: for every frame of the block."""
        side = picture.shape[0]
        if self.coarse > 1:
            # Smaller by areas, as a camera sees; larger again bilinearly, as a player shows it.
            small = max(round(side / self.coarse), 8)
            less = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
            resized = cv2.resize(less, (side, side), interpolation=cv2.INTER_LINEAR)
            picture = np.asarray(resized, np.uint8)
        if self.blur > 0:
            sigma = self.blur * side / 256
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
        return picture

    def add(self, picture: Picture, random: np.random.Generator) -> Picture:
        """Add noise and the traces of compression to a picture S S 3: for the source alone."""
        if self.noise > 0:
            # Half a grey value, since casting cuts off.
            grain = random.standard_normal(picture.shape, np.float32) * np.float32(self.noise)
            picture = np.clip(picture + grain + 0.5, 0, 255).astype(np.uint8)
        if self.quality is not None:
            options = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
            # OpenCV's order of channels is blue, green, red.
            coded = cv2.imencode(".jpg", picture[..., ::-1], options)[1]
            decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
            picture = np.ascontiguousarray(decoded[..., ::-1])
        return picture


def jittered(random: np.random.Generator, landmarks: Points, sigma: float) -> Points:
    """Landmarks ... 68 2 with a detector's noise: parts shift as a whole, points a little more.

    Args:
        random: draws another noise for every face.
        landmarks: in any unit.
        sigma: standard deviation in units of the face (the greater extent of its landmarks).
    """
    if sigma == 0:
        return landmarks
    size = (landmarks.max(-2) - landmarks.min(-2)).max(-1)[..., None, None]
    noise = 0.6 * random.standard_normal(landmarks.shape)
    for part in _PARTS:
        # 0.6^2 + 0.8^2 = 1: each point's deviation is sigma.
        shift = random.standard_normal((*landmarks.shape[:-2], 1, 2))
        noise[..., part.start : part.stop, :] += 0.8 * shift
    return (landmarks + sigma * size * noise).astype(np.float32)


@dataclass(frozen=True)
class Glasses:
    """Glasses that sit on the landmarks of every frame.

    Attributes:
        rim: RGB.
        width: of the rim in units of an eye.
        lens: half width and half height of a lens in units of an eye.
        corners: 2 draws ellipses, more ever squarer lenses.
        tint: RGB of the lenses.
        opacity: of the tint, 0 clear to 1 opaque.
    """

    rim: tuple[int, int, int]
    width: float
    lens: tuple[float, float]
    corners: float
    tint: tuple[int, int, int]
    opacity: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> Glasses:
        """Some glasses: most rims dark, a third of the lenses tinted."""
        rim = random.integers(0, 70 if random.random() < 0.75 else 230, 3)
        half = random.uniform(0.72, 1.0)
        tinted = random.random() < 0.35
        return cls(
            _colour(rim),
            random.uniform(0.05, 0.17),
            (half, half * random.uniform(0.55, 0.95)),
            random.uniform(2.0, 5.0),
            _colour(random.integers(0, 90, 3)),
            random.uniform(0.25, 0.9) if tinted else 0.0,
        )

    def __call__(self, picture: Picture, landmarks: Points) -> Picture:
        """Draw them on a picture S S 3 with landmarks 68 2 in units of the picture."""
        # Lenses before both eyes, no wider than the gap between them allows.
        points = to_pixels(landmarks, picture.shape[0])
        eyes = [(points[a], points[b]) for a, b in _EYES]
        gap = float(np.linalg.norm(np.subtract(*[(a + b) / 2 for a, b in eyes])))
        lenses = [self._lens(a, b, gap) for a, b in eyes]
        # Tint first, the rim over it.
        if self.opacity > 0:
            tinted = picture.copy()
            for lens in lenses:
                cv2.fillPoly(tinted, [_fixed(lens)], self.tint, cv2.LINE_AA, _FRACTION)
            blended = cv2.addWeighted(tinted, self.opacity, picture, 1 - self.opacity, 0)
            picture = np.asarray(blended, np.uint8)
        result = picture.copy()
        # Rim, bridge and arms, as thick as the eyes are large.
        size = float(np.mean([np.linalg.norm(b - a) for a, b in eyes]))
        thick = min(max(round(self.width * size), 1), picture.shape[0])
        half = len(lenses[0]) // 2
        # A lens begins at its right end in the picture and reaches its left one half way round.
        bridge = np.stack([lenses[0][0], lenses[1][half]])
        arms = [np.stack([lenses[0][half], points[0]]), np.stack([lenses[1][0], points[16]])]
        for line in (bridge, *arms):
            _line(result, line, self.rim, thick, closed=False)
        for lens in lenses:
            _line(result, lens, self.rim, thick, closed=True)
        return result

    def _lens(self, left: NDArray[Any], right: NDArray[Any], gap: float) -> NDArray[np.float64]:
        """The outline 32 2 of the lens before an eye with these corners."""
        # Axes of the eye: along its corners, and downwards at a right angle.
        across = (right - left).astype(np.float64)
        length = max(float(np.hypot(*across)), 1e-3)
        down = np.array([-across[1], across[0]]) / length
        wide = min(self.lens[0] * length, 0.46 * gap) / length
        # A superellipse: |x|^n + |y|^n = 1 with n = ``corners``.
        turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        x, y = (
            np.sign(value) * np.abs(value) ** (2 / self.corners)
            for value in (np.cos(turn), np.sin(turn))
        )
        centre = (left + right) / 2 + 0.1 * length * down
        height = self.lens[1] * length * down
        return centre + wide * x[:, None] * across + y[:, None] * height


@dataclass(frozen=True)
class FaceMask:
    """A cloth over nose, mouth and chin, along the landmarks of every frame.

    Attributes:
        cloth: RGB.
    """

    cloth: tuple[int, int, int]

    @classmethod
    def draw(cls, random: np.random.Generator) -> FaceMask:
        """A mask, in most cases a light one."""
        light = random.random() < 0.7
        return cls(_colour(random.integers(150 if light else 0, 256 if light else 90, 3)))

    def __call__(self, picture: Picture, landmarks: Points) -> Picture:
        """Draw it on a picture S S 3 with landmarks 68 2 in units of the picture."""
        points = to_pixels(landmarks, picture.shape[0])
        # From jaw to jaw over the nose's bridge; folds from cheek to cheek.
        outline = np.concatenate([points[2:15], points[28:29]])
        result = picture.copy()
        cv2.fillPoly(result, [_fixed(outline)], self.cloth, cv2.LINE_AA, _FRACTION)
        fold = _colour(0.8 * np.array(self.cloth))
        for a, b in ((3, 13), (5, 11)):
            _line(result, np.stack([points[a], points[33], points[b]]), fold, 1, closed=False)
        return result


def draw_worn(random: np.random.Generator, strength: Augmentation) -> Sequence[Glasses | FaceMask]:
    """What the face of one block wears; mostly nothing."""
    chances = random.random(2)
    worn: list[Glasses | FaceMask] = []
    if chances[0] < strength.mask_share:
        worn.append(FaceMask.draw(random))
    if chances[1] < strength.glasses_share:
        worn.append(Glasses.draw(random))
    return worn


def _colour(values: NDArray[Any]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _fixed(points: NDArray[Any]) -> NDArray[np.int32]:
    # Far outside of the picture is as good as farther; OpenCV's numbers end somewhere.
    return np.clip(np.round(points * 2**_FRACTION), -(2**20), 2**20).astype(np.int32)


def _line(
    picture: Picture,
    points: NDArray[Any],
    colour: tuple[int, int, int],
    thick: int,
    *,
    closed: bool,
) -> None:
    cv2.polylines(picture, [_fixed(points)], closed, colour, thick, cv2.LINE_AA, _FRACTION)
