from __future__ import annotations

import numpy as np
import pytest

from animator.errors import AnimatorError
from animator.persons.retargeting import choose_anchor, retarget
from animator.samples.dancer import SHORT, TALL, Build, dance
from gfla.joints import JOINTS, found

SECONDS = np.arange(60) / 15
AT = {name: number for number, name in enumerate(JOINTS)}
PLAIN = Build()
LIMBS = [
    ("right shoulder", "right elbow", "arm"),
    ("left elbow", "left wrist", "arm"),
    ("left hip", "left knee", "leg"),
    ("right knee", "right ankle", "leg"),
    ("neck", "right shoulder", "shoulders"),
]


def length(joints: np.ndarray, one: str, other: str) -> np.ndarray:
    return np.linalg.norm(joints[..., AT[one], :] - joints[..., AT[other], :], axis=-1)


def direction(joints: np.ndarray, one: str, other: str) -> np.ndarray:
    x, y = np.moveaxis(joints[..., AT[other], :] - joints[..., AT[one], :], -1, 0)
    return np.arctan2(y, x)


def without(joints: np.ndarray, *parts: str) -> np.ndarray:
    joints = joints.copy()
    for name in JOINTS:
        if name.endswith(parts):
            joints[..., AT[name], :] = -1
    return joints


def code_of(*arguments: object) -> str:
    with pytest.raises(AnimatorError) as caught:
        retarget(*arguments)  # type: ignore[arg-type]
    return caught.value.code


@pytest.mark.parametrize(("mine", "theirs"), [(TALL, SHORT), (SHORT, TALL)])
def test_relative_keeps_the_limbs_of_the_source_and_the_driver_s_pose(
    mine: Build, theirs: Build
) -> None:
    source, driving = dance(mine, SECONDS[:1], (200, 300))[0], dance(theirs, SECONDS)
    target = retarget(source, driving, driving[0], "relative")
    assert target.shape == driving.shape and found(target).all()
    for one, other, _ in LIMBS:
        full = length(driving, one, other).max()
        own = length(dance(mine, SECONDS), one, other).max()
        expected = own * length(driving, one, other) / full
        assert np.allclose(length(target, one, other), expected, rtol=0.05), (one, other)
        assert np.allclose(direction(target, one, other), direction(driving, one, other), atol=1e-6)
    # It stands where the source stands, and its feet stay on the ground.
    ankles = target[:, [AT["right ankle"], AT["left ankle"]], 1]
    assert abs(ankles - 300).max() < 0.03 * (mine.torso + 2 * mine.leg)


def test_an_arm_that_points_at_the_camera_stays_short() -> None:
    source, driving = dance(TALL, SECONDS[:1])[0], dance(SHORT, SECONDS)
    target = retarget(source, driving, driving[0], "relative")
    arm = length(target, "left elbow", "left wrist")
    assert arm.min() < 0.3 * TALL.arm and arm.max() == pytest.approx(TALL.arm, rel=0.05)


def test_absolute_is_the_driver_s_own_body_scaled_and_placed_by_the_torso() -> None:
    source, driving = dance(TALL, SECONDS[:1], (200, 300))[0], dance(SHORT, SECONDS)
    target = retarget(source, driving, driving[0], "absolute")
    scale = TALL.torso / SHORT.torso
    pelvis = [(joints[..., 8, :] + joints[..., 11, :]) / 2 for joints in (source, driving)]
    expected = pelvis[0] + scale * (driving - pelvis[1][0])
    assert np.allclose(target, expected, rtol=0.01, atol=1)


def test_the_torso_of_an_upright_anchor_lies_on_the_source_s() -> None:
    source, driving = dance(TALL, SECONDS[:1], (200, 300))[0], dance(SHORT, SECONDS)
    shaken = driving + np.random.default_rng(0).normal(0, 3, driving.shape)
    for motion in ("relative", "absolute"):
        target = retarget(source, shaken, shaken[0], motion)[0]  # type: ignore[arg-type]
        for joints in ([1], [8, 11]):
            assert np.allclose(target[joints].mean(0), source[joints].mean(0), atol=8)
        assert np.linalg.norm(target[1] - target[[8, 11]].mean(0)) == pytest.approx(
            TALL.torso, 0.02
        )


def test_a_driver_who_comes_nearer_makes_the_source_larger_and_no_limb_longer() -> None:
    source, driving = dance(PLAIN, SECONDS[:1])[0], dance(PLAIN, SECONDS, (0, 0))
    nearer = np.linspace(1, 2, len(driving))[:, None, None] * driving + 500
    target = retarget(source, nearer, nearer[0], "relative")
    for frame, larger in ((0, 1), (30, 1.5), (59, 2)):
        expected = larger * length(driving[frame], "left hip", "left knee")
        assert length(target[frame], "left hip", "left knee") == pytest.approx(expected, rel=0.12)
        assert length(target[frame], "neck", "right hip") == pytest.approx(
            larger * length(driving[frame], "neck", "right hip"), rel=0.12
        )


def test_a_half_length_portrait_is_fitted_by_its_shoulders_and_has_no_legs() -> None:
    source = without(dance(PLAIN, SECONDS[:1], (200, 300))[0], "hip", "knee", "ankle")
    driving = dance(PLAIN, SECONDS, (100, 900)) * 0.5
    for motion in ("relative", "absolute"):
        target = retarget(source, driving, driving[0], motion)  # type: ignore[arg-type]
        assert np.allclose(target[0, AT["neck"]], source[AT["neck"]], atol=1)
        shoulders = length(target, "right shoulder", "left shoulder")
        assert np.allclose(shoulders, PLAIN.shoulders, rtol=0.03)
        legs = [n for n, name in enumerate(JOINTS) if name.endswith(("knee", "ankle"))]
        assert not found(target)[:, legs].any()
        assert found(target)[:, AT["left hip"]].all()


def test_a_half_length_driver_moves_what_it_shows() -> None:
    source = dance(TALL, SECONDS[:1])[0]
    driving = without(dance(SHORT, SECONDS), "hip", "knee", "ankle")
    target = retarget(source, driving, driving[0], "relative")
    assert (found(target) == found(driving)).all()
    assert np.allclose(target[0, AT["neck"]], source[AT["neck"]], atol=1)
    assert np.allclose(length(target, "neck", "right shoulder"), TALL.shoulders / 2, rtol=0.05)


def test_a_limb_that_the_source_hides_is_as_long_as_the_driver_s_scaled() -> None:
    source = without(dance(TALL, SECONDS[:1])[0], "wrist")
    driving = dance(SHORT, SECONDS)
    target = retarget(source, driving, driving[0], "relative")
    expected = length(driving, "right elbow", "right wrist") * TALL.torso / SHORT.torso
    assert np.allclose(length(target, "right elbow", "right wrist"), expected, rtol=0.05)


def test_joints_and_frames_that_the_driver_lacks_are_missing_and_the_rest_stays_put() -> None:
    source, driving = dance(TALL, SECONDS[:1])[0], dance(SHORT, SECONDS)
    whole = retarget(source, driving, driving[0], "relative")
    gappy = driving.copy()
    gappy[5], gappy[7, [8, 11]], gappy[9, 6] = -1, -1, -1
    target = retarget(source, gappy, driving[0], "relative")
    assert (found(target) == found(gappy)).all()
    assert np.abs(target - whole)[[0, 8, 30]].max() < 1
    # Without hips, elbow or the like, the joints beyond hang on what there is.
    assert np.abs(target - whole)[7][found(gappy)[7]].max() < 0.25 * TALL.torso
    assert np.abs(target - whole)[9, 7].max() < TALL.arm


def test_hardly_anything_in_common_still_gives_finite_joints() -> None:
    source = without(dance(PLAIN, SECONDS[:1])[0], *(n for n in JOINTS if n != "nose"))
    driving = without(dance(PLAIN, SECONDS), "nose", "eye", "ear", "neck", "shoulder")
    for motion in ("relative", "absolute"):
        target = retarget(source, driving, driving[0], motion)  # type: ignore[arg-type]
        assert np.isfinite(target).all() and found(target).any()
    one = np.full((1, 18, 2), -1.0)
    one[0, 3] = 7
    assert retarget(one[0], one, one[0], "relative")[0, 3].tolist() == [7, 7]
    every = np.full((2, 18, 2), 5.0)  # all joints in one place
    assert np.isfinite(retarget(every[0], every, every[0], "relative")).all()


def test_the_anchor_is_the_frame_whose_pose_is_the_source_s_whatever_the_build() -> None:
    driving = dance(SHORT, SECONDS)
    for frame in (3, 21, 50):
        source = dance(TALL, SECONDS[frame : frame + 1], (90, 90))[0]
        assert choose_anchor(source, driving) == frame
    gappy = driving.copy()
    gappy[21] = -1
    assert abs(choose_anchor(dance(TALL, SECONDS[21:22])[0], gappy) - 21) == 1


def test_what_is_refused() -> None:
    body, clip = dance(PLAIN, SECONDS[:1])[0], dance(PLAIN, SECONDS)
    nobody = np.full((18, 2), -1.0)
    assert code_of(body, clip, body, "sideways") == "invalid_option"
    assert code_of(nobody, clip, body, "relative") == "no_body"
    assert code_of(body, clip, nobody, "relative") == "no_body"
    assert code_of(body, nobody[None], body, "relative") == "no_body"
    with pytest.raises(ValueError, match="needs"):
        retarget(body, body, body, "relative")
    with pytest.raises(ValueError, match="finite"):
        retarget(body, clip * np.nan, body, "relative")
