from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gfla.data.pairs import PersonPairs
from gfla.data.pose_tables import read_annotations, read_pairs
from gfla.data.prepare.fashion import find_pictures, flat_name, prepare_fashion
from gfla.data.prepare.market import mask_path, person_mask, prepare_market
from gfla.errors import GflaError
from gfla.joints import MISSING
from tests.gfla.person_files import standing, write_picture, write_tables

TREE = {
    "MEN/Denim/id_00000080/01_1_front.jpg": "fashionMENDenimid0000008001_1front.jpg",
    "MEN/Denim/id_00000080/01_2_side.jpg": "fashionMENDenimid0000008001_2side.jpg",
    "WOMEN/Blouses_Shirts/id_00006953/03_4_full.jpg": (
        "fashionWOMENBlouses_Shirtsid0000695303_4full.jpg"
    ),
}
NAMES = list(TREE.values())
PAIRS = [(NAMES[0], NAMES[1]), (NAMES[1], NAMES[0]), (NAMES[2], NAMES[0])]


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """A tiny In-shop tree with tables for train, whose pictures are 1101 x 750 in spirit."""
    for seed, name in enumerate(TREE):
        write_picture(tmp_path / "img_highres" / name, (110, 75), seed)
    write_tables(tmp_path / "tables", "train", NAMES, (256, 176), PAIRS)
    (tmp_path / "tables" / "train.lst").write_text("\n".join(NAMES))
    return tmp_path


def test_names_are_flattened_as_published() -> None:
    for path, name in TREE.items():
        assert flat_name(tuple(path.split("/"))) == name


def test_fashion_is_resized_and_read_as_pairs(fashion: Path) -> None:
    report = prepare_fashion(fashion, fashion / "tables", fashion / "out", workers=1)
    assert report.counts["pictures of train"] == 3 and not report.skipped
    folder = fashion / "out" / "train"
    assert Image.open(folder / "images" / NAMES[0]).size == (176, 256)
    pairs = PersonPairs(folder, (256, 256))
    assert sorted(pairs.pairs) == sorted(PAIRS)
    (row,) = [row for row in read_annotations(folder / "annotation.csv") if row.name == NAMES[1]]
    assert np.allclose(row.joints, standing((256, 176), 1), atol=0.01)


def test_fashion_may_keep_its_size_and_joints_follow(fashion: Path) -> None:
    prepare_fashion(fashion, fashion / "tables", fashion / "out", size=None, workers=1)
    folder = fashion / "out" / "train"
    source = fashion / "img_highres" / next(iter(TREE))
    assert (folder / "images" / NAMES[0]).read_bytes() == source.read_bytes()
    row = read_annotations(folder / "annotation.csv")[0]
    scale = np.array([75 / 176, 110 / 256])
    assert np.allclose(row.joints, standing((256, 176), 0) * scale, atol=0.01)


def test_fashion_as_png_has_other_names_everywhere(fashion: Path) -> None:
    prepare_fashion(fashion, fashion / "tables", fashion / "out", format="png", workers=1)
    pairs = PersonPairs(fashion / "out" / "train", (64, 64))
    assert all(name.endswith(".png") for pair in pairs.pairs for name in pair)
    assert Image.open(fashion / "out" / "train" / "images" / pairs.pairs[0][0]).format == "PNG"


def test_a_flat_folder_is_found_as_well(tmp_path: Path) -> None:
    for name in NAMES:
        write_picture(tmp_path / name, (8, 8))
    assert sorted(find_pictures(tmp_path)) == sorted(NAMES)


def test_what_is_broken_is_skipped_counted_and_listed(fashion: Path) -> None:
    first, _, last = (fashion / "img_highres" / name for name in TREE)
    first.write_bytes(first.read_bytes()[:200])
    last.unlink()
    write_picture(fashion / "img_highres" / "MEN/Denim/id_00000080/02_1_front.jpg", (110, 75))
    extra = "fashionMENDenimid0000008002_1front.jpg"
    names = [*NAMES, extra, "fashionNaN.jpg"]
    pairs = [*PAIRS, (NAMES[1], extra), (extra, NAMES[1]), (extra, "fashionnobody.jpg")]
    write_tables(fashion / "tables", "train", names, (256, 176), pairs)
    table = fashion / "tables" / "made-annotation-train.csv"
    lines = table.read_text().splitlines()
    lines[5] = lines[5].replace("[", "[NaN, ", 1)
    table.write_text("\n".join(lines))
    report = prepare_fashion(fashion, fashion / "tables", fashion / "out", workers=1)
    assert report.counts["pairs of train"] == 2 and report.counts["pairs of train left out"] == 4
    stored = json.loads((fashion / "out" / "report.json").read_text())
    assert {reason: entry["count"] for reason, entry in stored["skipped"].items()} == {
        "broken row": 1,
        "annotated, but there is no picture": 1,
        "in a pair, but not annotated": 1,
        "damaged picture": 1,
    }
    assert NAMES[2] in (fashion / "out" / "report.txt").read_text()
    assert len(PersonPairs(fashion / "out" / "train")) == 2


def test_a_second_run_keeps_what_is_there(fashion: Path) -> None:
    arguments = (fashion, fashion / "tables", fashion / "out")
    prepare_fashion(*arguments, workers=1)
    picture = fashion / "out" / "train" / "images" / NAMES[0]
    before = picture.stat().st_mtime_ns
    (fashion / "out" / "train" / "images" / NAMES[1]).unlink()
    report = prepare_fashion(*arguments, workers=2)
    assert report.counts["there already"] == 2 and report.counts["pictures of train"] == 1
    assert picture.stat().st_mtime_ns == before
    with pytest.raises(GflaError, match="other options"):
        prepare_fashion(*arguments, size=(128, 88), workers=1)


def test_tables_or_pictures_that_are_not_there_stop_at_once(fashion: Path) -> None:
    with pytest.raises(GflaError, match=r"\*annotation-train\.csv") as caught:
        prepare_fashion(fashion, fashion, fashion / "out")
    assert caught.value.code == "invalid_data"
    (fashion / "empty").mkdir()
    with pytest.raises(GflaError, match="no picture"):
        prepare_fashion(fashion / "empty", fashion / "tables", fashion / "out")


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


@pytest.mark.parametrize("script", ["prepare_fashion", "prepare_market"])
def test_the_scripts(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a.jpg", "b.jpg"]
    for seed, name in enumerate(names):
        write_picture(tmp_path / "pictures" / "train" / name, (128, 64), seed)
    path = str(Path(__file__).parents[4] / "scripts" / f"{script}.py")
    arguments = [path, "pictures", "tables", "out", "--workers", "1"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match=r"error \[invalid_data\].*annotation-train"):
        runpy.run_path(path, run_name="__main__")
    write_tables(tmp_path / "tables", "train", names, (128, 64), [(names[0], names[1])])
    runpy.run_path(path, run_name="__main__")
    assert "1 pairs of train" in capsys.readouterr().out
    assert len(PersonPairs(tmp_path / "out" / "train", (128, 64))) == 1
