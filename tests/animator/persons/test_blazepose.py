"""BlazePose: its arithmetic by hand, and the real networks on a real person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from animator.errors import AnimatorError
from animator.models.catalogue import BLAZEPOSE
from animator.persons.blazepose import BlazePose, refined
from animator.persons.bodies import (
    available_body_detectors,
    body_detector_version,
    make_body_detector,
    resolve_body_detector,
)
from animator.persons.body import Body, FollowingDetector
from gfla.joints import JOINTS, found
from tests.real_detectors import state_with

HEAD = ["nose", "right eye", "left eye", "right ear", "left ear"]


def place(body: Body, *names: str) -> NDArray[np.float64]:
    return body.joints[[JOINTS.index(name) for name in names]]


# Without the networks


def test_points_move_to_the_middle_of_their_heat() -> None:
    maps = np.full((1, 20, 30, 2), -20.0)
    maps[0, 9:12, 14:17, 0] = [[0, 2, 0], [2, 4, 2], [0, 2, 0]]
    maps[0, 2, 2, 1] = -1.0  # not clear enough
    places = np.array([[[13 / 30, 11 / 20], [2.2 / 30, 2.7 / 20]]])
    moved = refined(places, maps)
    np.testing.assert_allclose(moved[0, 0], [15 / 30, 10 / 20], atol=1e-6)
    np.testing.assert_allclose(moved[0, 1], places[0, 1])


def test_points_beyond_the_crop_stay() -> None:
    places = np.array([[[-0.1, 0.5], [0.5, 1.2]]])
    np.testing.assert_allclose(refined(places, np.full((1, 8, 8, 2), 9.0)), places)


def test_auto_takes_what_is_installed(tmp_path: Path) -> None:
    assert resolve_body_detector("auto", tmp_path) == "keypoint-rcnn"
    folder = BLAZEPOSE.folder(tmp_path)
    folder.mkdir(parents=True)
    for file in BLAZEPOSE.files:
        with open(folder / file.name, "wb") as made:
            made.truncate(file.size)
    assert resolve_body_detector("auto", tmp_path) == "blazepose"
    assert resolve_body_detector("keypoint-rcnn", tmp_path) == "keypoint-rcnn"
    assert "mediapipe 0.10.21" in body_detector_version("auto", tmp_path)
    # The right sizes are not the right files.
    with pytest.raises(AnimatorError, match="not the file that was installed") as caught:
        make_body_detector("blazepose", "cpu", tmp_path)
    assert caught.value.code == "detector_unavailable"


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnimatorError, match="detectors install blazepose") as caught:
        make_body_detector("blazepose", "cpu", tmp_path)
    assert caught.value.code == "detector_unavailable"
    status = {one.name: one for one in available_body_detectors(tmp_path)}
    assert not status["blazepose"].usable and "install blazepose" in status["blazepose"].reason


def test_choices_that_are_not_allowed(tmp_path: Path) -> None:
    for name, weights, words in (
        ("dlib", None, "auto, keypoint-rcnn or blazepose"),
        ("blazepose", tmp_path / "x.pth", "takes no file of weights"),
    ):
        with pytest.raises(AnimatorError, match=words) as caught:
            make_body_detector(name, "cpu", tmp_path, weights=weights)
        assert caught.value.code == "invalid_option"


# With them


@pytest.fixture(scope="module")
def real() -> BlazePose:
    return BlazePose("cpu", state_with("blazepose"))


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return np.ascontiguousarray(data.astronaut())


@pytest.mark.slow
def test_the_real_networks_find_a_real_person(
    real: BlazePose, astronaut: NDArray[np.uint8]
) -> None:
    (body,) = real.find(astronaut)
    assert body.score > 0.9 and isinstance(real, FollowingDetector)
    # By eye, in pixels of the picture; her right is on the left.
    expected = [[224, 124], [204, 105], [247, 104], [180, 117], [272, 113]]
    assert np.abs(place(body, *HEAD) - expected).max() < 16
    right, left = place(body, "right shoulder", "left shoulder")
    assert right[0] < 175 and left[0] > 280
    np.testing.assert_allclose(place(body, "neck")[0], (right + left) / 2)
    # Legs are out of the picture.
    assert not found(body.joints)[[JOINTS.index("right ankle"), JOINTS.index("left knee")]].any()


@pytest.mark.slow
def test_joints_turn_with_the_picture(real: BlazePose, astronaut: NDArray[np.uint8]) -> None:
    (body,) = real.find(astronaut)
    matrix = cv2.getRotationMatrix2D((256, 256), 25, 0.7)
    turned = np.asarray(cv2.warpAffine(astronaut, matrix, (560, 520)), np.uint8)
    (followed,) = real.find_after(turned, [body])
    expected = place(body, *HEAD) @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(place(followed, *HEAD) - expected).max() < 14


@pytest.mark.slow
def test_two_persons_and_nobody(real: BlazePose, astronaut: NDArray[np.uint8]) -> None:
    small = cv2.resize(astronaut, (300, 300), interpolation=cv2.INTER_AREA)
    both = np.full((420, 720, 3), 90, np.uint8)
    both[120:420, 20:320] = small
    both[60:360, 400:700] = small[:, ::-1]
    bodies = real.find(both)
    middles = sorted(place(body, "nose")[0, 0] for body in bodies)
    assert middles == pytest.approx([20 + 131, 700 - 131], abs=14)
    # One of them gone: who is followed is not lost, and nobody is found on the wall.
    left = min(bodies, key=lambda body: body.box[0])
    alone = both.copy()
    alone[:, 360:] = 90
    (still_there,) = real.find_after(alone, [left])
    assert place(still_there, "nose")[0, 0] == pytest.approx(151, abs=14)
    assert not real.find_after(np.full((300, 400, 3), 90, np.uint8), [left])
