from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gfla.data.pairs import FILL, PairAugmentation, PersonPairs
from gfla.data.pose_tables import Annotation, write_annotations, write_pairs
from gfla.errors import GflaError
from tests.gfla.person_files import standing, write_picture, write_prepared

NAMES = ("a.png", "b/c.png", "d.jpg")


def test_a_sample_is_two_pictures_and_their_heat_maps(tmp_path: Path) -> None:
    pairs = PersonPairs(write_prepared(tmp_path, (64, 48)), (64, 64), shuffled=False)
    assert pairs.pair(0) == ("a.png", "b/c.png") and pairs.pair(2) == ("a.png", "b/c.png")
    sample = pairs[0]
    assert {name: (value.dtype, tuple(value.shape)) for name, value in sample.items()} == {
        "source": (torch.uint8, (3, 64, 64)),
        "source_structure": (torch.float32, (18, 64, 64)),
        "target": (torch.uint8, (3, 64, 64)),
        "target_structure": (torch.float32, (18, 64, 64)),
    }
    for joint in (0, 7, 13):  # the maps peak where the joints come to lie: 48 wide becomes 64
        x, y = pairs.joints["a.png"][joint]
        place = int(sample["source_structure"][joint].argmax())
        assert divmod(place, 64) == (int(y), int(x * 64 / 48))
    assert torch.equal(sample["source"], pairs[1]["target"])


def test_pictures_of_the_right_size_are_untouched(tmp_path: Path) -> None:
    pairs = PersonPairs(write_prepared(tmp_path, (64, 48)), (64, 48), shuffled=False)
    picture = np.asarray(Image.open(tmp_path / "images" / "a.png"))
    assert np.array_equal(pairs[0]["source"].permute(1, 2, 0).numpy(), picture)


def test_annotations_of_another_size(tmp_path: Path) -> None:
    write_prepared(tmp_path, (64, 64))
    rows = [Annotation(n, standing((32, 16), i).round()) for i, n in enumerate(NAMES[:2])]
    write_annotations(tmp_path / "annotation.csv", rows)
    pairs = PersonPairs(tmp_path, (64, 64), annotated=(32, 16), shuffled=False)
    x, y = rows[0].joints[0]
    place = int(pairs[0]["source_structure"][0].argmax())
    assert divmod(place, 64) == (2 * int(y), 4 * int(x))


def test_samples_are_stateless_and_every_epoch_has_its_order(tmp_path: Path) -> None:
    write_prepared(tmp_path, names=NAMES)
    options = {"augmentation": PairAugmentation(), "seed": 3}
    one, two = (PersonPairs(tmp_path, (64, 32), **options) for _ in range(2))
    count = len(one)
    assert count == 6
    order = [one.pair(index) for index in range(3 * count)]
    epochs = [order[start : start + count] for start in range(0, 3 * count, count)]
    assert all(sorted(epoch) == sorted(one.pairs) for epoch in epochs)
    assert epochs[0] != epochs[1] or epochs[1] != epochs[2]
    for index in (17, 0, 5):
        first, again = one[index], two[index]
        assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(one[0]["source"], PersonPairs(tmp_path, (64, 32))[0]["source"])
    with pytest.raises(IndexError):
        one[-1]


def test_augmentation_moves_picture_and_joints_alike(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    joints = np.full((18, 2), -1.0)
    joints[0] = (40, 90)
    picture = np.zeros((128, 64, 3), np.uint8)
    picture[89:92, 39:42] = 255
    for name in ("a.png", "b.png"):
        Image.fromarray(picture).save(folder / name)
    write_annotations(
        tmp_path / "annotation.csv", [Annotation(n, joints) for n in ("a.png", "b.png")]
    )
    write_pairs(tmp_path / "pairs.csv", [("a.png", "b.png")])
    pairs = PersonPairs(tmp_path, (128, 64), augmentation=PairAugmentation())
    moved = []
    for index in range(20):
        sample = pairs[index]
        for side in ("source", "target"):
            light = sample[side][0].float() * (sample[side][0] > 140)
            rows, columns = (torch.arange(n).float() for n in light.shape)
            seen_x = float((light.sum(0) * columns).sum() / light.sum())
            seen_y = float((light.sum(1) * rows).sum() / light.sum())
            y, x = divmod(int(sample[f"{side}_structure"][0].argmax()), 64)
            assert abs(seen_x - x - 0.5) < 1.3 and abs(seen_y - y - 0.5) < 1.3
            assert sample[f"{side}_structure"][1:].abs().max() == 0
        moved.append((sample["source"], sample["target"]))
    colours = {tuple(source[:, 0, 0].tolist()) for source, _ in moved}
    assert FILL in colours


def test_the_target_moves_less_than_the_source() -> None:
    strength, random = PairAugmentation(), np.random.default_rng(0)
    draws = [strength.draw(random, (128, 64)) for _ in range(300)]
    centre = np.array([32.5, 64.5])  # a pixel beyond the middle of the pixels, as published
    for side, angle, shift, zoom in ((0, 5, 5, 0.05), (1, 1, 2.5, 0)):
        maps = np.stack([draw[side] for draw in draws])
        angles = np.degrees(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
        zooms = np.hypot(maps[:, 0, 0], maps[:, 1, 0])
        shifts = maps[:, :, :2] @ centre + maps[:, :, 2] - centre
        assert 0.9 * angle < np.abs(angles).max() <= angle
        assert 0.9 * shift < np.abs(shifts).max() <= shift
        assert 0.9 * zoom <= np.abs(zooms - 1).max() <= zoom + 1e-9


def test_pairs_without_picture_or_joints_are_left_out_and_listed(tmp_path: Path) -> None:
    write_prepared(tmp_path, names=("a.png", "b.png", "c.png", "d.png", "f.png"))
    (tmp_path / "images" / "d.png").unlink()
    with (tmp_path / "pairs.csv").open("a") as file:
        file.write("a.png,e.png\n../a.png,b.png\n")
    pairs = PersonPairs(tmp_path, (64, 48))
    assert len(pairs) == 12
    text = "\n".join(pairs.skipped)
    assert "'d.png' is not there" in text and "'e.png' has no joints" in text
    assert "line 23" in text and len(pairs.skipped) == 3


@pytest.mark.parametrize("lost", ["annotation.csv", "pairs.csv", "images/a.png", "all pairs"])
def test_a_folder_that_is_of_no_use_stops_at_once(tmp_path: Path, lost: str) -> None:
    write_prepared(tmp_path)
    if lost == "all pairs":
        write_pairs(tmp_path / "pairs.csv", [])
    else:
        (tmp_path / lost).unlink()
    with pytest.raises(GflaError) as caught:
        PersonPairs(tmp_path)
    assert caught.value.code == "invalid_data" and str(tmp_path) in caught.value.message


@pytest.mark.parametrize("kept", [0, 10, 500])
def test_a_damaged_picture_is_named(tmp_path: Path, kept: int) -> None:
    write_prepared(tmp_path, names=("a.jpg", "b.jpg"))
    path = write_picture(tmp_path / "images" / "a.jpg", (64, 48))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(GflaError, match=r"a\.jpg") as caught:
        PersonPairs(tmp_path, (64, 48))[0]
    assert caught.value.code == "invalid_data"


def test_the_size_of_pictures_before_they_are_resized(tmp_path: Path) -> None:
    write_prepared(tmp_path, (64, 48), names=("a.jpg", "b.jpg"))
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    assert PersonPairs(tmp_path, (32, 32)).picture_size == (64, 48)
    for said in ("[Infinity, 48]", "[64]", "{}", "[-64, 48]"):
        (tmp_path / "shown-size.json").write_text(said)
        assert PersonPairs(tmp_path, (32, 32)).picture_size == (64, 48)
    (tmp_path / "images" / "b.jpg").write_bytes(b"")
    with pytest.raises(GflaError, match=r"\.jpg"):
        _ = PersonPairs(tmp_path, (32, 32)).picture_size


def test_sizes_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(GflaError):
        PersonPairs(write_prepared(tmp_path), (0, 64))
    with pytest.raises(GflaError):
        PairAugmentation(scale=(1.1, 1.0))
