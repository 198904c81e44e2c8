from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gfla.data.persons import ClipAugmentation, PersonClips
from gfla.data.pose_tables import Annotation, write_annotations
from gfla.data.readers import Wanted, open_samples
from gfla.errors import GflaError

SIZE = 64
BODY = np.array(
    [(32, 10), (32, 18), (24, 18), (20, 28), (18, 38), (40, 18), (44, 28), (46, 38), (28, 38)]
    + [(27, 48), (26, 60), (36, 38), (37, 48), (38, 60), (30, 8), (34, 8), (28, 9), (36, 9)],
    float,
)


def write_clips(folder, clips=2, frames=5):
    """Clips of a white square that moves with its person's nose."""
    rows = []
    for clip in range(clips):
        (folder / "images" / f"c{clip}").mkdir(parents=True)
        for frame in range(frames):
            joints = BODY + [2 * frame - clip, 0]
            picture = np.zeros((SIZE, SIZE, 3), np.uint8)
            cv2.circle(picture, tuple(int(v) for v in joints[0]), 4, (255, 255, 255), -1)
            name = f"c{clip}/{frame:05d}.png"
            cv2.imwrite(str(folder / "images" / name), picture)
            rows.append(Annotation(name, joints))
    # Photos beside the clips' folders are no clip.
    rows += [Annotation(f"photo{number}.png", BODY) for number in range(3)]
    write_annotations(folder / "annotation.csv", rows)
    return rows


@pytest.mark.parametrize("augmentation", [None, ClipAugmentation()])
def test_structures_stay_on_their_pictures(tmp_path, augmentation):
    write_clips(tmp_path)
    clips = PersonClips(tmp_path, (SIZE, SIZE), frames=3, augmentation=augmentation, sigma=3)
    for index in range(8):
        block = clips[index]
        assert block["images"].shape == (4, 3, SIZE, SIZE)
        assert block["images"].dtype == torch.uint8
        for image, structure in zip(block["images"], block["structures"], strict=True):
            y, x = divmod(int(structure[0].argmax()), SIZE)
            assert image[0, y, x] > 100


def test_blocks_repeat_and_open_by_kind(tmp_path):
    write_clips(tmp_path / "train")
    wanted = Wanted("train", (SIZE, SIZE), (SIZE, SIZE), 8, 3)
    first, again = (open_samples("dance", tmp_path, wanted, {"augmentation": True}) for _ in "ab")
    assert first[4]["images"].shape[0] == 9
    assert all(torch.equal(first[4][name], again[4][name]) for name in first[4])
    assert not torch.equal(first[4]["images"], first[5]["images"])


def test_broken_frames_are_left_out_listed_or_told(tmp_path):
    rows = write_clips(tmp_path)
    (tmp_path / "images" / rows[0].name).unlink()
    few = Annotation(rows[1].name, np.full((18, 2), -1.0))
    write_annotations(tmp_path / "annotation.csv", [rows[0], few, *rows[2:]])
    with (tmp_path / "annotation.csv").open("a") as file:
        file.write("c0/00009.png:[NaN]:[1]\n")
    clips = PersonClips(tmp_path, (SIZE, SIZE), frames=2)
    assert len(clips.skipped) == 3
    assert [len(names) for names in clips.clips] == [3, 5]
    for path in (tmp_path / "images").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(GflaError) as caught:
        clips[0]
    assert caught.value.code == "invalid_sample"


def test_useless_folders_stop_at_once(tmp_path):
    write_clips(tmp_path)
    for path in list((tmp_path / "images").rglob("*.png"))[:9]:
        path.unlink()
    with pytest.raises(GflaError) as caught:
        PersonClips(tmp_path, (SIZE, SIZE))
    assert caught.value.code == "invalid_data"
