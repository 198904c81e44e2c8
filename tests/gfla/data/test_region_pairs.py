from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from gfla.data.packs import FacePack
from gfla.data.region_packs import TILES, mosaic
from gfla.data.region_pairs import STILL, RegionAugmentation, RegionPairs
from gfla.errors import GflaError
from tests.gfla.data.face_packs import pack
from tests.golden.faces import MEAN_FACE

FRAMES = 8


def region_pack(frames: int, identity: str = "a", gap: float = 0.08) -> FacePack:
    """A mouth that opens from frame to frame."""
    landmarks = np.repeat(MEAN_FACE[None], frames, 0).astype(np.float32)
    landmarks[:, 65:68, 1] += gap * np.linspace(0, 1, frames, dtype=np.float32)[:, None]
    whole = pack(frames)
    mosaics = [mosaic(whole.frame(index), landmarks[index]) for index in range(frames)]
    coded = [cv2.imencode(".jpg", picture)[1].ravel() for picture in mosaics]
    offsets = np.cumsum([0, *map(len, coded)])
    return FacePack(np.concatenate(coded), offsets, landmarks, {"identity": identity})


def pairs(packs, **changes) -> RegionPairs:
    options = {
        "frames": 2,
        "augmentation": STILL,
        "still_share": 0.0,
        "closed_share": 0.0,
        "seed": 0,
    }
    return RegionPairs(packs, **(options | changes))


@pytest.fixture(scope="module")
def packs() -> list[FacePack]:
    return [region_pack(FRAMES), region_pack(FRAMES, "b", gap=0.02)]


def test_samples_have_the_shapes_they_promise(packs):
    sample = pairs(packs, augmentation=RegionAugmentation())[3]
    for kind, count in (("mouth", 1), ("eye", 2)):
        tile = TILES["mouth" if kind == "mouth" else "right eye"]
        size = (3, tile.height, tile.width)
        assert sample[f"{kind}_source"].shape == (count, *size)
        assert sample[f"{kind}_targets"].shape == (count, 2, *size)
        assert sample[f"{kind}_source"].dtype == torch.uint8
        for name, shape in (("stored", (68, 2)), ("landmarks", (68, 2)), ("placed", (4,))):
            assert sample[f"{kind}_{name}"].shape == (count, 3, *shape)
            assert sample[f"{kind}_{name}"].dtype == torch.float32


def test_a_sample_depends_on_seed_and_index_alone(packs):
    made = pairs(packs, augmentation=RegionAugmentation())
    for name, value in made[5].items():
        assert torch.equal(value, made[5][name])
    other = pairs(packs, augmentation=RegionAugmentation(), seed=1)
    assert not torch.equal(made[5]["mouth_stored"], other[5]["mouth_stored"])
    with pytest.raises(IndexError):
        made[-1]


def test_pairs_as_they_are_lie_where_they_were_cut(packs):
    sample = pairs(packs)[0]
    for kind in ("mouth", "eye"):
        assert torch.equal(sample[f"{kind}_stored"], sample[f"{kind}_landmarks"])
        assert not sample[f"{kind}_placed"].any()


def test_targets_are_neighbours_and_rather_open(packs):
    made = pairs(packs[:1], any_share=0.0)
    lips = [made[index]["mouth_stored"][0, :, 66, 1] for index in range(60)]
    places = [(value - MEAN_FACE[66, 1]) / 0.08 * (FRAMES - 1) for value in lips]
    assert all(float(p[2] - p[1]) == pytest.approx(1, abs=1e-3) for p in places)
    sources, targets = (float(np.mean([float(p[i]) for p in places])) for i in (0, 1))
    assert targets > sources + 1


def test_a_mouth_may_be_its_own_source_with_its_lips_together(packs):
    sample = pairs(packs, closed_share=1.0)[2]
    stored, landmarks = sample["mouth_stored"][0], sample["mouth_landmarks"][0]
    assert torch.equal(stored[0], stored[1]) and torch.equal(stored[1:], landmarks[1:])
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        gap = (landmarks[0, upper] - landmarks[0, lower])[1].abs()
        assert gap <= (stored[0, upper] - stored[0, lower])[1].abs() and gap < 0.005


def test_only_photos_with_open_lips_serve(packs):
    photos = [region_pack(2, "c", gap=0.0), region_pack(2, "d")]
    photos[1] = dataclasses.replace(photos[1], landmarks=photos[1].landmarks[::-1].copy())
    made = pairs([*packs, *photos], still_share=0.5)
    assert [still.meta["identity"] for still in made.stills] == ["d"]
    assert pairs([*packs, photos[0]], still_share=0.5).still_share == 0


def test_photos_alone_are_refused():
    with pytest.raises(GflaError) as caught:
        pairs([region_pack(2)])
    assert caught.value.code == "no_data"
