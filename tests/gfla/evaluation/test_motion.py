from __future__ import annotations

import numpy as np
import pytest

from gfla.errors import GflaError
from gfla.evaluation.motion import jitter, landmark_error, there_and_back
from tests.golden.faces import MEAN_FACE

FACE = MEAN_FACE.astype(np.float32)


def test_landmark_errors_are_in_percent_of_the_eyes_distance():
    eyes = np.linalg.norm(FACE[36] - FACE[45])
    assert landmark_error(FACE, FACE) == 0
    assert landmark_error(FACE + np.float32([0.1 * eyes, 0]), FACE) == pytest.approx(10)
    two = np.stack([FACE, FACE + np.float32([0.1 * eyes, 0])])
    assert landmark_error(two, np.stack([FACE, FACE])) == pytest.approx(5)


def test_jitter_is_the_difference_of_accelerations():
    random = np.random.default_rng(0)
    wanted = FACE + 0.02 * random.normal(size=(6, 1, 2))
    found = wanted + 0.01 * random.normal(size=(6, 68, 2))
    lengths = []
    for t in range(1, 5):
        ours = found[t + 1] - 2 * found[t] + found[t - 1]
        truth = wanted[t + 1] - 2 * wanted[t] + wanted[t - 1]
        lengths += [np.hypot(*point) for point in ours - truth]
    eyes = np.linalg.norm(FACE[36] - FACE[45])
    assert jitter(found, wanted) == pytest.approx(100 * np.mean(lengths) / eyes)


def test_jitter_ignores_place_and_even_motion():
    wanted = FACE + 0.02 * np.random.default_rng(0).normal(size=(6, 1, 2))
    drifting = wanted + 0.1 + 0.03 * np.arange(6)[:, None, None]
    assert jitter(drifting, wanted) == pytest.approx(0, abs=1e-9)
    with pytest.raises(GflaError, match="3 successive frames"):
        jitter(wanted[:2], wanted[:2])


def test_clips_turn_at_their_ends():
    assert there_and_back(4, 9).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert there_and_back(4, 3).tolist() == [0, 1, 2]
    assert there_and_back(1, 3).tolist() == [0, 0, 0]
