from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gfla.data.packs import FacePack, write_pack
from gfla.data.published_faces import PublishedFaceClips
from gfla.data.readers import Wanted, open_samples
from gfla.errors import GflaError
from gfla.guidance.face import LABELS, face_structure
from tests.golden.faces import MEAN_FACE

SIDE = 128


def pack(frames: int, shade: int = 0) -> FacePack:
    """A clip whose frames tell their number by the colour of their upper left corner."""
    pictures = []
    for frame in range(frames):
        picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
        picture[:, SIDE - 12 : SIDE - 6] = 200  # an edge in the background
        picture[:16, :16] = 4 * frame + 2 + shade
        pictures.append(picture)
    coded = [cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].ravel() for p in pictures]
    landmarks = np.stack([MEAN_FACE + 0.002 * t for t in range(frames)]).astype(np.float32)
    offsets = np.cumsum([0, *map(len, coded)])
    return FacePack(np.concatenate(coded), offsets, landmarks, {"identity": "a"})


def blocks(packs, **changes):
    options = {"frames": 30, "image_size": SIDE, "structure_size": SIDE, "seed": 1}
    return PublishedFaceClips(packs, **(options | changes))


def numbers(block):
    return ((block["images"][:, 0, 4, 4].float() - 2) / 4).round().int().tolist()


def test_frames_are_neighbours_forwards_and_the_first_is_the_source():
    source = blocks([pack(34)], structure_size=32)
    firsts = set()
    for index in range(12):
        reference, *frames = numbers(source[index])
        assert frames == list(range(frames[0], frames[0] + 30)) and reference == frames[0]
        firsts.add(reference)
    assert firsts <= set(range(5)) and len(firsts) > 2


def test_nothing_is_varied_and_stills_take_no_part():
    clip = pack(6)
    source = blocks([clip, pack(1, 100), pack(2, 100)], frames=2)
    for index in range(6):
        block = source[index]
        for image, number in zip(block["images"], numbers(block), strict=True):
            assert np.array_equal(image.permute(1, 2, 0).numpy(), clip.frame(number))
    with pytest.raises(GflaError) as caught:
        blocks([pack(1)])
    assert caught.value.code == "no_data"


def test_guidance_has_the_edges_of_each_frames_own_background():
    clip = pack(5)
    block = blocks([clip], frames=3)[0]
    for structure, number in zip(block["structures"], numbers(block), strict=True):
        points = clip.landmarks[number] * SIDE - 0.5
        wanted = face_structure(points, SIDE, clip.frame(number), "published")
        np.testing.assert_array_equal(structure.numpy(), wanted)
        # The background's edge, at the right, where there is no face.
        edges = structure[0, 20:100, SIDE - 14 : SIDE - 4]
        assert (edges.sum(1) >= 2).all()
        assert not structure[LABELS, 20:100, SIDE - 14 : SIDE - 4].any()


def test_edges_are_found_in_pictures_that_were_resized_bilinearly():
    grain = np.random.default_rng(3).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    pictures = [np.kron(g, np.ones((8, 8, 1), np.uint8)) for g in grain]
    coded = [cv2.imencode(".jpg", picture)[1].ravel() for picture in pictures]
    landmarks = np.stack([MEAN_FACE] * 4).astype(np.float32)
    clip = FacePack(np.concatenate(coded), np.cumsum([0, *map(len, coded)]), landmarks, {})
    block = blocks([clip], frames=4, image_size=48, structure_size=48)[0]
    linear, cubic = (
        face_structure(
            landmarks[0] * 48 - 0.5,
            48,
            np.array(Image.fromarray(clip.frame(0)).resize((48, 48), resample)),
            "published",
        )
        for resample in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    )
    np.testing.assert_array_equal(block["structures"][0].numpy(), linear)
    assert not np.array_equal(linear, cubic)


def test_the_reader_knows_both_ways_to_draw(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    clip = pack(5)
    pictures = [clip.frame(number) for number in range(5)]
    meta = {"identity": "a", "licence": "CC0", "source": "made up", "kind": "clip"}
    write_pack(folder / "a.npz", pictures, clip.landmarks, meta)
    wanted = Wanted("train", (SIDE, SIDE), (SIDE, SIDE), 3, 1)
    found = open_samples("faces", tmp_path, wanted, {"draws": "published"})
    assert isinstance(found, PublishedFaceClips)
    assert {n: tuple(v.shape) for n, v in found[0].items()} == {
        "images": (4, 3, SIDE, SIDE), "structures": (4, 16, SIDE, SIDE), "landmarks": (4, 68, 2),
    }  # fmt: skip
    ours = open_samples("faces", tmp_path, wanted, {"draws": "varied"})[0]
    assert torch.equal(ours["images"], open_samples("faces", tmp_path, wanted, {})[0]["images"])
    for wrong in ({"draws": "published", "still_share": 0.2}, {"draws": "sometimes"}):
        with pytest.raises(GflaError, match="invalid_config"):
            open_samples("faces", tmp_path, wanted, wrong)


def test_every_epoch_visits_each_clip_once():
    packs = [pack(4, shade) for shade in (0, 40, 80, 120)]
    source = blocks(packs, frames=1, image_size=32, structure_size=32)
    shades = [int(source[index]["images"][0, 0, 1, 1]) // 40 for index in range(12)]
    for epoch in range(3):
        assert sorted(shades[4 * epoch : 4 * epoch + 4]) == [0, 1, 2, 3]
    with pytest.raises(IndexError):
        source[-1]
