from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gfla.data.pose_tables import (
    Annotation,
    read_annotations,
    read_pairs,
    write_annotations,
    write_pairs,
)
from gfla.data.prepare.pose_files import read_pose_json, read_poses
from gfla.errors import GflaError
from gfla.guidance import pose
from gfla.joints import JOINTS, MISSING, extent, found, from_coco17, from_openpose, resized

COCO = (
    "nose,left eye,right eye,left ear,right ear,left shoulder,right shoulder,left elbow,"
    "right elbow,left wrist,right wrist,left hip,right hip,left knee,right knee,left ankle,"
    "right ankle"
).split(",")
BODY_25 = (
    "nose,neck,right shoulder,right elbow,right wrist,left shoulder,left elbow,left wrist,"
    "middle hip,right hip,right knee,right ankle,left hip,left knee,left ankle,right eye,left eye,"
    "right ear,left ear,left big toe,left small toe,left heel,right big toe,right small toe,"
    "right heel"
).split(",")
LIST = str(list(range(18)))


def person(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(5, 60, (18, 2)).round(1)


def refused(read: Any, *arguments: Any) -> str:
    with pytest.raises(GflaError) as caught:
        read(*arguments)
    assert caught.value.code == "invalid_data"
    return caught.value.message


# Orders of joints


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


# Annotation files


def test_what_is_written_is_read(tmp_path: Path) -> None:
    joints = person()
    joints[4] = MISSING
    rows = [Annotation("a/b: c.jpg", joints), Annotation("d.png", person(1))]
    write_annotations(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text().startswith("name:keypoints_y:keypoints_x\na/b: c.jpg:[")
    for read, row in zip(read_annotations(tmp_path / "a.csv"), rows, strict=True):
        assert read.name == row.name and np.array_equal(read.joints, row.joints)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_y_comes_first(tmp_path: Path) -> None:
    y, x = json.dumps([1] * 18), json.dumps([2] * 18)
    (tmp_path / "a.csv").write_text(f"name:keypoints_y:keypoints_x\na.jpg:{y}:{x}\n")
    assert read_annotations(tmp_path / "a.csv")[0].joints[0].tolist() == [2, 1]


def test_the_layout_with_frames(tmp_path: Path) -> None:
    head = "path:frame:width:height:keypoints_y:keypoints_x"
    (tmp_path / "a.csv").write_text(f"{head}\nv.mp4:3:64:48:{LIST}:{LIST}\n")
    (row,) = read_annotations(tmp_path / "a.csv")
    assert (row.name, row.frame, row.size) == ("v.mp4", 3, (48, 64))


BROKEN = {
    f"a.jpg:{LIST}": "3 columns",
    f"a.jpg:{LIST}:[1, 2]": "18 numbers, got 2",
    f"a.jpg:{LIST}:{LIST.replace(' 3,', ' NaN,')}": "not finite",
    f"a.jpg:{LIST}:{LIST.replace(' 3,', ' 1e400,')}": "not finite",
    f"a.jpg:{LIST}:{LIST.replace(' 3,', ' true,')}": "must be numbers",
    f"a.jpg:{LIST}:nonsense": "no JSON list",
    f"../a.jpg:{LIST}:{LIST}": "within the folder",
    f"b/../../a.jpg:{LIST}:{LIST}": "within the folder",
    f"/etc/passwd:{LIST}:{LIST}": "within the folder",
    f":{LIST}:{LIST}": "within the folder",
    f"good.jpg:{LIST}:{LIST}": "twice",
}


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_row_is_named_with_file_and_line_or_skipped(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.csv"
    good = f"good.jpg:{LIST}:{LIST}"
    path.write_text(f"name:keypoints_y:keypoints_x\n{good}\n{line}\nz.jpg:{LIST}:{LIST}\n")
    message = refused(read_annotations, path)
    assert f"{path}, line 3: " in message and BROKEN[line] in message
    skipped: list[str] = []
    assert [row.name for row in read_annotations(path, skipped)] == ["good.jpg", "z.jpg"]
    assert skipped == [message]


def test_half_a_joint_is_a_missing_one(tmp_path: Path) -> None:
    x = json.dumps([-1, *range(1, 18)])
    (tmp_path / "a.csv").write_text(f"name:keypoints_y:keypoints_x\na.jpg:{LIST}:{x}\n")
    assert read_annotations(tmp_path / "a.csv")[0].joints[0].tolist() == [-1, -1]


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,keypoints\n")
    (tmp_path / "b.csv").write_bytes(b"name:keypoints_y:keypoints_x\n\xff\n")
    assert "line 1: the columns are" in refused(read_annotations, tmp_path / "a.csv")
    assert "UTF-8" in refused(read_annotations, tmp_path / "b.csv")
    assert "no.csv cannot be read" in refused(read_annotations, tmp_path / "no.csv")
    (tmp_path / "p.csv").write_text("to,from\n")
    assert "line 1" in refused(read_pairs, tmp_path / "p.csv")


def test_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    pairs = [("a,1.jpg", "b.jpg"), ("b.jpg", "c d.jpg")]
    write_pairs(path, pairs)
    assert path.read_text().startswith("from,to\n") and read_pairs(path) == pairs
    path.write_text("from,to\na.jpg,b.jpg\n../a.jpg,b.jpg\na.jpg\n")
    assert "line 3" in refused(read_pairs, path)
    skipped: list[str] = []
    assert read_pairs(path, skipped) == [("a.jpg", "b.jpg")] and len(skipped) == 2


def test_the_shared_key_points_are_read(shared_dir: Path) -> None:
    rows = read_annotations(shared_dir / "media" / "people" / "keypoints.csv")
    assert len(rows) == 1406 and {row.joints.shape for row in rows} == {(18, 2)}


# JSON of pose networks


def triples(points: np.ndarray, score: float = 0.9) -> list[float]:
    return np.column_stack([points, np.full(len(points), score)]).ravel().tolist()


def test_openpose_takes_the_largest_person(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(10, 90, (25, 2))
    people = [{"pose_keypoints_2d": triples(p)} for p in (points / 5, points, points / 2)]
    people[1]["pose_keypoints_2d"][2] = 0.0
    path = tmp_path / "walk_0001_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": people}))
    ((name, joints),) = read_pose_json(path).items()
    assert name == "walk_0001" and joints[0].tolist() == [-1, -1]
    assert np.allclose(joints[8], points[BODY_25.index("right hip")])


def test_openpose_without_a_person_or_with_unknown_units(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"people": []}')
    assert read_pose_json(path) == {}
    path.write_text('{"people": [{"pose_keypoints_2d": []}]}')
    assert read_pose_json(path) == {}
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": triples(np.full((18, 2), 0.5))}]}))
    assert "keypoint_scale" in refused(read_pose_json, path)


def test_alphapose_takes_the_most_certain_person_of_every_picture(tmp_path: Path) -> None:
    items = [
        {"image_id": name, "score": score, "keypoints": triples(np.full((count, 2), value))}
        for name, score, value, count in (
            ("a.jpg", 1.0, 5.0, 17), ("a.jpg", 3.0, 6.0, 17), ("b.jpg", 2.0, 7.0, 26),
        )
    ]  # fmt: skip
    path = tmp_path / "alphapose-results.json"
    path.write_text(json.dumps(items))
    poses = read_pose_json(path)
    assert poses["a.jpg"][0].tolist() == [6, 6] and poses["b.jpg"][1].tolist() == [7, 7]


@pytest.mark.parametrize(
    "text",
    ["nonsense", "{}", "[1]", '{"people": [{}]}', '{"people": [{"pose_keypoints_2d": [1, 2]}]}',
     '{"people": [{"pose_keypoints_2d": [NaN, 1, 1]}]}', '[{"image_id": 1, "keypoints": ["x"]}]'],
)  # fmt: skip
def test_other_json_is_refused_with_its_name_or_skipped(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    assert "odd.json" in refused(read_pose_json, path)
    skipped: list[str] = []
    assert read_poses([path], skipped) == {} and len(skipped) == 1
