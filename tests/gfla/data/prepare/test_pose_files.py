from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gfla.data.prepare.pose_files import read_pose_json, read_poses
from tests.gfla.person_files import BODY_25, refused


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
