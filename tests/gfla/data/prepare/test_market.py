from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gfla.data.pose_tables import read_pairs
from gfla.data.prepare.market import mask_path, person_mask, prepare_market
from gfla.errors import GflaError
from gfla.joints import MISSING
from tests.gfla.person_files import standing, write_picture, write_tables


def test_market_with_masks(tmp_path: Path) -> None:
    names = ["0002_c1s1_000451_03.jpg", "0002_c1s1_000551_01.jpg"]
    for split, folder in (("train", "bounding_box_train"), ("test", "test")):
        for seed, name in enumerate(names):
            write_picture(tmp_path / "Market" / folder / name, (128, 64), seed)
        write_tables(tmp_path / "tables", split, names, (128, 64), [(names[0], names[1])])
    report = prepare_market(tmp_path / "Market", tmp_path / "tables", tmp_path / "out", workers=1)
    assert not report.skipped and report.counts["masks of held-out"] == 2
    held_out = tmp_path / "out" / "held-out"
    original = tmp_path / "Market" / "test" / names[0]
    assert (held_out / "images" / names[0]).read_bytes() == original.read_bytes()
    assert read_pairs(held_out / "pairs.csv") == [(names[0], names[1])]
    mask = np.asarray(Image.open(mask_path(held_out, names[0])))
    assert np.array_equal(mask, person_mask(standing((128, 64), 0).round(2), (128, 64)))
    again = prepare_market(tmp_path / "Market", tmp_path / "tables", tmp_path / "out", workers=1)
    assert again.counts["masks of held-out"] == 0 and again.counts["there already"] == 4


def test_a_mask_covers_the_person_and_little_else() -> None:
    joints = standing((128, 64))
    mask = person_mask(joints, (128, 64))
    assert set(np.unique(mask)) == {0, 255} and mask.shape == (128, 64)
    assert all(mask[round(y), round(x)] == 255 for x, y in joints)
    shoulder, hip = joints[2], joints[8]
    assert mask[round((shoulder[1] + hip[1]) / 2), 32] == 255  # in the middle of the torso
    assert 0.15 < (mask > 0).mean() < 0.5
    assert not mask[:, :8].any() and not mask[:, -8:].any()
    assert not person_mask(np.full((18, 2), MISSING), (128, 64)).any()


def test_market_without_its_folders(tmp_path: Path) -> None:
    write_tables(tmp_path / "tables", "test", ["a.jpg"], (128, 64), [])
    with pytest.raises(GflaError, match="bounding_box_test"):
        prepare_market(tmp_path, tmp_path / "tables", tmp_path / "out")
