from __future__ import annotations

import numpy as np
import pytest
import torch

from gfla.errors import GflaError
from gfla.guidance.skeleton import CHANNELS, LIMBS, ORDER, skeleton_picture, skeleton_structures
from gfla.joints import JOINTS

SIZE = 64


BODY = np.array(
    [(32, 10), (32, 18), (24, 18), (20, 28), (18, 38), (40, 18), (44, 28), (46, 38), (28, 38)]
    + [(27, 48), (26, 60), (36, 38), (37, 48), (38, 60), (30, 8), (34, 8), (28, 9), (36, 9)],
    float,
)


def test_the_joints_are_cocos():
    names = [JOINTS[place] for place in ORDER]
    assert names[:5] == ["nose", "left eye", "right eye", "left ear", "right ear"]
    assert names[15:] == ["left ankle", "right ankle"]
    assert "neck" not in names
    for a, b in LIMBS:
        assert abs(BODY[ORDER[a]] - BODY[ORDER[b]]).max() < 25


def test_structures_mark_joints_and_limbs():
    structures = skeleton_structures(np.stack([BODY, BODY + 1]), (SIZE, SIZE), sigma=3)
    assert structures.shape == (2, CHANNELS, SIZE, SIZE)
    assert 0 <= structures.min() and structures.max() <= 1
    for channel, place in enumerate(ORDER):
        x, y = BODY[place].astype(int)
        assert structures[0, channel, y, x] == 1
    # Half way down the left upper arm.
    assert structures[0, 17:, 23, 42].min() > 0.3


def test_missing_joints_draw_nothing():
    joints = BODY.copy()
    joints[ORDER[9]] = -1
    structures = skeleton_structures(joints[None], (SIZE, SIZE))[0]
    assert structures[9].max() == 0
    whole = skeleton_picture(BODY, (SIZE, SIZE))
    assert (whole != skeleton_picture(joints, (SIZE, SIZE))).any()
    nobody = skeleton_picture(np.full((18, 2), -1.0), (SIZE, SIZE))
    assert not nobody.any()
    assert skeleton_picture(BODY * 1e9, (SIZE, SIZE)).shape == (SIZE, SIZE, 3)


def test_joints_of_other_pictures_are_scaled():
    once = skeleton_structures(BODY[None], (SIZE, SIZE))
    twice = skeleton_structures(2 * BODY[None], (SIZE, SIZE), (2 * SIZE, 2 * SIZE))
    assert torch.equal(once, twice)
    with pytest.raises(GflaError):
        skeleton_structures(BODY, (SIZE, SIZE))
