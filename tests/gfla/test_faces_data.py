from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gfla.data.faces import FaceBlocks, FacePack, read_pack, write_pack
from gfla.data.transforms import FLIPPED, Augmentation, Warp, random_still_warps
from gfla.errors import GflaError
from tests.golden.faces import MEAN_FACE

STILL = Augmentation(scale=(1.0, 1.0), shift=0.0, rotation=0.0, flip=False, colour=0.0)


def marked(landmarks: np.ndarray, size: int = 256) -> np.ndarray:
    """A picture with a white blob at the chin and at the right eye's corner."""
    picture = np.zeros((size, size, 3), np.uint8)
    for index in (8, 36):
        x, y = np.round(landmarks[index] * size - 0.5).astype(int)
        cv2.circle(picture, (int(x), int(y)), 5, (255, 255, 255), -1)
    return picture


def pack(frames: int, identity: str = "a") -> FacePack:
    landmarks = np.stack([MEAN_FACE + 0.01 * t for t in range(frames)]).astype(np.float32)
    pictures = [marked(points) for points in landmarks]
    coded = [cv2.imencode(".jpg", picture)[1].ravel() for picture in pictures]
    offsets = np.cumsum([0, *map(len, coded)])
    return FacePack(np.concatenate(coded), offsets, landmarks, {"identity": identity})


def blocks(packs, **changes) -> FaceBlocks:
    options = {
        "frames": 3,
        "image_size": 128,
        "structure_size": 64,
        "still_share": 0.5,
        "augmentation": Augmentation(),
        "seed": 0,
    }
    return FaceBlocks(packs, **(options | changes))


def brightness(picture: np.ndarray, point: np.ndarray) -> float:
    size = picture.shape[0]
    x, y = np.clip(np.round(point * size - 0.5).astype(int), 2, size - 3)
    return float(picture[y - 2 : y + 3, x - 2 : x + 3].mean())


def test_packs_come_back_as_they_were_written(tmp_path):
    landmarks = np.stack([MEAN_FACE, MEAN_FACE]).astype(np.float32)
    write_pack(tmp_path / "a.npz", [marked(MEAN_FACE)] * 2, landmarks, {"identity": "é"})
    read = read_pack(tmp_path / "a.npz")
    assert len(read) == 2
    assert read.meta == {"identity": "é"}
    assert np.array_equal(read.landmarks, landmarks)
    assert np.abs(read.frame(1).astype(int) - marked(MEAN_FACE)).mean() < 2


@pytest.mark.parametrize("content", [b"", b"not a pack"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(GflaError) as caught:
        read_pack(tmp_path / "a.npz")
    assert caught.value.code == "invalid_pack"


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", jpeg=np.array([{}], dtype=object), offsets=[0], landmarks=[0])
    with pytest.raises(GflaError):
        read_pack(tmp_path / "a.npz")


@pytest.mark.parametrize("packs", [[pack(20)], [pack(1)]], ids=["clip", "still"])
def test_landmarks_stay_on_what_they_mark(packs):
    random = np.random.default_rng(0)
    source = blocks(packs)
    for _ in range(20):
        block = source.draw(random)
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


def test_the_same_seed_draws_the_same_blocks():
    packs = [pack(9), pack(12, "b"), pack(1)]
    first, second = (next(iter(blocks(packs, seed=5))) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = next(iter(blocks(packs, seed=6)))
    assert not torch.equal(first["images"], other["images"])


def test_no_packs_are_refused():
    with pytest.raises(GflaError) as caught:
        blocks([])
    assert caught.value.code == "no_data"


def test_an_unchanged_warp_changes_nothing():
    warp = Warp.similarity(np.random.default_rng(0), STILL, 256)
    picture, points = warp(marked(MEAN_FACE), MEAN_FACE.astype(np.float32))
    assert np.abs(picture.astype(int) - marked(MEAN_FACE)).max() <= 1
    assert np.allclose(points, MEAN_FACE, atol=1e-6)


def test_mirroring_twice_gives_every_landmark_back():
    assert np.array_equal(FLIPPED[FLIPPED], np.arange(68))


def test_a_stills_block_moves_smoothly():
    warps = random_still_warps(np.random.default_rng(0), 5)
    points = [warp(marked(MEAN_FACE), MEAN_FACE.astype(np.float32))[1] for warp in warps[1:]]
    steps = np.diff(points, axis=0)
    assert np.abs(np.diff(steps, axis=0)).max() < 0.02
