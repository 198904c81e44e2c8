from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from animator.models.crops import Region, cut, upright_region, whole


def test_points_go_back_to_where_the_crop_was_cut() -> None:
    y, x = np.mgrid[:90, :120].astype(np.float32)
    ramp = np.stack([x, y, 0 * x], -1).astype(np.uint8)
    for region in (Region(60, 45, 30, 0.4), Region(60, 45, 30, -2), Region(58.5, 40, 64)):
        for size in (16, 32, 48):
            crop = cut(ramp, region, size).astype(np.float64)
            middles = (np.stack(np.meshgrid(*[np.arange(size)] * 2), -1) + 0.5) / size
            places = region.to_picture(middles)
            inside = ((places > 1) & (places < [118, 88])).all(-1)
            assert inside.mean() > 0.8
            assert np.abs(crop[..., :2] - places)[inside].max() < 1.1


def test_a_region_leads_upwards() -> None:
    region = upright_region(np.array([10.0, 20.0]), np.array([14.0, 20.0]), 1.25)
    assert (region.side, region.angle) == (pytest.approx(10), pytest.approx(math.pi / 2))
    # The middle of its upper edge is where the upward direction leads.
    np.testing.assert_allclose(region.to_picture(np.array([0.5, 0.0])), [15, 20], atol=1e-9)


def test_beyond_the_picture() -> None:
    picture = np.full((8, 12, 3), 200, np.uint8)
    assert (cut(picture, Region(500, 500, 9), 4) == 0).all()
    crop = cut(picture, whole(picture), 12, cv2.BORDER_CONSTANT)
    assert (crop[2:10] == 200).all() and (crop[:2] == 0).all() and (crop[10:] == 0).all()
