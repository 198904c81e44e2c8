from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gfla.data.readers import Wanted, open_samples
from gfla.data.shapenet import ShapeNetViews, prepare_shapenet, view_name
from gfla.data.synthetic_views import HELD_OUT, SyntheticViews
from gfla.data.views import AZIMUTHS, ELEVATIONS, ViewPairs, view_vector
from gfla.errors import GflaError

h5py = pytest.importorskip("h5py", reason="the layout of ShapeNet's views is HDF5")
WANTED = Wanted("train", (32, 32), (32, 32), 1, 0)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A small data set in the published layout: two objects to train on, one held out."""
    folder = tmp_path_factory.mktemp("shapenet")
    views = SyntheticViews(3, 24)
    with h5py.File(folder / "data_car.hdf5", "w") as file:
        for name in views.objects:
            for azimuth in range(AZIMUTHS):
                for elevation in range(ELEVATIONS):
                    group = file.create_group(view_name(name, azimuth, elevation))
                    group["image"] = views.picture(name, azimuth, elevation)
                    group["pose"] = np.array([2 * azimuth, 10 * elevation])
    for part, names in (("train", "01"), ("test", "2")):
        lines = [view_name(n, a, e) for n in names for a in range(18) for e in range(3)]
        (folder / f"id_car_{part}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def copy(published, tmp_path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "copy"))


def test_view_vectors_are_one_hot_twice():
    vector = view_vector(17, 1)
    assert vector.shape == (21, 1, 1)
    assert torch.nonzero(vector.flatten()).flatten().tolist() == [17, 19]
    with pytest.raises(GflaError):
        view_vector(18, 0)


def test_made_views_repeat_and_differ():
    one, again = SyntheticViews(2, 48), SyntheticViews(2, 48)
    pictures = [one.picture("0", azimuth, 1) for azimuth in range(AZIMUTHS)]
    assert np.array_equal(pictures[3], again.picture("0", 3, 1))
    for first in range(AZIMUTHS):
        others = [pictures[i] for i in range(AZIMUTHS) if i != first]
        assert min(np.abs(p.astype(int) - pictures[first]).mean() for p in others) > 1
    assert not np.array_equal(pictures[0], one.picture("1", 0, 1))


def test_made_objects_stand_upright_within_the_picture():
    views = SyntheticViews(20, 64)
    for name in views.objects:
        for view in ((0, 0), (4, 2), (11, 1)):
            picture = views.picture(name, *view)
            border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
            assert (border == 255).all()
            rows = np.flatnonzero((picture < 250).any((1, 2)))
            widths = (picture < 250).any(2).sum(1)
            # Prisms that taper upwards are wider below.
            assert widths[rows[-len(rows) // 3 :]].mean() >= widths[rows[: len(rows) // 3]].mean()


def test_an_epoch_shows_every_view_once():
    pairs = ViewPairs(SyntheticViews(2, 16), (16, 16), seed=3)
    count = 2 * AZIMUTHS * ELEVATIONS
    seen = {pairs[index]["source"].numpy().tobytes() for index in range(count)}
    assert len(seen) > 0.9 * count
    assert not torch.equal(pairs[0]["source"], pairs[count]["source"])


def test_pairs_keep_the_elevation_unless_asked():
    same, free = (
        ViewPairs(SyntheticViews(2, 8), (8, 8), targets=t) for t in ("same-elevation", "any")
    )
    for index in range(30):
        pair = same[index]
        assert torch.equal(pair["source_structure"][18:], pair["target_structure"][18:])
    pairs = [free[index] for index in range(30)]
    assert any(
        not torch.equal(p["source_structure"][18:], p["target_structure"][18:]) for p in pairs
    )
    with pytest.raises(GflaError):
        ViewPairs(SyntheticViews(2, 8), targets="none")


def test_few_pairs_come_again_and_again():
    all_pairs = ViewPairs(SyntheticViews(2, 32), (32, 32), seed=3)
    few = ViewPairs(SyntheticViews(2, 32), (32, 32), pairs=4, seed=3)
    for index in (0, 3, 4, 10):
        theirs = all_pairs[index % 4]
        assert all(torch.equal(value, theirs[name]) for name, value in few[index].items())
    with pytest.raises(GflaError):
        ViewPairs(SyntheticViews(2, 32), (32, 32), pairs=0)


def test_synthetic_views_open_without_files():
    wanted = {split: Wanted(split, (32, 32), (32, 32), 1, 0) for split in ("train", "held-out")}
    sets = [
        open_samples("synthetic-views", Path("nowhere"), w, {"objects": 4}) for w in wanted.values()
    ]
    pair = sets[0][5]
    assert pair["source"].shape == pair["target"].shape == (3, 32, 32)
    assert pair["source"].dtype == torch.uint8
    assert sets[1].views.objects[0] == str(HELD_OUT)


def test_published_layout_is_checked_split_and_read(published, tmp_path):
    report = prepare_shapenet(published, tmp_path, workers=1)
    assert report.counts == {"objects in train": 2, "objects in held-out": 1}
    assert json.loads((tmp_path / "report.json").read_text())["skipped"] == {}
    pairs = open_samples("views", tmp_path, WANTED, {})
    pair = pairs[0]
    azimuth = int(pair["source_structure"][:18].argmax())
    elevation = int(pair["source_structure"][18:].argmax())
    views = SyntheticViews(3, 24)
    shown = [ViewPairs(views, (32, 32))._picture(n, azimuth, elevation) for n in "01"]
    assert any(torch.equal(pair["source"], picture) for picture in shown)


def test_incomplete_objects_are_left_out_and_listed(copy, tmp_path):
    with h5py.File(copy / "data_car.hdf5", "a") as file:
        del file[view_name("0", 4, 1)]
    report = prepare_shapenet(copy, tmp_path / "out", workers=1)
    assert report.skipped == {"a view is missing": ["train/0"]}
    assert ShapeNetViews(tmp_path / "out" / "train").objects == ["1"]
    with h5py.File(copy / "data_car.hdf5", "a") as file:
        file[view_name("2", 0, 0)]["pose"][...] = [2, 0]
    with pytest.raises(GflaError, match="no object of held-out"):
        prepare_shapenet(copy, tmp_path / "out", workers=1)


def test_a_second_run_checks_nothing_again(published, tmp_path, monkeypatch):
    first = prepare_shapenet(published, tmp_path, workers=1)

    def fail(_):
        raise AssertionError("checked again")

    monkeypatch.setattr("gfla.data.shapenet._check", fail)
    assert prepare_shapenet(published, tmp_path, workers=1).counts == first.counts


def test_what_is_missing_is_named(published, copy, tmp_path):
    (copy / "id_car_test.txt").unlink()
    with pytest.raises(GflaError, match="id_car_test") as caught:
        prepare_shapenet(copy, tmp_path, workers=1)
    assert caught.value.code == "no_data"
    shutil.copy(published / "id_car_train.txt", copy / "id_car_test.txt")
    with pytest.raises(GflaError, match="in both lists"):
        prepare_shapenet(copy, tmp_path, workers=1)
    with pytest.raises(GflaError) as caught:
        ShapeNetViews(tmp_path / "none")
    assert caught.value.code == "no_data"


def test_a_view_that_went_missing_says_which(copy, tmp_path):
    prepare_shapenet(copy, tmp_path / "out", workers=1)
    with h5py.File(copy / "data_car.hdf5", "a") as file:
        del file[view_name("0", 4, 1)]
    with pytest.raises(GflaError, match="0_8_10") as caught:
        ShapeNetViews(tmp_path / "out" / "train").picture("0", 4, 1)
    assert caught.value.code == "invalid_sample"
