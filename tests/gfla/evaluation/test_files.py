from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from gfla.evaluation.files import encoded, resized, stored
from gfla.evaluation.protocol import PictureOptions
from gfla.ops.ranges import to_bytes


def test_pictures_go_through_the_protocols_file_format():
    picture = np.random.default_rng(0).integers(0, 256, (32, 24, 3)).astype(np.uint8)
    assert np.array_equal(stored(picture, PictureOptions(file_format="png")), picture)
    low, high = (
        np.abs(stored(picture, PictureOptions(file_format="jpeg", jpeg_quality=q)) - 0.0 - picture)
        for q in (30, 95)
    )
    assert 0 < high.mean() < low.mean()
    assert resized(picture, PictureOptions(32, 24)) is picture
    filters = [resized(picture, PictureOptions(16, 16, name)) for name in ("bicubic", "bilinear")]
    assert filters[0].shape == (16, 16, 3) and not np.array_equal(*filters)


def test_jpeg_has_the_chroma_and_the_quality_that_the_protocol_says():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    published = encoded(picture, PictureOptions(32, 32, "bilinear", "jpeg", 75, "4:2:0"))
    # A frame's header: SOF0, length, 8 bits, height, width, 3 parts; then the sampling of luma
    # (2 x 2) and of both parts of chroma (1 x 1).
    at = published.index(b"\xff\xc0\x00\x11\x08\x00\x20\x00\x20\x03")
    assert [published[at + 11 + 3 * part] for part in range(3)] == [0x22, 0x11, 0x11]
    # ITU-T T.81's luma table begins 16, 11, 10, 16; quality 75 halves it, rounded.
    table = published.index(b"\xff\xdb")
    assert [published[table + 5 + place] for place in (0, 1)] == [8, 6]
    usual = encoded(picture, PictureOptions(32, 32, file_format="jpeg"))
    at = usual.index(b"\xff\xc0\x00\x11")
    assert [usual[at + 11 + 3 * part] for part in range(3)] == [0x11, 0x11, 0x11]


def test_levels_are_cut_or_rounded():
    # 100.9 of 255, and values beyond the range.
    images = torch.tensor([100.9 / 255 * 2 - 1, -1.2, 1.2, 0.999, 0.0])
    assert to_bytes(images, truncated=True).tolist() == [100, 0, 255, 254, 127]
    assert to_bytes(images).tolist() == [101, 0, 255, 255, 128]


def test_pictures_are_resized_by_the_protocols_filter():
    picture = np.zeros((1, 2, 3), np.uint8)
    picture[0, 1] = 200
    # Doubled, the centres of new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the old ones.
    doubled = resized(picture, PictureOptions(1, 4, "bilinear"))
    assert doubled[0, :, 0].tolist() == [0, 50, 150, 200]
    assert Image.fromarray(doubled).size == (4, 1)
