from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gfla.data.faces import FaceBlocks, clip_indices
from gfla.data.packs import FacePack, read_pack, read_packs, write_pack
from gfla.data.transforms import FLIPPED, UNCHANGED, Augmentation, Warp, random_still_warps
from gfla.errors import GflaError
from tests.golden.faces import MEAN_FACE

STILL = UNCHANGED


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


def test_a_damaged_frame_says_which_it_is(tmp_path):
    write_pack(tmp_path / "a.npz", [marked(MEAN_FACE)], MEAN_FACE[None], {"path": "a.mp4"})
    whole = read_pack(tmp_path / "a.npz")
    jpeg = whole.jpeg.copy()
    jpeg[-40:] = 0
    broken = FacePack(jpeg, whole.offsets, whole.landmarks, whole.meta)
    with pytest.raises(GflaError, match=r"frame 0 of a\.mp4") as caught:
        blocks([broken])[0]
    assert caught.value.code == "invalid_sample"


def test_packs_may_stay_on_disk(tmp_path):
    frames = [marked(MEAN_FACE), 255 - marked(MEAN_FACE)]
    landmarks = np.stack([MEAN_FACE] * 2).astype(np.float32)
    write_pack(tmp_path / "a.npz", frames, landmarks, {})
    here, there = (read_pack(tmp_path / "a.npz", on_disk=disk) for disk in (False, True))
    assert len(there.jpeg) == len(here.jpeg)
    assert all(np.array_equal(here.frame(i), there.frame(i)) for i in range(2))


def write_folder(folder, packs: int, broken: int) -> None:
    for number in range(packs):
        write_pack(folder / f"{number}.npz", [marked(MEAN_FACE)], MEAN_FACE[None], {})
    for number in range(broken):
        path = folder / f"{number}.npz"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def test_a_broken_pack_is_left_out_and_listed(tmp_path):
    write_folder(tmp_path, packs=3, broken=1)
    options = {"frames": 2, "image_size": 32, "structure_size": 32, "still_share": 0.5, "seed": 0}
    source = FaceBlocks.open(tmp_path, augmentation=UNCHANGED, **options)
    assert len(source.stills) == 2
    assert [sentence.split(":")[0] for sentence in source.skipped] == ["0.npz"]


def test_a_folder_of_broken_packs_stops_at_once(tmp_path):
    write_folder(tmp_path, packs=3, broken=2)
    with pytest.raises(GflaError) as caught:
        read_packs(tmp_path)
    assert caught.value.code == "invalid_data"
    with pytest.raises(GflaError) as caught:
        read_packs(tmp_path / "none")
    assert caught.value.code == "no_data"


def test_landmarks_that_are_no_numbers_are_refused(tmp_path):
    points = MEAN_FACE[None].copy()
    points[0, 3] = np.nan
    write_pack(tmp_path / "a.npz", [marked(MEAN_FACE)], points, {})
    with pytest.raises(GflaError, match="not a number"):
        read_pack(tmp_path / "a.npz")


def test_a_killed_write_leaves_no_pack(tmp_path, monkeypatch):
    def killed(*_args, **_arrays):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        write_pack(tmp_path / "a.npz", [marked(MEAN_FACE)], MEAN_FACE[None], {})
    assert not list(tmp_path.iterdir())


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
