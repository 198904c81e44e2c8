from __future__ import annotations

import numpy as np
import pytest

from gfla.errors import GflaError
from gfla.guidance.face import CHANNELS, LABELS, face_structure, face_style, with_forehead
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


def test_the_published_forehead_is_not_a_pixel_off():
    points = np.zeros((68, 2))
    points[0], points[16] = (20, 100), (120, 103)  # the line is at 101.5
    points[8] = (70, 151)
    points[15] = (119, 97)
    published, default = (with_forehead(points, style)[68:] for style in ("published", "default"))
    # 101.5 + floor(-49.5 * 2 / 3) = 101.5 - 33, cut; and 101.5 + floor(4.5 * 2 / 3) = 101.5 + 3.
    assert published[7].tolist() == [70, 68]
    assert published[0].tolist() == [119, 104]
    # On a line that is floored first: 101 + floor(-50 * 2 / 3), and 101 + floor(4 * 2 / 3).
    assert default[7].tolist() == [70, 67]
    assert default[0].tolist() == [119, 103]


def test_the_published_line_moves_half_of_all_foreheads():
    random = np.random.default_rng(5)
    moved = 0
    for _ in range(200):
        points = np.trunc(face(256) + random.normal(0, 3, (68, 2)))
        base = (points[0, 1] + points[16, 1]) / 2
        wanted = [int(base + (base - y) * 2 // 3) for y in points[15:0:-1, 1]]
        assert with_forehead(points, "published")[68:, 1].tolist() == wanted
        moved += with_forehead(points)[68:, 1].tolist() != wanted
    assert 60 < moved < 140


def test_published_landmarks_are_cut_to_whole_pixels():
    fractional = face(256) + 0.3
    drawn = face_structure(fractional, 256, style="published")
    assert np.array_equal(drawn, face_structure(np.trunc(fractional), 256, style="published"))
    assert not np.array_equal(drawn[0], face_structure(fractional, 256)[0])
    with pytest.raises(GflaError, match="style"):
        face_structure(fractional, 256, style="exact")


def test_a_checkpoint_says_how_faces_are_drawn():
    assert face_style({"name": "face_net_G"}) == "published"  # an import
    assert face_style({"name": "face-regions", "structure_size": 128}) == "default"
    assert face_style({"structure_size": 256, "drawing": "published"}) == "published"
    with pytest.raises(GflaError, match="bad_checkpoint"):
        face_style({"drawing": ["published"]})


def test_published_edges_that_meet_the_backgrounds_are_a_level_darker():
    rows, columns = np.mgrid[:256, :256]
    picture = np.repeat(((rows // 8 + columns // 8) % 2 * 200).astype(np.uint8)[..., None], 3, 2)
    ours, theirs = (face_structure(face(256), 256, picture, s)[0] for s in ("default", "published"))
    alone = face_structure(np.trunc(face(256)), 256, style="published")[0] > 0
    # Bytes were added: 255 + 255 is 254 where both lines run, outside of what has a label.
    assert set(np.unique(ours)) == {0, 1}
    assert set(np.unique(np.round(theirs * 255))) == {0, 254, 255}
    assert alone[theirs == np.float32(254) / np.float32(255)].all()
