from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animator.errors import AnimatorError
from animator.persons import pose_json
from animator.persons.pose_json import PoseFrame, natural, read_pose_frames
from animator.samples.dancer import Build, dance
from gfla.joints import COCO_17, Joints

BODY = dance(Build(), np.zeros(1), (200, 400))[0]
OTHER = dance(Build(), np.zeros(1), (500, 400))[0] * 0.9


def openpose(*bodies: Joints, **more: object) -> dict[str, Any]:
    people = [{"pose_keypoints_2d": _triples(body)} for body in bodies]
    return {"version": 1.3, "people": people, **more}


def person(body: Joints, image: object, score: float = 1, seen: float = 0.9) -> dict[str, Any]:
    """A person of AlphaPose, COCO's results, or its annotations."""
    order = [COCO_17.index(place) for place in range(17)]
    return {"image_id": image, "category_id": 1, "score": score,
            "keypoints": _triples(body[order], seen)}  # fmt: skip


def read(tmp_path: Path, values: object, most: int = 100) -> list[PoseFrame]:
    path = tmp_path / "a_keypoints.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return read_pose_frames(path, most)


def refused(tmp_path: Path, values: object, most: int = 100) -> AnimatorError:
    with pytest.raises(AnimatorError) as caught:
        read(tmp_path, values, most)
    message = caught.value.message
    assert "a_keypoints.json" in message and "\n" not in message and len(message) < 400
    return caught.value


def test_openpose_of_one_picture_or_a_list(tmp_path: Path) -> None:
    (frame,) = read(tmp_path, openpose(OTHER, BODY))
    assert frame.name == "a" and frame.canvas is None
    assert np.allclose(frame.bodies[0].joints, BODY) and len(frame.bodies) == 2
    (empty,) = read(tmp_path, {"people": [{"pose_keypoints_2d": []}]})
    assert empty.bodies == ()
    sized = openpose(BODY / [640, 480], canvas_width=640, canvas_height=480)
    frames = read(tmp_path, [sized, openpose()])
    assert [f.name for f in frames] == ["000000", "000001"] and frames[0].canvas == (480, 640)
    assert np.allclose(frames[0].bodies[0].joints, BODY)
    assert "keypoint_scale" in refused(tmp_path, openpose(BODY / 640)).message


def test_alphapose_and_coco_results_with_the_frames_that_show_nobody(tmp_path: Path) -> None:
    persons = [person(BODY, "9.jpg"), person(OTHER, "10.jpg"), person(BODY, "12.jpg"),
               person(BODY, "10.jpg", score=0.1)]  # fmt: skip
    frames = read(tmp_path, persons)
    assert [f.name for f in frames] == ["9.jpg", "10.jpg", "11.jpg", "12.jpg"]
    assert [len(f.bodies) for f in frames] == [1, 2, 0, 1]
    assert np.allclose(frames[0].bodies[0].joints, BODY)  # its neck is the shoulders' middle
    # Numbers that are no frames of a video stay as they are.
    loose = read(tmp_path, [person(BODY, 397133), person(OTHER, 37777)])
    assert [f.name for f in loose] == ["37777", "397133"]


def test_coco_annotations_have_sizes_and_empty_pictures(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.png", "height": 480, "width": 640} for n in (2, 10, 3)]
    annotations = [{**person(BODY, 10, seen=2), "bbox": [0, 0, 1, 1]}, {"image_id": 2, "bbox": []}]
    frames = read(tmp_path, {"images": images, "annotations": annotations})
    assert [f.name for f in frames] == ["2.png", "3.png", "10.png"]
    assert [len(f.bodies) for f in frames] == [0, 0, 1] and frames[2].canvas == (480, 640)


def test_a_joint_on_the_mark_of_missing_ones_is_no_missing_one(tmp_path: Path) -> None:
    body = BODY.copy()
    body[4] = (-1, 30)
    (frame,) = read(tmp_path, openpose(body))
    assert (frame.bodies[0].joints[4] != -1).all()


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "{}", "[1]", "null", "7", '"people"', "\ufeff[]x", "[[]]",
        '{"people": [{"pose_keypoints_2d": [1, 2]}]}', '{"people": [7]}', '{"people": 7}',
        '{"people": [{"pose_keypoints_2d": "abc"}]}',
        '{"people": [{"pose_keypoints_2d": {"a": 1}}]}',
        '{"people": [{"pose_keypoints_2d": [true, 1, 1]}]}', '[{"image_id": 1, "keypoints": [""]}]',
        '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', '[{"image_id": 1, "keypoints": null}]',
        '[{"image_id": 1, "keypoints": [1, 2, 3]}]', '{"annotations": []}',
        '{"images": [1], "annotations": []}', '{"images": {}, "annotations": []}',
        "[" * 100_000, '{"people": [' * 100_000, "9" * 5000,
    ],
)  # fmt: skip
def test_other_json_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text).code == "invalid_pose"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1e7", "1" * 400])
def test_numbers_that_no_picture_has_are_refused(tmp_path: Path, number: str) -> None:
    text = json.dumps(openpose(BODY)).replace("0.9", number)
    assert refused(tmp_path, text).code == "invalid_pose"
    persons = json.dumps([person(BODY, "a.jpg", score=77777)]).replace("77777", number)
    if number != "1e7":
        assert refused(tmp_path, persons).code == "invalid_pose"


@pytest.mark.parametrize("image", [None, True, 1.5, [], {}, "x" * 2000])
def test_names_that_are_none_are_refused(tmp_path: Path, image: object) -> None:
    assert refused(tmp_path, [person(BODY, image)]).code == "invalid_pose"


def test_sizes_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(tmp_path, [openpose(BODY)] * 5, most=4).code == "too_long"
    frames = [person(BODY, 0), person(BODY, 10**8)]
    assert len(read(tmp_path, frames)) == 2  # and not a hundred million
    long = {"people": [{"pose_keypoints_2d": [1] * 3000}]}
    assert refused(tmp_path, long).code == "invalid_pose"
    monkeypatch.setattr(pose_json, "MAX_BYTES", 1000)
    assert refused(tmp_path, " " * 1001).code == "too_large"


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for name, code in (("no.json", "no_such_file"), ("pipe.json", "not_a_file")):
        with pytest.raises(AnimatorError) as caught:
            read_pose_frames(tmp_path / name, 9)
        assert caught.value.code == code


def test_natural_order_of_strange_names() -> None:
    names = ["a10", "a9", "a²", "", "9" * 5000]
    assert sorted(names, key=natural) == ["", "9" * 5000, "a9", "a10", "a²"]


def _triples(points: Joints, score: float = 0.9) -> list[float]:
    return [float(v) for v in np.column_stack([points, np.full(len(points), score)]).ravel()]
