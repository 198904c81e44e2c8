from __future__ import annotations

import math

import pytest
import torch

from gfla.errors import GflaError
from gfla.guidance.pose import JOINTS, MISSING, pose_heatmaps


def test_a_map_falls_off_around_its_joint():
    joints = torch.zeros(2, 18, 2)
    joints[1, 3] = torch.tensor([20.0, 11.0])  # x, y
    maps = pose_heatmaps(joints, (32, 48))
    assert maps.shape == (2, 18, 32, 48)
    assert maps[1, 3, 11, 20] == 1
    assert maps[1, 3, 14, 24] == pytest.approx(math.exp(-25 / 72))
    assert maps[0, 0].argmax() == 0


def test_coordinates_are_scaled_and_cut_to_whole_pixels():
    joints = torch.full((1, 18, 2), 79.0)
    maps = pose_heatmaps(joints, (256, 256), annotated=(256, 176))
    assert maps[0, 0, 79, 114] == 1  # 79 * 256 / 176 = 114.9


def test_scaled_coordinates_that_are_whole_stay_so():
    joints = torch.arange(16.0)[None, :, None].expand(1, 16, 2) * 11
    joints = torch.cat([joints, joints[:, :2]], 1)
    maps = pose_heatmaps(joints, (256, 256), annotated=(176, 176))
    assert maps[0].flatten(1).argmax(1).tolist() == [16 * (i % 16) * 257 for i in range(18)]


def test_missing_joints_are_empty_and_others_may_lie_outside():
    joints = torch.full((1, 18, 2), 5.0)
    joints[0, 1] = MISSING
    joints[0, 2, 0] = MISSING
    joints[0, 3] = torch.tensor([-4.0, 5.0])
    maps = pose_heatmaps(joints, (16, 16), annotated=(8, 8))
    assert not maps[0, 1].any()
    assert not maps[0, 2].any()
    assert 0 < maps[0, 3].max() < 1
    assert maps[0, 0, 10, 10] == 1


def test_what_does_not_fit_is_refused():
    assert len(JOINTS) == len(set(JOINTS)) == 18
    for joints in (torch.zeros(0, 18, 2), torch.zeros(1, 17, 2), torch.zeros(18, 2)):
        with pytest.raises(GflaError) as caught:
            pose_heatmaps(joints, (8, 8))
        assert caught.value.code == "invalid_shape"
    with pytest.raises(GflaError) as caught:
        pose_heatmaps(torch.zeros(1, 18, 2), (8, 0))
    assert caught.value.code == "invalid_config"
