from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gfla.data.faces import clip_indices
from gfla.data.transforms import Augmentation
from gfla.errors import GflaError
from tests.gfla.data.face_packs import blocks, brightness, pack


@pytest.mark.parametrize("packs", [[pack(20)], [pack(1)]], ids=["clip", "still"])
def test_landmarks_stay_on_what_they_mark(packs):
    # Sharp marks on faces that wear nothing, with the landmarks as they are.
    sharp = {"coarse_share": 0.0, "blur_share": 0.0, "glasses_share": 0.0, "mask_share": 0.0}
    source = blocks(packs, augmentation=Augmentation(**sharp, reshape_share=0.5, jitter=0.0))
    for index in range(20):
        block = source[index]
        for image, landmarks in zip(block["images"], block["landmarks"], strict=True):
            picture, points = image.permute(1, 2, 0).numpy(), landmarks.numpy()
            # In a mirrored block the other eye's landmark lies on the mark.
            marks = [points[8]], [points[36], points[45]]
            for choices in marks:
                inside = all(0.05 < p.min() and p.max() < 0.95 for p in choices)
                assert not inside or max(brightness(picture, p) for p in choices) > 100


def test_blocks_have_the_shapes_and_ranges_they_promise():
    block = blocks([pack(9), pack(1)]).draw(np.random.default_rng(1))
    assert block["images"].shape == (4, 3, 128, 128)
    assert block["images"].dtype == torch.uint8
    assert block["structures"].shape == (4, 16, 64, 64)
    assert block["landmarks"].shape == (4, 68, 2)


def test_a_block_depends_on_seed_and_index_alone():
    packs = [pack(9), pack(12, "b"), pack(1)]
    source = blocks(packs, seed=5)
    in_order = [source[index] for index in range(4)]
    for index in (3, 0, 2):
        again = blocks(packs, seed=5)[index]
        assert all(torch.equal(again[name], in_order[index][name]) for name in again)
    assert not torch.equal(in_order[0]["images"], in_order[1]["images"])
    assert not torch.equal(in_order[0]["images"], blocks(packs, seed=6)[0]["images"])
    with pytest.raises(IndexError):
        source[-1]


def test_loader_workers_change_nothing():
    source = blocks([pack(9), pack(1)], image_size=32, structure_size=32)
    loaded = DataLoader(source, 2, sampler=range(6), num_workers=2)
    for step, batch in enumerate(loaded):
        for row, index in enumerate((2 * step, 2 * step + 1)):
            assert torch.equal(batch["images"][row], source[index]["images"])


@pytest.mark.parametrize(("length", "frames"), [(40, 30), (9, 30), (4, 6)])
def test_long_blocks_come_from_short_clips_too(length, frames):
    source = blocks([pack(length)], frames=frames, image_size=32, structure_size=32)
    random = np.random.default_rng(0)
    for _ in range(20):
        _, *targets = clip_indices(random, length, frames)
        steps = set(np.abs(np.diff(targets)))
        assert len(targets) == frames
        assert 0 <= min(targets) and max(targets) < length
        assert len(steps - {0}) == 1 or length == 4
    assert source[0]["images"].shape == (frames + 1, 3, 32, 32)


def test_identities_are_drawn_fairly():
    packs = [pack(16, "many") for _ in range(4)] + [pack(16, "one")]
    odds = blocks(packs).odds
    assert odds[4] == pytest.approx(2 * odds[0])


def test_no_packs_are_refused():
    with pytest.raises(GflaError) as caught:
        blocks([])
    assert caught.value.code == "no_data"
