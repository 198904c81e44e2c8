from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gfla.data.openings import closed_lips, openness
from gfla.data.region_packs import TILES, mosaic, stored_alignment
from gfla.ops.regions import MOUTH, face_size
from tests.golden.faces import MEAN_FACE

FACE = MEAN_FACE.astype(np.float32)
SIDE = 256
RED = np.array([250, 10, 10])


def opened(gap: float) -> np.ndarray:
    """The mean face, its lips as far apart in units of the picture."""
    face = FACE.copy()
    middle = face[[60, 64], 1].mean()
    face[61:64, 1], face[65:68, 1] = middle - gap / 2, middle + gap / 2
    face[49:54, 1] -= gap / 2
    face[55:60, 1] += gap / 2
    return face


def picture_of(face: np.ndarray) -> np.ndarray:
    """Grey, and red between the lips."""
    picture = np.full((SIDE, SIDE, 3), 120, np.uint8)
    inside = np.round(face[60:68] * SIDE - 0.5).astype(np.int32)
    return cv2.fillPoly(picture, [inside], RED.tolist())


def redness(tile: np.ndarray) -> float:
    return float((np.abs(tile.astype(int) - RED).max(2) < 60).mean())


def test_openness_is_in_sizes_of_the_face_and_widths_of_the_eye():
    faces = np.stack([opened(0.0), opened(0.06)])
    size = float(face_size(torch.from_numpy(FACE)[None]))
    assert openness(faces, "mouth") == pytest.approx([0, 0.06 / size], abs=0.01)
    blinking = FACE.copy()
    blinking[[37, 38], 1] = blinking[[41, 40], 1]
    assert openness(np.stack([FACE, blinking]), "right eye")[1] < 0.03
    assert openness(np.stack([FACE, blinking]), "left eye")[1] > 0.05


def test_lips_that_are_drawn_together_leave_nothing_between_them():
    face = opened(0.06)
    tile = TILES["mouth"].of(mosaic(picture_of(face), face))
    closed, landmarks = closed_lips(tile, face)
    assert redness(tile) > 0.01 and redness(closed) < 0.1 * redness(tile)
    assert openness(landmarks[None], "mouth")[0] == pytest.approx(0, abs=0.005)
    assert np.array_equal(landmarks[:48], face[:48])
    # The outer lips come closer to each other, too, and in order.
    assert face[51, 1] < landmarks[51, 1] < landmarks[62, 1] < landmarks[57, 1] < face[57, 1]


def test_landmarks_of_drawn_lips_lie_where_the_picture_has_them():
    """A mark on the outer lip is found again at the landmark's new place."""
    face = opened(0.06)
    picture = np.full((SIDE, SIDE, 3), 60, np.uint8)
    x, y = np.round(face[57] * SIDE - 0.5).astype(int)
    picture[y - 2 : y + 3, x - 2 : x + 3] = 250
    closed, landmarks = closed_lips(TILES["mouth"].of(mosaic(picture, face)), face)
    image = torch.from_numpy(closed.copy()).permute(2, 0, 1)[None].float()
    frame = stored_alignment(MOUTH, torch.from_numpy(face)[None])
    place = frame.inwards(torch.from_numpy(landmarks[57])[None, None])
    found = torch.nn.functional.grid_sample(image, place[:, None], align_corners=False)
    assert float(found.mean()) > 180


def test_closed_lips_stay_as_they_are():
    face = opened(0.0)
    tile = TILES["mouth"].of(mosaic(picture_of(face), face))
    closed, landmarks = closed_lips(tile, face)
    assert np.abs(closed.astype(int) - tile).max() <= 2
    assert landmarks == pytest.approx(face, abs=1e-4)
