from __future__ import annotations

import numpy as np
import pytest

from gfla.data.degradations import Degradation, FaceMask, Glasses, draw_worn, jittered
from gfla.data.transforms import UNCHANGED, Augmentation, colour_shift
from gfla.errors import GflaError
from tests.golden.faces import MEAN_FACE

FACE = MEAN_FACE.astype(np.float32)


def picture(size: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)


def test_nothing_happens_without_strength():
    random = np.random.default_rng(0)
    for _ in range(20):
        assert Degradation.draw(random, UNCHANGED) == Degradation()
        assert not draw_worn(random, UNCHANGED)
    quality = Degradation()
    assert np.array_equal(quality.add(quality.lose(picture()), random), picture())
    assert np.array_equal(colour_shift(random, UNCHANGED)(picture()), picture())
    assert np.array_equal(jittered(random, FACE, 0.0), FACE)


@pytest.mark.parametrize("quality", [Degradation(coarse=2.5), Degradation(blur=1.2)])
def test_lost_detail_lowers_contrast_and_repeats(quality):
    lost = quality.lose(picture())
    assert lost.shape == picture().shape
    assert lost.std() < 0.8 * picture().std()
    assert np.array_equal(lost, quality.lose(picture()))


@pytest.mark.parametrize("quality", [Degradation(noise=8.0), Degradation(quality=40)])
def test_added_traces_change_a_picture_a_little(quality):
    grey = np.full((64, 64, 3), 128, np.uint8)
    grey[16:48, 20:40] = (200, 90, 60)
    added = quality.add(grey, np.random.default_rng(0))
    change = np.abs(added.astype(int) - grey)
    assert 0 < change.mean() < 12


def test_shares_are_kept():
    strength = Augmentation(coarse_share=0.3, jpeg_share=0.0)
    random = np.random.default_rng(0)
    drawn = [Degradation.draw(random, strength) for _ in range(400)]
    assert np.mean([d.coarse > 1 for d in drawn]) == pytest.approx(0.3, abs=0.07)
    assert all(d.quality is None for d in drawn)


def test_noise_of_landmarks_has_the_size_asked_for():
    faces = np.repeat(FACE[None], 500, 0)
    moved = jittered(np.random.default_rng(0), faces, 0.01) - faces
    size = (FACE.max(0) - FACE.min(0)).max()
    assert moved.std() == pytest.approx(0.01 * size, rel=0.05)
    # Points of one part move together, those of different parts do not.
    assert np.corrcoef(moved[:, 36, 0], moved[:, 38, 0])[0, 1] > 0.4
    assert abs(np.corrcoef(moved[:, 36, 0], moved[:, 44, 0])[0, 1]) < 0.2


@pytest.mark.parametrize("kind", [Glasses, FaceMask])
def test_what_is_worn_follows_the_landmarks(kind):
    grey = np.full((128, 128, 3), 128, np.uint8)
    worn = kind.draw(np.random.default_rng(3))
    shift = np.float32([8 / 128, 4 / 128])
    first = np.abs(worn(grey, FACE).astype(int) - grey).sum(-1) > 0
    second = np.abs(worn(grey, FACE + shift).astype(int) - grey).sum(-1) > 0
    assert first.any()
    assert (np.roll(first, (4, 8), (0, 1)) != second).mean() < 0.01
    centre = np.argwhere(first).mean(0)[::-1] / 128
    wanted = FACE[36:48].mean(0) if kind is Glasses else FACE[33]
    assert np.linalg.norm(centre - wanted) < 0.12


def test_faces_far_outside_are_drawn_without_harm():
    for kind in (Glasses, FaceMask):
        worn = kind.draw(np.random.default_rng(0))
        assert worn(picture(), FACE * 1e7).shape == (96, 96, 3)
        assert worn(picture(), np.zeros_like(FACE)).shape == (96, 96, 3)


def test_impossible_strengths_are_refused():
    for wrong in ({"mask_share": 1.5}, {"coarsest": 0.5}, {"scale": (1.2, 0.9)}):
        with pytest.raises(GflaError) as caught:
            Augmentation(**wrong)
        assert caught.value.code == "invalid_config"
