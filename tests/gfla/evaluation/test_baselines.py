from __future__ import annotations

import numpy as np
import pytest

from gfla.evaluation import baselines
from tests.gfla.data.face_packs import brightness, marked, pack
from tests.golden.faces import MEAN_FACE

FACE = MEAN_FACE.astype(np.float32)


def test_the_warp_moves_landmarks_to_where_they_are_to_be():
    moved = FACE + np.float32([0.03, -0.02])
    result = baselines.piecewise_affine(marked(FACE), FACE, moved)
    for index in (8, 36):
        assert brightness(result, moved[index]) > 150
        assert brightness(result, FACE[index]) < 100


def test_the_warp_leaves_an_unmoved_picture_alone():
    result = baselines.piecewise_affine(marked(FACE), FACE, FACE)
    assert np.abs(result.astype(int) - marked(FACE)).max() <= 1


def test_the_spline_moves_landmarks_and_leaves_an_unmoved_picture_alone():
    moved = FACE + np.float32([0.03, -0.02])
    still, result = baselines.spline_warp(marked(FACE), FACE, np.stack([FACE, moved]))
    assert np.abs(still.astype(int) - marked(FACE)).max() <= 1
    for index in (8, 36):
        assert brightness(result, moved[index]) > 150


@pytest.mark.parametrize(
    "method", [baselines.copy_source, baselines.affine_warp, baselines.spline_warp]
)
def test_methods_render_the_frames_asked_for(method):
    clip = pack(9)
    pictures = list(method(clip.frame(0), clip.landmarks[0], clip.landmarks[1::3]))
    assert [p.shape for p in pictures] == [(256, 256, 3)] * 3
    assert all(p.dtype == np.uint8 for p in pictures)
