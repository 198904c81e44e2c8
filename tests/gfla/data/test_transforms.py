from __future__ import annotations

import numpy as np

from gfla.data.transforms import FLIPPED, UNCHANGED, Warp, random_still_warps
from tests.gfla.data.face_packs import marked
from tests.golden.faces import MEAN_FACE

STILL = UNCHANGED


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
