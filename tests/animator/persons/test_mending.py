from __future__ import annotations

import numpy as np

from animator.persons.mending import mend
from animator.persons.smoothing import smooth_joints
from animator.samples.dancer import Build, dance
from gfla.joints import JOINTS

SECONDS = np.arange(90) / 30
DANCE = dance(Build(), SECONDS)
AT = {name: number for number, name in enumerate(JOINTS)}
LEGS = [AT["right knee"], AT["right ankle"], AT["left knee"], AT["left ankle"]]
SWAPPED = [*LEGS[2:], *LEGS[:2]]


def test_motion_is_left_alone() -> None:
    assert np.array_equal(mend(DANCE, SECONDS), DANCE)
    fast = dance(Build(), 3 * SECONDS)
    assert np.array_equal(mend(fast, SECONDS), fast)
    assert np.array_equal(mend(DANCE[::6], SECONDS[::6]), DANCE[::6])  # five frames a second
    gappy = DANCE.copy()
    gappy[3:5], gappy[:, 4] = -1, -1
    assert np.array_equal(mend(gappy, SECONDS), gappy)
    assert len(mend(DANCE[:2], SECONDS[:2])) == 2


def test_sides_that_are_swapped_for_a_moment_are_swapped_back() -> None:
    swapped = DANCE.copy()
    swapped[20:24, LEGS] = DANCE[20:24, SWAPPED]
    swapped[60:61, LEGS] = DANCE[60:61, SWAPPED]
    assert np.allclose(mend(swapped, SECONDS), DANCE)
    # Somebody who turns around is not turned back.
    turned = DANCE.copy()
    turned[40:, LEGS] = DANCE[40:, SWAPPED]
    assert np.array_equal(mend(turned, SECONDS), turned)


def test_a_joint_that_jumps_away_and_returns_stays() -> None:
    jumping = DANCE.copy()
    jumping[30:32, AT["left wrist"]] += (70, -40)
    assert np.abs(mend(jumping, SECONDS) - DANCE).max() < 4
    assert np.abs(smooth_joints(jumping, SECONDS, 0.5) - DANCE).max() < 6
    assert np.array_equal(smooth_joints(jumping, SECONDS, 0), jumping)
