from __future__ import annotations

import pytest
import torch

from gfla.data.synthetic_views import SyntheticViews
from gfla.data.views import AZIMUTHS, ELEVATIONS, ViewPairs, view_vector
from gfla.errors import GflaError


def test_view_vectors_are_one_hot_twice():
    vector = view_vector(17, 1)
    assert vector.shape == (21, 1, 1)
    assert torch.nonzero(vector.flatten()).flatten().tolist() == [17, 19]
    with pytest.raises(GflaError):
        view_vector(18, 0)


def test_an_epoch_shows_every_view_once():
    pairs = ViewPairs(SyntheticViews(2, 16), (16, 16), seed=3)
    count = 2 * AZIMUTHS * ELEVATIONS
    seen = {pairs[index]["source"].numpy().tobytes() for index in range(count)}
    assert len(seen) > 0.9 * count
    assert not torch.equal(pairs[0]["source"], pairs[count]["source"])


def test_pairs_keep_the_elevation_unless_asked():
    same, free = (
        ViewPairs(SyntheticViews(2, 8), (8, 8), targets=t) for t in ("same-elevation", "any")
    )
    for index in range(30):
        pair = same[index]
        assert torch.equal(pair["source_structure"][18:], pair["target_structure"][18:])
    pairs = [free[index] for index in range(30)]
    assert any(
        not torch.equal(p["source_structure"][18:], p["target_structure"][18:]) for p in pairs
    )
    with pytest.raises(GflaError):
        ViewPairs(SyntheticViews(2, 8), targets="none")


def test_few_pairs_come_again_and_again():
    all_pairs = ViewPairs(SyntheticViews(2, 32), (32, 32), seed=3)
    few = ViewPairs(SyntheticViews(2, 32), (32, 32), pairs=4, seed=3)
    for index in (0, 3, 4, 10):
        theirs = all_pairs[index % 4]
        assert all(torch.equal(value, theirs[name]) for name, value in few[index].items())
    with pytest.raises(GflaError):
        ViewPairs(SyntheticViews(2, 32), (32, 32), pairs=0)
