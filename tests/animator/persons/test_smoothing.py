from __future__ import annotations

import numpy as np
import pytest

from animator.errors import AnimatorError
from animator.persons.smoothing import runs, smooth_joints
from animator.samples.dancer import Build, dance
from gfla.joints import found

SECONDS = np.arange(90) / 30
STILL = np.repeat(dance(Build(), SECONDS[:1]), 90, 0)
NOISE = np.random.default_rng(0).normal(0, 1, STILL.shape)  # a hundredth of the torso


def jitter(joints: np.ndarray) -> float:
    return float(np.sqrt((np.diff(joints, axis=0) ** 2).mean()))


def test_a_still_body_is_calmed_and_a_dancer_keeps_the_dance() -> None:
    assert jitter(smooth_joints(STILL + NOISE, SECONDS, 0.5)) < jitter(STILL + NOISE) / 3
    dancing = dance(Build(), SECONDS)
    assert np.abs(smooth_joints(dancing, SECONDS, 0.5) - dancing).max() < 4  # of 100 of a torso


def test_strength_resolution_and_frame_rate() -> None:
    shaken = STILL + NOISE
    levels = [jitter(smooth_joints(shaken, SECONDS, strength)) for strength in (0, 0.2, 0.5, 1)]
    assert levels[0] == jitter(shaken) and levels == sorted(levels, reverse=True)
    calm = smooth_joints(shaken, SECONDS, 0.5)
    assert np.allclose(smooth_joints(shaken * 3, SECONDS, 0.5), calm * 3)
    assert np.allclose(smooth_joints(shaken, SECONDS + 1000, 0.5), calm)
    # There is no delay: backwards is the same.
    back = smooth_joints(shaken[::-1], SECONDS[-1] - SECONDS[::-1], 0.5)
    assert np.allclose(back[::-1], calm)


def test_missing_joints_stay_missing_and_pull_at_nothing() -> None:
    gappy = STILL + NOISE
    gappy[20:30, 4], gappy[:, 16], gappy[40:45] = -1, -1, -1
    calm = smooth_joints(gappy, SECONDS, 0.5)
    assert (found(calm) == found(gappy)).all()
    assert np.abs(calm - STILL)[found(gappy)].max() < 5
    # Each run is smoothed by itself.
    alone = smooth_joints(gappy[:20], SECONDS[:20], 0.5)
    assert np.allclose(calm[:20, 4], alone[:, 4], atol=0.2)


def test_runs() -> None:
    assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    assert runs(np.zeros(3, bool)) == [] and runs(np.ones(3, bool)) == [(0, 3)]


def test_what_is_refused() -> None:
    with pytest.raises(AnimatorError, match="0 to 1") as caught:
        smooth_joints(STILL, SECONDS, 1.5)
    assert caught.value.code == "invalid_option"
    with pytest.raises(ValueError, match="times"):
        smooth_joints(STILL, SECONDS[1:], 0.5)
    with pytest.raises(ValueError, match="finite"):
        smooth_joints(STILL * np.nan, SECONDS, 0.5)
