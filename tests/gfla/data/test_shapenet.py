from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gfla.data.readers import Wanted, open_samples
from gfla.data.shapenet import ShapeNetViews, prepare_shapenet, view_name
from gfla.data.synthetic_views import SyntheticViews
from gfla.data.views import AZIMUTHS, ELEVATIONS, ViewPairs
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
