from __future__ import annotations

import numpy as np
import pytest

from gfla.evaluation import faces
from tests.gfla.test_faces_data import brightness, marked, pack
from tests.golden.faces import MEAN_FACE

FACE = MEAN_FACE.astype(np.float32)


def test_the_warp_moves_landmarks_to_where_they_are_to_be():
    moved = FACE + np.float32([0.03, -0.02])
    result = faces.piecewise_affine(marked(FACE), FACE, moved)
    for index in (8, 36):
        assert brightness(result, moved[index]) > 150
        assert brightness(result, FACE[index]) < 100


def test_the_warp_leaves_an_unmoved_picture_alone():
    result = faces.piecewise_affine(marked(FACE), FACE, FACE)
    assert np.abs(result.astype(int) - marked(FACE)).max() <= 1


@pytest.mark.parametrize("method", [faces.copy_source, faces.affine_warp])
def test_methods_render_the_frames_asked_for(method):
    clip = pack(9)
    pictures = list(method(clip.frame(0), clip.landmarks[0], clip.landmarks[1::3]))
    assert [p.shape for p in pictures] == [(256, 256, 3)] * 3
    assert all(p.dtype == np.uint8 for p in pictures)


def test_landmark_errors_are_in_percent_of_the_eyes_distance():
    eyes = np.linalg.norm(FACE[36] - FACE[45])
    assert faces.landmark_error(FACE, FACE) == 0
    assert faces.landmark_error(FACE + np.float32([0.1 * eyes, 0]), FACE) == pytest.approx(10)
