from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gfla.data.pairs import PersonPairs
from gfla.data.pose_tables import read_annotations
from gfla.data.prepare.fashion import find_pictures, flat_name, prepare_fashion
from gfla.errors import GflaError
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
    assert Image.open(folder / "images" / NAMES[0]).size == (256, 256)
    pairs = PersonPairs(folder, (256, 256))
    assert sorted(pairs.pairs) == sorted(PAIRS)
    # What the networks see is squeezed; people see the aspect of the data set.
    assert pairs.picture_size == (256, 176)
    (row,) = [row for row in read_annotations(folder / "annotation.csv") if row.name == NAMES[1]]
    assert np.allclose(row.joints, standing((256, 176), 1) * [256 / 176, 1], atol=0.01)


def test_fashion_is_resized_once_and_bilinearly(tmp_path: Path) -> None:
    # Noise at the true size, so that a second resampling or another filter shows.
    noise = np.random.default_rng(0).integers(0, 256, (1101, 750, 3)).astype(np.uint8)
    for name in TREE:
        (tmp_path / "img_highres" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "img_highres" / name, quality=90)
    write_tables(tmp_path / "tables", "train", NAMES, (256, 176), PAIRS)
    prepare_fashion(tmp_path, tmp_path / "tables", tmp_path / "out", format="png", workers=1)
    pairs = PersonPairs(tmp_path / "out" / "train", (256, 256), resample="bilinear")
    with Image.open(tmp_path / "img_highres" / next(iter(TREE))) as raw:
        seen = _triangles(np.asarray(raw.convert("RGB"), np.float64), (256, 256))
    wanted = np.clip(np.rint(seen), 0, 255)
    found = pairs[0]["source"].permute(1, 2, 0).numpy().astype(float)
    # Pillow rounds between the two axes.
    assert np.abs(found - wanted).max() <= 1
    kept = tmp_path / "kept"
    prepare_fashion(tmp_path, tmp_path / "tables", kept, size=None, workers=1)
    straight = PersonPairs(kept / "train", (256, 256), resample="bilinear")
    assert np.array_equal(straight[0]["source"], pairs[0]["source"])
    assert not np.array_equal(
        PersonPairs(kept / "train", (256, 256))[0]["source"], pairs[0]["source"]
    )


def _triangles(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear as it is defined where a picture shrinks: triangles as wide as two new pixels."""
    for axis, new in enumerate(size):
        old = picture.shape[axis]
        scale = old / new
        away = (np.arange(old) + 0.5) - (np.arange(new)[:, None] + 0.5) * scale
        weights = np.clip(1 - np.abs(away) / scale, 0, None)
        weights /= weights.sum(1, keepdims=True)
        picture = np.moveaxis(np.tensordot(weights, picture, (1, axis)), 0, axis)
    return picture


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
