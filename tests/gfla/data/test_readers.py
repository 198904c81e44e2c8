"""Data sets by kind: options are checked, held-out samples are not varied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gfla.data.packs import write_pack
from gfla.data.readers import KINDS, Wanted, open_samples
from gfla.errors import GflaError
from tests.golden.faces import MEAN_FACE

WANTED = Wanted("train", (64, 64), (32, 32), 3, 1)
HELD_OUT = Wanted("held-out", (64, 64), (32, 32), 3, 0)


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    picture = np.full((64, 64, 3), 128, np.uint8)
    picture[16:48, 16:48] = (200, 150, 100)
    points = np.repeat(np.asarray(MEAN_FACE, np.float32)[None], 6, 0)
    for split in ("train", "held-out"):
        (tmp_path / split).mkdir()
        write_pack(tmp_path / split / "one.npz", [picture] * 6, points, {"identity": "a"})
    return tmp_path


def test_faces_are_varied_in_training_alone(packs: Path) -> None:
    held_out = open_samples("faces", packs, HELD_OUT, {})
    one, other = held_out[0], held_out[1]
    assert one["images"].shape == (4, 3, 64, 64) and one["structures"].shape == (4, 16, 32, 32)
    assert torch.equal(one["images"], other["images"])
    assert torch.equal(one["landmarks"], other["landmarks"])
    train = open_samples("faces", packs, WANTED, {"still_share": 0.5})
    assert not torch.equal(train[0]["images"], train[1]["images"])
    still = open_samples("faces", packs, WANTED, {"augmentation": False})
    assert torch.equal(still[0]["images"], one["images"])


def test_synthetic_views_need_no_folder() -> None:
    sample = open_samples("synthetic-views", Path("none"), WANTED, {"objects": 1})[0]
    assert sample["source"].shape == (3, 64, 64)
    assert sample["target_structure"].shape == (21, 1, 1)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("cats", {}, "allowed: person"),
        ("faces", {"colour": 1}, "unknown data.options"),
        ("faces", {"augmentation": {"hats": 1}}, "hats"),
        ("faces", {"augmentation": 3}, "allowed: true, false, or values of scale"),
        ("faces", {"augmentation": {"scale": ["a", 1]}}, "augmentation.scale is 'a'"),
        ("faces", {"still_share": []}, "still_share is []; allowed: a number"),
        ("synthetic-views", {"colour": 1}, "known are targets"),
        ("synthetic-views", {"objects": "many"}, "objects is 'many'; allowed: a whole number"),
        ("synthetic-views", {"targets": {}}, "targets is {}; allowed: same-elevation, any"),
        ("person", {"resample": ["bicubic"]}, "allowed: bicubic, bilinear"),
        ("person", {"resample": "nearest"}, "allowed: bicubic, bilinear"),
        ("person", {"annotated": 256}, "annotated is 256; allowed: a list of 2"),
        ("person", {"augmentation": {"exact": 5}}, "exact is 5; allowed: true or false"),
        ("person", {"augmentation": {"shift": "nan"}}, "shift nan"),
        ("dance", {"draws": ["published"]}, "allowed: varied, published"),
        ("dance", {"draws": "published", "fill": [0, 0]}, "allowed: black, white"),
        ("dance", {"draws": "published", "masks": 5}, "masks is 5; allowed: true or false"),
        ("dance", {"augmentation": {"rotation": "far"}}, "rotation is 'far'; allowed: a number"),
        ("dance", {"augmentation": {"shift": 5}}, "shift is 5; allowed: a list of 2"),
        ("dance", {"augmentation": {"scale": [0, 0]}}, "allowed: rising from above 0"),
        ("dance", {"augmentation": {"shift": [-1, 0]}}, "sideways -1.0"),
        ("dance", {"sigma": "wide"}, "sigma is 'wide'; allowed: a number"),
    ],
)
def test_unknown_kinds_and_options_are_refused(
    packs: Path, kind: str, options: dict[str, object], said: str
) -> None:
    with pytest.raises(GflaError) as caught:
        open_samples(kind, packs, WANTED, options)
    assert caught.value.code == "invalid_config" and said in caught.value.message


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "synthetic-views"])
def test_a_missing_folder_is_told(kind: str, tmp_path: Path) -> None:
    with pytest.raises(GflaError, match="there is no folder .*train") as caught:
        open_samples(kind, tmp_path, WANTED, {})
    assert caught.value.code == "no_data"
