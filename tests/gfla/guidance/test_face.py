from __future__ import annotations

import numpy as np
import pytest

from gfla.errors import GflaError
from gfla.guidance.face import CHANNELS, LABELS, face_structure, with_forehead
from tests.golden.faces import MEAN_FACE


def face(size: int) -> np.ndarray:
    return MEAN_FACE * size


@pytest.mark.parametrize("size", [64, 128, 256])
def test_ranges_and_parts(size):
    structure = face_structure(face(size), size)
    assert structure.shape == (CHANNELS, size, size)
    assert structure.dtype == np.float32
    assert set(np.unique(structure[0])) == {0.0, 1.0}
    assert structure[:LABELS].min() == 0
    assert structure[:LABELS].max() <= 1
    assert set(np.unique(structure[LABELS])) == set(range(7))


def test_a_distance_map_grows_away_from_its_edge():
    structure = face_structure(face(256), 256)
    nose = structure[4]
    tip = face(256)[30].astype(int)
    assert nose[tip[1], tip[0]] < 8 / 255
    assert nose[2, 2] > nose[tip[1], tip[0]] + 20 / 255


def test_edges_are_where_the_distance_maps_are_zero():
    structure = face_structure(face(256), 256)
    assert (structure[1:LABELS].min(0)[structure[0] == 1] == 0).all()


def test_background_edges_stay_outside_the_face():
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:, 20:22] = 255
    picture[60:64] = 255
    plain, drawn = face_structure(face(128), 128), face_structure(face(128), 128, picture)
    added = (drawn[0] > 0) & (plain[0] == 0)
    assert added.any()
    assert (plain[LABELS][added] == 0).all()
    assert np.array_equal(plain[1:], drawn[1:])


def test_forehead_mirrors_the_jaw_above_the_line_of_its_ends():
    points = face(256)
    forehead = with_forehead(points)[68:]
    assert forehead.shape == (15, 2)
    assert np.allclose(forehead[:, 0], points[15:0:-1, 0])
    assert forehead[:, 1].min() < points[17:27, 1].min()


@pytest.mark.parametrize("change", [-1e6, 300, 1e6])
def test_faces_far_outside_the_picture_are_drawn_clipped(change):
    structure = face_structure(face(64) + change, 64)
    assert np.isfinite(structure).all()


def test_a_face_of_one_point_is_drawn():
    assert np.isfinite(face_structure(np.full((68, 2), 31.5), 64)).all()


@pytest.mark.parametrize("wrong", [np.zeros((67, 2)), np.full((68, 2), np.nan)])
def test_other_landmarks_are_refused(wrong):
    with pytest.raises(GflaError) as caught:
        face_structure(wrong, 64)
    assert caught.value.code == "invalid_landmarks"
