from __future__ import annotations

import numpy as np

from gfla.evaluation.files import resized, stored
from gfla.evaluation.protocol import PictureOptions


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
