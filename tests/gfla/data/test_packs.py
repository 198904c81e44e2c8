from __future__ import annotations

import numpy as np
import pytest

from gfla.data.faces import FaceBlocks
from gfla.data.packs import FacePack, read_pack, read_packs, write_pack
from gfla.data.transforms import UNCHANGED
from gfla.errors import GflaError
from tests.gfla.data.face_packs import blocks, marked
from tests.golden.faces import MEAN_FACE


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
