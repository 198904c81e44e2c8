"""Made objects and their views: textured convex solids, drawn without a renderer or any file.

An object is a body and a smaller cabin on top of it, each a prism that tapers upwards. The camera
is orthographic, so a face's texture comes to its place by an affine map. The faces of a convex
solid that look at the camera never cover each other, and from the ground's height or above nothing
of the body covers what stands on it. Everything follows from the object's number.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gfla.arrays import to_pixels
from gfla.data.views import AZIMUTHS, ELEVATIONS
from gfla.errors import GflaError

TEXTURE = 64
"""Side of a texture in pixels."""
HELD_OUT = 1_000_000
"""Numbers from here on are for the held-out split."""
_FINER = 2
"""Views are drawn so many times larger, and then reduced, for smooth edges."""
_LIGHT = np.array([0.45, -0.6, 0.66])


@dataclass(frozen=True)
class _Face:
    """A flat face: its corners N 3, outward normal, and the rectangle 3 3 its texture fills.

    The rectangle is a corner and the corners next to it along the texture's x and y.
    """

    corners: NDArray[np.float64]
    normal: NDArray[np.float64]
    rectangle: NDArray[np.float64]
    texture: NDArray[np.uint8]


class SyntheticViews:
    """Objects whose views are made when they are asked for.

    Args:
        objects: how many.
        size: height and width of the pictures.
        first: number of the first object; ``HELD_OUT`` and on are never trained on.

    Raises:
        GflaError: ``invalid_config`` for less than one object or a size below 8.
    """

    def __init__(self, objects: int = 64, size: int = 256, first: int = 0) -> None:
        if objects < 1 or size < 8:
            message = f"{objects} objects of {size} pixels: at least 1 of at least 8"
            raise GflaError("invalid_config", message)
        self.objects: Sequence[str] = [str(first + number) for number in range(objects)]
        self.size = size

    def picture(self, name: str, azimuth: int, elevation: int) -> NDArray[np.uint8]:
        """RGB S S 3 on white; the same bytes every time."""
        if not (0 <= azimuth < AZIMUTHS and 0 <= elevation < ELEVATIONS):
            raise GflaError("invalid_sample", f"object {name} has no view ({azimuth}, {elevation})")
        # The camera around the object: orthographic, z is up.
        turn = np.deg2rad(20.0 * azimuth)
        tilt = np.deg2rad(10.0 * elevation)
        cosine, sine = np.cos(turn), np.sin(turn)
        # Columns of the picture, its rows (downwards), and towards the camera.
        axes = np.array(
            [
                [cosine, sine, 0.0],
                [np.sin(tilt) * sine, -np.sin(tilt) * cosine, -np.cos(tilt)],
                [np.cos(tilt) * sine, -np.cos(tilt) * cosine, np.sin(tilt)],
            ]
        )
        side = _FINER * self.size
        canvas = np.full((side, side, 3), 255, np.uint8)
        # Faces that look away are left out; the others never cover each other.
        for face in _object(int(name)):
            if float(axes[2] @ face.normal) > 1e-3:
                _draw(canvas, face, axes[:2])
        reduced = cv2.resize(canvas, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.asarray(reduced, np.uint8)


@functools.lru_cache(maxsize=256)
def _object(number: int) -> tuple[_Face, ...]:
    # The object lies within a unit around the origin, so that it fits into every view.
    random = np.random.default_rng([7, number])
    length, width = random.uniform(0.55, 0.8), random.uniform(0.3, 0.55)
    low, high = -0.42, random.uniform(-0.1, 0.15)
    taper = random.uniform(0.75, 1.0)
    body = _prism(random, (length, width), low, high, taper)
    room = taper * random.uniform(0.55, 0.85)
    above = min(high + random.uniform(0.2, 0.45), 0.5)
    cabin = _prism(random, (room * length, room * width), high, above, random.uniform(0.4, 0.9))
    return (*body, *cabin)


def _prism(
    random: np.random.Generator,
    extent: tuple[float, float],
    low: float,
    high: float,
    taper: float,
) -> list[_Face]:
    """A prism of four to eight sides; ``extent`` is half its length and width at the bottom."""
    sides = int(random.integers(4, 9))
    # Half a step on, so that a four-sided prism stands along the axes.
    angles = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    ring = np.stack([np.cos(angles), np.sin(angles)], 1) * extent / np.cos(np.pi / sides)
    bottom = np.column_stack([ring, np.full(sides, low)])
    top = np.column_stack([ring * taper, np.full(sides, high)])
    colours = random.integers(30, 236, (2, 3))
    outlines = [np.stack([bottom[i - 1], bottom[i], top[i], top[i - 1]]) for i in range(sides)]
    faces = [_face(outline, _texture(random, colours)) for outline in outlines]
    return [*faces, _face(top, _texture(random, colours))]


def _face(corners: NDArray[np.float64], texture: NDArray[np.uint8]) -> _Face:
    across = corners[1] - corners[0]
    normal = np.cross(across, corners[2] - corners[1])
    # Outwards is away from the object's axis, or upwards.
    outwards = corners.mean(0) * [1, 1, 0] if abs(normal[2]) < np.hypot(*normal[:2]) else [0, 0, 1]
    normal = normal / np.linalg.norm(normal) * np.sign(normal @ outwards)
    # The face's own axes, and the rectangle around it that the texture fills.
    x = across / np.linalg.norm(across)
    y = np.cross(x, normal)
    inside = (corners - corners[0]) @ np.stack([x, y], 1)
    (x0, y0), (x1, y1) = inside.min(0), inside.max(0)
    places = np.array([[x0, y0], [x1, y0], [x0, y1]])
    rectangle = corners[0] + places @ np.stack([x, y])
    # Each face has a brightness of its own: flat shading.
    light = 0.72 + 0.28 * float(normal @ _LIGHT)
    shaded = np.clip(texture * light, 0, 255).astype(np.uint8)
    return _Face(corners, normal, rectangle, shaded)


def _texture(random: np.random.Generator, colours: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Stripes, checks, dots or a letter in the object's two colours and one of the face's own."""
    first, second = (tuple(int(value) for value in colour) for colour in colours)
    picture = np.empty((TEXTURE, TEXTURE, 3), np.uint8)
    picture[:] = first
    rows, columns = np.mgrid[0:TEXTURE, 0:TEXTURE]
    period, kind = int(random.integers(8, 24)), int(random.integers(4))
    if kind == 0:
        slant = random.uniform(-1, 1)
        picture[((columns + slant * rows) // (period / 2)).astype(int) % 2 == 0] = second
    elif kind == 1:
        picture[(rows // (period // 2) + columns // (period // 2)) % 2 == 0] = second
    elif kind == 2:
        distance = np.hypot(rows % period - period / 2, columns % period - period / 2)
        picture[distance < 0.3 * period] = second
    own = tuple(int(value) for value in random.integers(0, 256, 3))
    letter = chr(int(random.integers(ord("A"), ord("Z") + 1)))
    place = int(random.integers(6, 26)), int(random.integers(36, 58))
    cv2.putText(picture, letter, place, cv2.FONT_HERSHEY_DUPLEX, 1.3, own, 3, cv2.LINE_AA)
    return picture


def _draw(canvas: NDArray[np.uint8], face: _Face, axes: NDArray[np.float64]) -> None:
    """Lay a face's texture on its place in the picture; ``axes`` 2 3 are the picture's x and y."""
    side = canvas.shape[0]

    def placed(points: NDArray[np.float64]) -> NDArray[Any]:
        return to_pixels((points @ axes.T) * 0.5 + 0.5, side)

    # The part of the canvas that the face covers, with a margin of a pixel.
    outline = placed(face.corners)
    low = np.clip(np.floor(outline.min(0)).astype(int) - 1, 0, side)
    high = np.clip(np.ceil(outline.max(0)).astype(int) + 2, 0, side)
    width, height = (int(value) for value in high - low)
    if width <= 0 or height <= 0:
        return
    # Edges of the texture, in pixels with whole centres, to corners of the rectangle.
    ends = np.array([[0, 0], [TEXTURE, 0], [0, TEXTURE]], np.float32) - np.float32(0.5)
    matrix = cv2.getAffineTransform(ends, (placed(face.rectangle) - low).astype(np.float32))
    laid = cv2.warpAffine(face.texture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((height, width), np.uint8)
    # 16ths of a pixel: OpenCV's 4 bits of fraction.
    cv2.fillConvexPoly(mask, np.round((outline - low) * 16).astype(np.int32), 255, cv2.LINE_8, 4)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    part[mask > 0] = laid[mask > 0]
