from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gfla.data.readers import Wanted, open_samples
from gfla.data.synthetic_views import HELD_OUT, SyntheticViews
from gfla.data.views import AZIMUTHS

WANTED = Wanted("train", (32, 32), (32, 32), 1, 0)


def test_made_views_repeat_and_differ():
    one, again = SyntheticViews(2, 48), SyntheticViews(2, 48)
    pictures = [one.picture("0", azimuth, 1) for azimuth in range(AZIMUTHS)]
    assert np.array_equal(pictures[3], again.picture("0", 3, 1))
    for first in range(AZIMUTHS):
        others = [pictures[i] for i in range(AZIMUTHS) if i != first]
        assert min(np.abs(p.astype(int) - pictures[first]).mean() for p in others) > 1
    assert not np.array_equal(pictures[0], one.picture("1", 0, 1))


def test_made_objects_stand_upright_within_the_picture():
    views = SyntheticViews(20, 64)
    for name in views.objects:
        for view in ((0, 0), (4, 2), (11, 1)):
            picture = views.picture(name, *view)
            border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
            assert (border == 255).all()
            rows = np.flatnonzero((picture < 250).any((1, 2)))
            widths = (picture < 250).any(2).sum(1)
            # Prisms that taper upwards are wider below.
            assert widths[rows[-len(rows) // 3 :]].mean() >= widths[rows[: len(rows) // 3]].mean()


def test_synthetic_views_open_without_files():
    wanted = {split: Wanted(split, (32, 32), (32, 32), 1, 0) for split in ("train", "held-out")}
    sets = [
        open_samples("synthetic-views", Path("nowhere"), w, {"objects": 4}) for w in wanted.values()
    ]
    pair = sets[0][5]
    assert pair["source"].shape == pair["target"].shape == (3, 32, 32)
    assert pair["source"].dtype == torch.uint8
    assert sets[1].views.objects[0] == str(HELD_OUT)
