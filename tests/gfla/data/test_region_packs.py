from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gfla.data.packs import read_pack, write_pack
from gfla.data.region_packs import SIDE, TILES, check_pack, mosaic, pack_regions, stored_alignment
from gfla.data.transforms import FLIPPED
from gfla.errors import GflaError
from tests.gfla.data.face_packs import pack
from tests.golden.faces import MEAN_FACE

FACE = MEAN_FACE.astype(np.float32)


@pytest.mark.parametrize(("name", "corners"), [("mouth", (48, 54)), ("right eye", (36, 39))])
def test_a_tile_has_the_landmarks_where_its_alignment_says(name, corners):
    picture = np.zeros((512, 512, 3), np.uint8)
    for index in corners:
        x, y = np.round(FACE[index] * 512 - 0.5).astype(int)
        cv2.circle(picture, (int(x), int(y)), 6, (255, 255, 255), -1)
    tile = TILES[name]
    found = tile.of(mosaic(picture, FACE))
    assert found.shape == (tile.height, tile.width, 3)
    points = torch.from_numpy(FACE)[None]
    places = stored_alignment(tile.region, points).inwards(points[:, list(corners)])[0].numpy()
    for x, y in (places + 1) / 2 * (tile.width, tile.height) - 0.5:
        assert found[round(float(y)), round(float(x))].min() > 200


def test_the_left_eye_is_stored_as_a_right_one():
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    both = np.maximum(picture, picture[:, ::-1])
    points = FACE.copy()
    points[:, 0] = (points[:, 0] + 1 - points[FLIPPED, 0]) / 2
    points[:, 1] = (points[:, 1] + points[FLIPPED, 1]) / 2
    stored = mosaic(both, points)
    right, left = (TILES[name].of(stored).astype(int) for name in ("right eye", "left eye"))
    assert np.abs(right - left).max() <= 1


def test_packs_are_thinned_kept_and_checked(tmp_path):
    whole = pack(9)
    pictures = [whole.frame(index) for index in range(9)]
    write_pack(tmp_path / "face.npz", pictures, whole.landmarks, whole.meta)
    assert pack_regions(tmp_path / "face.npz", tmp_path / "regions.npz", 5) == 5
    regions = read_pack(tmp_path / "regions.npz")
    assert regions.frame(0).shape == (SIDE, SIDE, 3)
    assert np.array_equal(regions.landmarks, whole.landmarks[::2])
    before = (tmp_path / "regions.npz").read_bytes()
    assert pack_regions(tmp_path / "face.npz", tmp_path / "regions.npz", 3) == 5
    assert (tmp_path / "regions.npz").read_bytes() == before
    check_pack(regions)
    write_pack(tmp_path / "large.npz", [np.zeros((64, 64, 3), np.uint8)], FACE[None], {})
    with pytest.raises(GflaError, match="not mosaics") as caught:
        check_pack(read_pack(tmp_path / "large.npz"))
    assert caught.value.code == "invalid_data"
