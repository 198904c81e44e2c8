from __future__ import annotations

import numpy as np

from gfla.guidance import pose
from gfla.joints import JOINTS, MISSING, extent, found, from_coco17, from_openpose, resized
from tests.gfla.person_files import BODY_25, refused

COCO = (
    "nose,left eye,right eye,left ear,right ear,left shoulder,right shoulder,left elbow,"
    "right elbow,left wrist,right wrist,left hip,right hip,left knee,right knee,left ankle,"
    "right ankle"
).split(",")


def test_guidance_and_data_mean_the_same_joints() -> None:
    assert pose.JOINTS is JOINTS and pose.MISSING == MISSING


def test_coco_joints_get_their_places_and_a_neck_between_the_shoulders() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (17, 2))
    joints = from_coco17(points)
    for name, point in zip(COCO, points, strict=True):
        assert np.array_equal(joints[JOINTS.index(name)], point), name
    shoulders = points[[COCO.index("left shoulder"), COCO.index("right shoulder")]]
    assert np.allclose(joints[JOINTS.index("neck")], shoulders.mean(0))


def test_a_missing_shoulder_leaves_no_neck() -> None:
    seen = np.ones(17, bool)
    seen[COCO.index("left shoulder")] = False
    joints = from_coco17(np.ones((17, 2)), seen)
    lacking = {JOINTS[index] for index in np.flatnonzero(~found(joints))}
    assert lacking == {"left shoulder", "neck"}


def test_body_25_joints_get_their_places() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (25, 2))
    joints = from_openpose(points, np.ones(25, bool))
    for index, name in enumerate(JOINTS):
        assert np.array_equal(joints[index], points[BODY_25.index(name)]), name


def test_other_numbers_of_points_are_refused() -> None:
    refused(from_openpose, np.ones((17, 2)), np.ones(17, bool))
    refused(from_coco17, np.ones((16, 2)))


def test_resizing_keeps_missing_joints_missing() -> None:
    joints = np.full((18, 2), 10.0)
    joints[3] = MISSING
    larger = resized(joints, (100, 50), (200, 200))
    assert larger[0].tolist() == [40, 20] and larger[3].tolist() == [-1, -1]
    assert extent(larger) == (40, 20, 40, 20)
    refused(extent, np.full((18, 2), MISSING))
