from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from gfla.data.persons import ClipAugmentation
from gfla.data.pose_tables import Annotation, write_annotations
from gfla.data.published_persons import PublishedClips
from gfla.data.readers import Wanted, open_samples
from gfla.errors import GflaError
from gfla.guidance.skeleton import skeleton_structures
from tests.gfla.data.test_persons import BODY, SIZE

STILL = ClipAugmentation(rotation=0, shift=(0, 0), scale=(1, 1))
MOVING = ClipAugmentation()


def write_clip(folder, frames=40, name="c", blue=0):
    """A clip whose frames tell their number by their colour, with masks of the lower half."""
    rows = []
    for kind in ("images", "masks"):
        (folder / kind / name).mkdir(parents=True)
    for frame in range(frames):
        picture = np.full((SIZE, SIZE, 3), 4 * frame + 3, np.uint8)
        picture[..., 0] = blue
        cv2.imwrite(str(folder / "images" / name / f"{frame:05d}.png"), picture)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[SIZE // 2 :] = 255
        cv2.imwrite(str(folder / "masks" / name / f"{frame:05d}.png"), mask)
        rows.append(Annotation(f"{name}/{frame:05d}.png", BODY + [0.1 * frame, 0]))
    write_annotations(folder / "annotation.csv", rows)
    return rows


def numbers(block):
    return ((block["images"][:, 0, SIZE // 2, SIZE // 2].int() - 3) // 4).tolist()


def test_frames_are_neighbours_forwards_and_sources_from_the_first_twenty(tmp_path):
    write_clip(tmp_path)
    clips = PublishedClips(tmp_path, (SIZE, SIZE), frames=30)
    sources, firsts = set(), set()
    for index in range(24):
        source, *frames = numbers(clips[index])
        assert frames == list(range(frames[0], frames[0] + 30))
        sources.add(source)
        firsts.add(frames[0])
    assert max(sources) <= 19 and len(sources) > 8
    assert firsts <= set(range(11)) and len(firsts) > 5


def test_frames_are_drawn_as_published_and_sources_otherwise(tmp_path):
    rows = write_clip(tmp_path)
    clips = PublishedClips(tmp_path, (SIZE, SIZE), frames=3)
    block = clips[0]
    source, *frames = numbers(block)
    drawn = skeleton_structures(
        np.stack([rows[frame].joints for frame in frames]), (SIZE, SIZE), style="published"
    )
    assert torch.equal(block["structures"][1:], drawn)
    own = skeleton_structures(
        rows[source].joints[None], (SIZE, SIZE), style="published", role="source"
    )
    assert torch.equal(block["structures"][:1], own)


def test_moved_joints_are_cut_to_whole_pixels(tmp_path):
    write_clip(tmp_path, 2)
    for augmentation, peak in ((STILL, 1.0), (None, math.exp(-(0.1**2) / 72))):
        clips = PublishedClips(tmp_path, (SIZE, SIZE), frames=1, augmentation=augmentation)
        found = [clips[index] for index in range(20)]
        block = next(block for block in found if numbers(block)[1] == 1)
        # The left wrist of frame 1 is at 46.1, 38.
        assert block["structures"][1, 13, 38, 46] == pytest.approx(peak, abs=1e-6)


def test_masks_are_of_the_frames_to_render(tmp_path):
    write_clip(tmp_path)
    clips = PublishedClips(tmp_path, (SIZE, SIZE), frames=4, masks=True, augmentation=MOVING)
    masks = clips[0]["masks"]
    assert masks.shape == (4, 1, SIZE, SIZE) and masks.dtype == torch.float32
    assert 0.3 < masks.mean() < 0.7
    assert masks[:, :, :8].max() == 0 and masks[:, 0, 48:56, 32].min() == 1
    (tmp_path / "masks" / "c" / "00003.png").unlink()
    with pytest.raises(GflaError, match="00003") as caught:
        for index in range(40):
            clips[index]
    assert caught.value.code == "invalid_sample"


def test_data_without_masks_says_what_does_without(tmp_path):
    write_clip(tmp_path / "train")
    wanted = Wanted("train", (SIZE, SIZE), (SIZE, SIZE), 3, 1)
    options = {"draws": "published", "masks": True, "augmentation": True}
    assert "masks" in open_samples("dance", tmp_path, wanted, options)[0]
    (tmp_path / "train" / "masks").rename(tmp_path / "elsewhere")
    with pytest.raises(GflaError, match="data.options.masks=false") as caught:
        open_samples("dance", tmp_path, wanted, options)
    assert caught.value.code == "no_data"
    for wrong in ({"masks": True}, {"draws": "ours"}, {"draws": "published", "fill": "green"}):
        with pytest.raises(GflaError, match="invalid_config"):
            open_samples("dance", tmp_path, wanted, wrong)


@pytest.mark.parametrize("own", [True, False])
def test_the_source_moves_with_the_frames_or_by_itself(tmp_path, own):
    rows = write_clip(tmp_path, frames=2)
    write_annotations(tmp_path / "annotation.csv", [Annotation(r.name, BODY) for r in rows])
    clips = PublishedClips(
        tmp_path, (SIZE, SIZE), frames=1, augmentation=MOVING, own_source=own, fill="white"
    )
    apart = []
    for index in range(12):
        block = clips[index]
        # The nose, of COCO's joints; the right hip is in both orders.
        source, frame = block["structures"][0, 12], block["structures"][1, 1]
        apart.append(source.argmax() != frame.argmax())
        assert (block["images"] == 255).any() or own
    assert any(apart) == own


def test_every_epoch_visits_each_clip_once(tmp_path):
    rows = []
    for number in range(5):
        rows += write_clip(tmp_path, 3, f"c{number}", blue=40 * number)
    write_annotations(tmp_path / "annotation.csv", rows)
    clips = PublishedClips(tmp_path, (SIZE, SIZE), frames=6, seed=2)
    blocks = [clips[index] for index in range(15)]
    assert all(max(numbers(block)) <= 2 for block in blocks)  # a short clip is run to and fro
    seen = [int(block["images"][0, 2, 0, 0]) // 40 for block in blocks]
    epochs = [seen[start : start + 5] for start in (0, 5, 10)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    again = PublishedClips(tmp_path, (SIZE, SIZE), frames=6, seed=2)[7]
    assert all(torch.equal(blocks[7][name], again[name]) for name in again)
    with pytest.raises(IndexError):
        clips[-1]
