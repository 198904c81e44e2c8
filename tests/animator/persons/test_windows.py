from __future__ import annotations

import numpy as np
import pytest

from animator.persons.windows import LEAST, Window
from gfla.errors import GflaError
from gfla.joints import MISSING, extent

JOINTS = np.random.default_rng(0).uniform((40, 30), (80, 190), (18, 2))


@pytest.mark.parametrize("aspect", [0.5, 176 / 256, 1.0, 2.0])
def test_a_window_holds_the_person_with_margin_in_the_right_aspect(aspect: float) -> None:
    window = Window.around(JOINTS, aspect)
    assert window.width / window.height == pytest.approx(aspect, abs=0.01)
    left, top, right, bottom = extent(window.place(JOINTS, (100, 100)))
    assert min(left, top, 100 - right, 100 - bottom) > 10
    assert (bottom - top > 65) or (right - left > 65)


def test_a_window_of_a_clip_holds_all_its_frames() -> None:
    clip = np.stack([JOINTS, JOINTS + 30])
    placed = Window.around(clip, 1.0).place(clip, (64, 64))
    assert placed.min() > 0 and placed.max() < 64


def test_one_joint_is_enough_and_none_is_too_few() -> None:
    joints = np.full((18, 2), MISSING)
    with pytest.raises(GflaError):
        Window.around(joints, 1.0)
    joints[5] = (10, 20)
    assert Window.around(joints, 1.0) == Window(10 - LEAST // 2, 20 - LEAST // 2, LEAST, LEAST)


def test_joints_follow_the_cut() -> None:
    picture = np.zeros((100, 120, 3), np.uint8)
    picture[48:53, 68:73] = 255
    joints = np.full((18, 2), MISSING)
    joints[0] = (70.5, 50.5)  # the middle of the patch, where pixel 70 is 70 to 71
    for window in (Window(60, 40, 30, 20), Window(-40, -30, 200, 220), Window.whole((100, 120))):
        size = (64, 80)
        part = window.cut(picture, size)
        assert part.shape == (64, 80, 3)
        light = part[..., 0].astype(float)
        y, x = (
            np.average(np.arange(n) + 0.5, weights=light.sum(1 - i)) for i, n in enumerate(size)
        )
        placed = window.place(joints, size)
        assert placed[0] == pytest.approx((x, y), abs=0.6)
        assert (placed[1:] == MISSING).all()


def test_outside_the_picture_its_border_goes_on() -> None:
    picture = np.full((10, 10, 3), 7, np.uint8)
    assert (Window(-5, 5, 20, 20).cut(picture, (20, 20)) == 7).all()


def test_windows_far_off_or_huge_do_not_fit() -> None:
    assert Window(-5, -5, 30, 30).fits((20, 20))
    for window in (Window(20, 0, 9, 9), Window(0, -9, 9, 9), Window(-50, -50, 100, 100)):
        assert not window.fits((20, 20))
