from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animator.errors import AnimatorError
from animator.media.decode import MediaLimits
from animator.persons import targets
from animator.persons.bodies import Body
from animator.persons.following import BodyChoice
from animator.persons.targets import Poses, Target, source_joints
from animator.samples.dancer import Build, dance
from animator.watch import Watch
from gfla.data.pose_tables import Annotation, write_annotations
from gfla.joints import extent
from tests.animator.media_files import write_video
from tests.animator.persons.test_pose_json import openpose, person

SECONDS = np.arange(12) / 12
BIG = dance(Build(), SECONDS, (150, 400))
SMALL = dance(Build(torso=60, arm=30, leg=45), SECONDS, (450, 400))
WATCH = Watch(lambda progress: None, lambda: False)


class Finder:
    """Sees two persons in every picture but grey ones, listed in another order each time."""

    calls = 0

    def find(self, picture: np.ndarray) -> list[Body]:
        number, self.calls = self.calls % 12, self.calls + 1
        there = [Body(joints[number], extent(joints[number]), 0.9) for joints in (BIG, SMALL)]
        return there[:: 1 if number % 2 else -1] if picture.mean() > 60 else []


def read(path: Path, person: BodyChoice = "largest", **limits: int) -> Poses:
    return Target(str(path), MediaLimits(**limits), person).read(Finder, WATCH)


def code_of(path: Path, person: BodyChoice = "largest", **limits: int) -> str:
    with pytest.raises(AnimatorError) as caught:
        read(path, person, **limits)
    assert "\n" not in caught.value.message
    return caught.value.code


def picture(path: Path, value: int = 200) -> Path:
    Image.new("RGB", (640, 480), (value,) * 3).save(path)
    return path


def folder_of_json(tmp_path: Path) -> Path:
    folder = tmp_path / "poses"
    folder.mkdir()
    for number, pair in enumerate(zip(BIG, SMALL, strict=True)):
        bodies = [] if number == 5 else pair[:: 1 if number % 2 else -1]
        (folder / f"f_{number}_keypoints.json").write_text(json.dumps(openpose(*bodies)))
    return folder


def test_one_of_several_persons_is_followed_through_files(tmp_path: Path) -> None:
    folder = folder_of_json(tmp_path)
    for who, expected in (("largest", BIG), (1, BIG), (2, SMALL), (3, BIG)):
        poses = read(folder, who)  # type: ignore[arg-type]
        assert poses.there is not None and poses.held == 1
        assert np.flatnonzero(~poses.there).tolist() == [5]
        assert np.allclose(poses.joints[poses.there], expected[poses.there])
        assert np.allclose(poses.joints[5], expected[4])
    # The same persons in one file, as of AlphaPose.
    listed = [
        person(joints[number], f"{number}.jpg", score=score)
        for number in range(12)
        for joints, score in ((BIG, 1), (SMALL, 3))
    ]
    (tmp_path / "a.json").write_text(json.dumps(listed))
    assert np.allclose(read(tmp_path / "a.json", 2).joints, SMALL)


def test_one_of_several_persons_is_followed_through_a_video(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), 20 if number == 5 else 200, np.uint8) for number in range(12)]
    path = write_video(tmp_path / "a.mp4", range(12), Fraction(1, 12), pictures=frames)
    for who, expected in (("largest", BIG), (2, SMALL)):
        poses = read(path, who)  # type: ignore[arg-type]
        assert poses.there is not None and poses.there.tolist() == [n != 5 for n in range(12)]
        assert np.allclose(poses.joints[poses.there], expected[poses.there])


def test_stills_show_who_is_asked_for_or_say_how_many_there_are(tmp_path: Path) -> None:
    still = picture(tmp_path / "a.png")
    assert np.allclose(read(still, 2).joints[0], SMALL[0])
    assert code_of(still, 3) == code_of(picture(tmp_path / "b.png", 9)) == "no_body"
    (tmp_path / "one.json").write_text(json.dumps(openpose(BIG[0], SMALL[0])))
    assert np.allclose(read(tmp_path / "one.json", 2).joints[0], SMALL[0])
    assert code_of(tmp_path / "one.json", 3) == "no_body"
    assert code_of(still, 0) == "invalid_option"


def test_the_source_s_pose_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([person(BIG[0], "a.jpg"), person(SMALL[0], "a.jpg"),
                                person(BIG[3], "b.jpg")]))  # fmt: skip
    assert np.allclose(source_joints(str(path), "x/a.png")[0], BIG[0])
    assert np.allclose(source_joints(str(path), "x/a.jpg", 2)[0], SMALL[0])
    for picture_name, who in (("c.png", 1), ("a.png", 3)):
        with pytest.raises(AnimatorError):
            source_joints(str(path), picture_name, who)
    path.write_text(json.dumps(openpose(SMALL[0], canvas_width=640, canvas_height=480)))
    joints, canvas = source_joints(str(path), "whatever.png")
    assert np.allclose(joints, SMALL[0]) and canvas == (480, 640)


def test_what_is_damaged_too_long_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of_json(tmp_path)
    assert code_of(folder, max_frames=11) == "too_long"
    write_annotations(tmp_path / "a.csv", [Annotation(f"{n}.png", BIG[n]) for n in range(3)])
    assert len(read(tmp_path / "a.csv").joints) == 3
    assert code_of(tmp_path / "a.csv", max_frames=2) == "too_long"
    monkeypatch.setattr(targets, "MAX_TABLE", 100)
    assert code_of(tmp_path / "a.csv") == "too_large"
    (folder / "f_6_keypoints.json").write_text("[" * 10_000)
    assert code_of(folder) == "invalid_pose"
    for file in folder.iterdir():
        file.write_text('{"people": []}')
    assert code_of(folder) == "no_body"
    assert code_of(tmp_path / "none.json") == "no_such_file"


def test_a_folder_of_too_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    for number in range(9):
        with (tmp_path / f"{number}.json").open("wb") as file:
            file.truncate(60 * 1024**2)  # each alone is small enough, but no JSON
    with pytest.raises(AnimatorError) as caught:
        Target(str(tmp_path), MediaLimits())
    assert caught.value.code == "too_large" and "512 MiB" in caught.value.message
