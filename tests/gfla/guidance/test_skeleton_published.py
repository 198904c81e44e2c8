"""The published drawing of persons, computed here from its description alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gfla.errors import GflaError
from gfla.guidance.skeleton import CHANNELS, skeleton_structures, skeleton_style
from gfla.joints import HUMAN36M, JOINTS, to_human36m
from tests.gfla.guidance.test_skeleton import BODY, SIZE

LEFT_ELBOW, RIGHT_KNEE = JOINTS.index("left elbow"), JOINTS.index("right knee")


def published(joints, role, **more):
    return skeleton_structures(
        np.asarray(joints)[None], (SIZE, SIZE), style="published", role=role, **more
    )[0].numpy()


def bump(x, y, sigma=6.0):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


def test_heat_maps_lie_around_the_joints_as_they_are():
    moved = BODY + (0.375, 0.625)
    source, frame = published(moved, "source"), published(moved, "frame")
    assert source.shape == (CHANNELS, SIZE, SIZE)
    # Left elbow: the eighth of COCO's joints, the thirteenth of Human3.6M's.
    for structure, channel in ((source, 7), (frame, 12)):
        np.testing.assert_allclose(structure[channel], bump(*moved[LEFT_ELBOW]), atol=1e-6)
    assert source[7].max() < 1  # no pixel is at its centre


def test_frames_have_human36m_joints():
    points = dict(zip(HUMAN36M, to_human36m(BODY), strict=True))
    assert len(HUMAN36M) == 17
    for name in ("right knee", "left shoulder", "right wrist"):
        np.testing.assert_array_equal(points[name], BODY[JOINTS.index(name)])
    np.testing.assert_array_equal(points["left foot"], BODY[JOINTS.index("left ankle")])
    hip = (BODY[JOINTS.index("right hip")] + BODY[JOINTS.index("left hip")]) / 2
    neck = BODY[JOINTS.index("neck")]
    np.testing.assert_allclose(points["hip"], hip)
    np.testing.assert_allclose(points["thorax"], neck)
    np.testing.assert_allclose(points["spine"], (hip + neck) / 2)
    # Upright, a head is above the face, and what is between is on the way.
    assert points["head"][1] < BODY[[14, 15, 16, 17], 1].mean()
    np.testing.assert_allclose(points["neck or nose"], (points["thorax"] + points["head"]) / 2)


def test_what_a_missing_joint_takes_with_it():
    joints = BODY.copy()
    joints[JOINTS.index("left hip")] = -1
    gone = [name for name, p in zip(HUMAN36M, to_human36m(joints), strict=True) if (p == -1).all()]
    assert gone == ["hip", "left hip", "spine"]
    frame = published(joints, "frame")
    assert not frame[[0, 4, 7]].any() and frame[1].max() > 0.9
    # A neck that nobody found is between the shoulders; a face seen from behind is where ears are.
    joints = BODY.copy()
    joints[[JOINTS.index("neck"), 0, 14, 15]] = -1
    points = to_human36m(joints)
    np.testing.assert_allclose(points[8], (BODY[2] + BODY[5]) / 2)
    assert (points[[9, 10]] != -1).all()


def test_lines_are_thin_and_joints_have_nine_pixels():
    joints = np.full((18, 2), -1.0)
    joints[RIGHT_KNEE], joints[JOINTS.index("right ankle")] = (20.9, 10.2), (20.1, 50.7)
    for role, knee, ankle in (("source", 14, 16), ("frame", 2, 3)):
        picture = published(joints, role)[17:]
        # A vertical line of one pixel, whole: its ends are cut to whole pixels, not rounded.
        line = picture[:, 14:48]
        assert (line[:, :, 20] == 255).all()
        assert not np.delete(line, 20, axis=2).any()
        # 3 x 3 pixels in the colours of the PASCAL VOC palette, whose bits are dealt from the top.
        for number, row in ((knee, 10), (ankle, 50)):
            red, green, blue = (
                128 * (number >> channel & 1) + 64 * (number >> channel + 3 & 1)
                for channel in range(3)
            )
            square = picture[:, row - 1 : row + 2, 19:22]
            assert (square == np.array([red, green, blue])[:, None, None]).all()
            assert np.array_equal(picture[:, row, 18], np.zeros(3))


def test_slanted_lines_are_smoothed():
    joints = np.full((18, 2), -1.0)
    joints[RIGHT_KNEE], joints[JOINTS.index("right ankle")] = (10, 10), (50, 30)
    picture = published(joints, "frame")[17][:, 14:46]
    # As bright as near: nothing a whole pixel away from the line, all of it on the line.
    rows, columns = np.mgrid[:SIZE, 14:46]
    distance = np.abs((columns - 10) * 20 - (rows - 10) * 40) / np.hypot(40, 20)
    np.testing.assert_allclose(picture, 255 * np.clip(1 - distance, 0, 1), atol=1.5)


def test_sources_have_cocos_limbs_and_frames_their_own():
    source, frame = published(BODY, "source")[17:], published(BODY, "frame")[17:]
    # COCO joins shoulders and hips along the sides; Human3.6M goes down the middle.
    side = (BODY[JOINTS.index("left shoulder")] + BODY[JOINTS.index("left hip")]) / 2
    middle = to_human36m(BODY)[7]

    def lit(picture, place):
        x, y = place.astype(int)
        return picture[:, y - 1 : y + 2, x - 1 : x + 2].any()

    assert lit(source, side) and not lit(frame, side)
    assert lit(frame, middle) and not lit(source, middle)


def test_zero_is_missing_and_the_border_takes_what_is_beyond():
    joints = np.full((18, 2), -1.0)
    joints[RIGHT_KNEE], joints[JOINTS.index("right ankle")] = (0, 10), (0.5, 50)
    structure = published(joints, "frame")
    assert not structure[2].any()  # a coordinate of 0
    assert structure[3].any() and not structure[17:].any()  # 0.5 is 0 once it is cut
    joints[RIGHT_KNEE], joints[JOINTS.index("right ankle")] = (SIZE + 9, 20), (SIZE + 9, 40)
    picture = published(joints, "frame")[17]
    assert (picture[20:41, -1] == 255).all() and not picture[:, :-1].any()
    joints[RIGHT_KNEE], joints[JOINTS.index("right ankle")] = (-9, 1e12), (-9, 40)
    assert not published(joints, "frame")[17].any()


def test_joints_that_are_cut_to_the_mark_of_missing_ones_are_there():
    joints = np.full((18, 2), -1.0)
    joints[RIGHT_KNEE] = (-1.6, 30.5)
    structure = published(joints, "frame", whole=True)
    np.testing.assert_allclose(structure[2], bump(-1, 30), atol=1e-6)
    # Of its disc the column that is in the picture.
    assert structure[17:, 29:32, 0].any(0).all() and not structure[17:, :, 1:].any()


def test_the_style_of_trained_models_stays():
    ours = skeleton_structures(BODY[None], (SIZE, SIZE))
    for role in ("source", "frame"):
        again = skeleton_structures(BODY[None], (SIZE, SIZE), style="coco", role=role)
        assert torch.equal(ours, again)
    with pytest.raises(GflaError, match="style"):
        skeleton_structures(BODY[None], (SIZE, SIZE), style="openpose")
    with pytest.raises(GflaError, match="above 0"):
        skeleton_structures(BODY[None], (SIZE, 0), style="published")


def test_joints_of_other_pictures_are_scaled():
    once = published(BODY * 0.75, "frame")
    again = published(BODY * 1.5, "frame", annotated=(2 * SIZE, 2 * SIZE))
    np.testing.assert_array_equal(once, again)


def test_a_checkpoint_says_how_persons_are_drawn():
    # Imports and trainings of before, which do not say it.
    assert skeleton_style({"name": "dance_net_G", "structure_size": 256}) == "published"
    assert skeleton_style({"name": "dance", "structure_size": 256, "step": 9}) == "coco"
    with pytest.raises(GflaError, match="skeleton is 'stick'.* coco, published") as caught:
        skeleton_style({"skeleton": "stick"})
    assert caught.value.code == "bad_checkpoint"
    assert skeleton_style({"structure_size": 256, "skeleton": "published"}) == "published"
