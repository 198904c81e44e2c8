"""Face packs that tests make, and what they look for in pictures."""

from __future__ import annotations

import cv2
import numpy as np

from gfla.data.faces import FaceBlocks
from gfla.data.packs import FacePack
from gfla.data.transforms import Augmentation
from tests.golden.faces import MEAN_FACE


def marked(landmarks: np.ndarray, size: int = 256) -> np.ndarray:
    """A picture with a white blob at the chin and at the right eye's corner."""
    picture = np.zeros((size, size, 3), np.uint8)
    for index in (8, 36):
        x, y = np.round(landmarks[index] * size - 0.5).astype(int)
        cv2.circle(picture, (int(x), int(y)), 5, (255, 255, 255), -1)
    return picture


def pack(frames: int, identity: str = "a") -> FacePack:
    landmarks = np.stack([MEAN_FACE + 0.01 * t for t in range(frames)]).astype(np.float32)
    pictures = [marked(points) for points in landmarks]
    coded = [cv2.imencode(".jpg", picture)[1].ravel() for picture in pictures]
    offsets = np.cumsum([0, *map(len, coded)])
    return FacePack(np.concatenate(coded), offsets, landmarks, {"identity": identity})


def brightness(picture: np.ndarray, point: np.ndarray) -> float:
    size = picture.shape[0]
    x, y = np.clip(np.round(point * size - 0.5).astype(int), 2, size - 3)
    return float(picture[y - 2 : y + 3, x - 2 : x + 3].mean())


def blocks(packs, **changes) -> FaceBlocks:
    options = {
        "frames": 3,
        "image_size": 128,
        "structure_size": 64,
        "still_share": 0.5,
        "augmentation": Augmentation(),
        "seed": 0,
    }
    return FaceBlocks(packs, **(options | changes))
