"""Openings of lips and lids: how far they are open, and mouths that are drawn shut."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gfla.arrays import Picture, Points
from gfla.data.region_packs import MARGIN, stored_alignment
from gfla.ops.regions import MOUTH, face_size

_LIPS = ((61, 67), (62, 66), (63, 65))
_LIDS = {"right eye": ((37, 41), (38, 40)), "left eye": ((43, 47), (44, 46))}
_EYE_WIDTH = {"right eye": (36, 39), "left eye": (42, 45)}
_FALLOFF = 40.0
"""Pixels of a mouth's crop over which closing lips draw the skin along."""


def openness(landmarks: Points, name: str) -> NDArray[np.float32]:
    """How open a region is in every frame of landmarks T 68 2: T.

    Lips in sizes of the face, lids in widths of the eye.
    """
    # Distances of points that face each other on the inner edges.
    pairs = _LIPS if name == "mouth" else _LIDS[name]
    gaps = [np.linalg.norm(landmarks[:, a] - landmarks[:, b], axis=-1) for a, b in pairs]
    if name == "mouth":
        unit = face_size(torch.from_numpy(landmarks))[:, 0].numpy()
    else:
        corners = _EYE_WIDTH[name]
        unit = np.linalg.norm(landmarks[:, corners[0]] - landmarks[:, corners[1]], axis=-1)
    return np.asarray(np.mean(gaps, 0) / np.maximum(unit, 1e-6), np.float32)


def closed_lips(picture: Picture, landmarks: Points) -> tuple[Picture, Points]:
    """A stored mouth with its lips drawn together, and its picture's landmarks then.

    Both inner edges move onto the line between them, which cuts out what lies inside; lips and skin
    follow, the less the further away.

    Args:
        picture: the mouth's tile h w 3.
        landmarks: 68 2 of the whole picture.
    """
    points = torch.from_numpy(landmarks)[None]
    frame = stored_alignment(MOUTH, points)
    half = np.array([MOUTH.width, MOUTH.height], np.float32) * MARGIN / 2
    placed = frame.inwards(points)[0].numpy() * half  # pixels of the crop, from its middle
    upper, lower = placed[list(MOUTH.upper)], placed[list(MOUTH.lower)]

    def lines(x: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Height of the line between the lips, and how far each lip is from it."""
        up, low = (np.interp(x, line[:, 0], line[:, 1]) for line in (upper, lower))
        low = np.maximum(up, low)
        return (up + low) / 2, (low - up) / 2

    # The picture: every pixel of the closed mouth looks up or down, into what lies beyond the gap.
    height, width = picture.shape[:2]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1) * half[0]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1) * half[1]
    middle, gap = lines(x)
    offset = y[:, None] - middle
    moved = y[:, None] + np.sign(offset) * gap * np.clip(1 - np.abs(offset) / _FALLOFF, 0, 1)
    map_x = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    # Back to pixels of the tile, whose centres are whole numbers.
    map_y = ((moved / half[1] + 1) / 2 * height - 0.5).astype(np.float32)
    closed = cv2.remap(
        picture,
        np.ascontiguousarray(map_x),
        map_y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )

    # The landmarks: likewise, the other way round.
    mouth = placed[48:68]
    middle, gap = lines(mouth[:, 0])
    offset = mouth[:, 1] - middle
    # Undoes offset + sign * gap * (1 - |offset| / falloff), which leads from closed to open.
    below = np.maximum(np.abs(offset) - gap, 0) / (1 - gap / _FALLOFF).clip(min=0.1)
    below = np.where(np.abs(offset) < _FALLOFF, below, np.abs(offset))
    # Inner edges lie on the line itself; 60 and 64 are the corners and stay.
    inner = np.isin(np.arange(48, 68), (61, 62, 63, 65, 66, 67))
    mouth[:, 1] = middle + np.where(inner, 0, np.sign(offset) * below)
    result = landmarks.copy()
    moved_mouth = frame.outwards(torch.from_numpy(mouth / half)[None])[0].numpy()
    result[48:68] = moved_mouth
    return np.asarray(closed, np.uint8), result
