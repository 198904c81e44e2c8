from __future__ import annotations

import numpy as np

from animator.samples.dancer import SHORT, TALL, dance
from gfla.joints import JOINTS, found


def test_a_dance_repeats_stays_on_the_ground_and_has_the_builds_limbs() -> None:
    seconds = np.arange(40) / 10
    at = {name: number for number, name in enumerate(JOINTS)}
    for build in (SHORT, TALL):
        joints = dance(build, seconds, (100, 200))
        assert np.allclose(joints, dance(build, seconds + 4, (100, 200)))
        assert found(joints).all() and np.ptp(joints, axis=0).max() > build.torso / 2
        thigh = np.linalg.norm(joints[:, at["left hip"]] - joints[:, at["left knee"]], axis=-1)
        assert np.allclose(thigh, build.leg)
        assert abs(joints[:, [at["left ankle"], at["right ankle"]], 1] - 200).max() < 8
