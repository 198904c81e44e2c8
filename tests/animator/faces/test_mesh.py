"""The face mesh: its table of points, and the real networks on a real photo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from animator.errors import AnimatorError
from animator.faces.detectors import available_detectors, detector_version, make_detector
from animator.faces.detectors.dlib import DlibDetector
from animator.faces.detectors.mean_face import MEAN_FACE, MIRRORED
from animator.faces.detectors.mesh import MeshDetector, with_open_lids
from animator.faces.detectors.mesh_points import TO_LANDMARKS
from animator.faces.tracking import FaceTracker, Landmarks, find_face
from tests.real_detectors import state_with

LIDS, LIPS = ((37, 41), (38, 40), (43, 47), (44, 46)), ((61, 67), (62, 66), (63, 65))


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="module")
def real() -> MeshDetector:
    return MeshDetector("cpu", state_with("mesh"))


def fit(detector: MeshDetector, frame: NDArray[np.uint8]) -> Landmarks:
    return FaceTracker(detector).track(frame[None])


# The table


def test_every_landmark_lies_among_its_points() -> None:
    assert TO_LANDMARKS.shape == (68, 468) and (TO_LANDMARKS >= 0).all()
    np.testing.assert_allclose(TO_LANDMARKS.sum(1), 1)
    assert ((TO_LANDMARKS > 0).sum(1) <= 3).all()


def test_sides_have_the_same_shares() -> None:
    for landmark, other in enumerate(MIRRORED):
        left, right = np.sort(TO_LANDMARKS[landmark]), np.sort(TO_LANDMARKS[other])
        np.testing.assert_allclose(left, right, atol=1e-9)


def test_what_is_shut_is_shut() -> None:
    """No point of a lid or a lip has a share in both rims."""
    for upper, lower in (*LIDS, *LIPS):
        assert not ((TO_LANDMARKS[upper] > 0) & (TO_LANDMARKS[lower] > 0)).any()


def test_lids_that_the_mesh_sees_ajar_are_shut() -> None:
    """A face of 100 pixels: an eye that is open, one that is nearly shut."""
    points = np.repeat(100 * MEAN_FACE[None], 3, 0)
    for lids, gaps in ((LIDS[:2], (4.2, 2.4, 0.5)), (LIDS[2:], (4.2, 4.2, 4.2))):
        for upper, lower in lids:
            points[:, upper, 0] = points[:, lower, 0]
            points[:, upper, 1] = points[:, lower, 1] - gaps
    moved = with_open_lids(points)
    assert (moved[:, :36] == points[:, :36]).all() and (moved[:, 48:] == points[:, 48:]).all()
    for lids, gaps in ((LIDS[:2], (5.04, 1.98, 0.175)), (LIDS[2:], (5.04, 5.04, 5.04))):
        for upper, lower in lids:
            np.testing.assert_allclose(moved[:, lower, 1] - moved[:, upper, 1], gaps, atol=0.01)
            # Most of the way is the upper lid's.
            up, down = np.abs(moved - points)[:, [upper, lower], 1].T
            np.testing.assert_allclose(up, 4 * down, atol=1e-6)


# Where it is not installed


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMATOR_STATE_DIR", str(tmp_path))
    for load in (make_detector, detector_version):
        with pytest.raises(AnimatorError, match="animator detectors install mesh") as caught:
            load("mesh", "cpu")
        assert caught.value.code == "detector_unavailable"
    (status,) = [one for one in available_detectors() if one.name == "mesh"]
    assert not status.usable and "install mesh" in status.reason


# The real networks


@pytest.mark.slow
def test_it_agrees_with_dlib(real: MeshDetector, astronaut: NDArray[np.uint8]) -> None:
    found, faces = find_face(astronaut, real)
    assert faces == 1 and found.confidence[0] > 0.99
    theirs, _ = find_face(astronaut, DlibDetector())
    width = theirs.boxes[0, 2] - theirs.boxes[0, 0]
    apart = np.linalg.norm(found.points[0] - theirs.points[0], axis=-1) / width
    assert apart.mean() < 0.03 and apart[36:].mean() < 0.025
    np.testing.assert_allclose(found.boxes, theirs.boxes, atol=0.05 * width)


@pytest.mark.slow
def test_landmarks_move_with_the_picture(real: MeshDetector, astronaut: NDArray[np.uint8]) -> None:
    whole = fit(real, astronaut)
    points, width = whole.points[0], whole.boxes[0, 2] - whole.boxes[0, 0]
    for degrees, scale in ((0, 1.3), (12, 1.0), (-40, 0.8)):
        matrix = cv2.getRotationMatrix2D((225.0, 130.0), degrees, scale)
        moved = cv2.warpAffine(astronaut, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        found = fit(real, np.asarray(moved, np.uint8))
        expected = points @ matrix[:, :2].T + matrix[:, 2]
        assert found.confidence[0] > 0.9
        assert np.linalg.norm(found.points[0] - expected, axis=1).mean() < 0.012 * width * scale


@pytest.mark.slow
def test_landmarks_hardly_depend_on_the_box_or_the_batch(
    real: MeshDetector, astronaut: NDArray[np.uint8]
) -> None:
    whole = fit(real, astronaut)
    points, box = whole.points[0], whole.boxes[0]
    width = box[2] - box[0]
    shifts = np.array([[0.1, 0, 0.1, 0], [0, -0.1, 0, -0.1], [-0.1, -0.1, 0.1, 0.1]])
    frames = np.repeat(astronaut[None], len(shifts), 0)
    found, confidence = real.landmarks(frames, box + shifts * width)
    assert np.linalg.norm(found - points, axis=-1).mean() < 0.006 * width
    assert (confidence > 0.9).all()
    alone = [real.landmarks(astronaut[None], (box + shift * width)[None])[0] for shift in shifts]
    np.testing.assert_allclose(np.concatenate(alone), found, atol=0.02)


@pytest.mark.slow
def test_a_mirrored_face_has_mirrored_landmarks(
    real: MeshDetector, astronaut: NDArray[np.uint8]
) -> None:
    points = fit(real, astronaut).points[0]
    mirrored = fit(real, np.ascontiguousarray(astronaut[:, ::-1])).points[0][MIRRORED]
    mirrored[:, 0] = astronaut.shape[1] - 1 - mirrored[:, 0]
    assert np.linalg.norm(mirrored - points, axis=-1).mean() < 0.6


@pytest.mark.slow
def test_boxes_without_a_face_have_no_confidence(
    real: MeshDetector, astronaut: NDArray[np.uint8]
) -> None:
    boxes = np.array(
        [[20, 300, 160, 440], [380, 20, 500, 140], [-900, -900, -800, -800], [np.nan] * 4]
    )
    points, confidence = real.landmarks(np.repeat(astronaut[None], 4, 0), boxes)
    assert (confidence < 0.15).all() and np.isnan(points[3]).all()


@pytest.mark.slow
def test_a_small_face_is_found(real: MeshDetector, astronaut: NDArray[np.uint8]) -> None:
    canvas = np.full((720, 1280, 3), 128, np.uint8)
    canvas[200:456, 900:1156] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    for thorough in (False, True):
        # There may be false alarms, which the mesh itself does not confirm.
        centres = [face.centre for face in real.find_faces(canvas, thorough=thorough)]
        assert any(centre == pytest.approx((1012, 262), abs=8) for centre in centres)
    found, faces = find_face(canvas, real)
    assert faces == 1 and found.points[0].mean(0) == pytest.approx((1012, 266), abs=8)


@pytest.mark.slow
def test_a_face_that_fills_the_picture_is_one(
    real: MeshDetector, astronaut: NDArray[np.uint8]
) -> None:
    """Although its parts fill tiles of a thorough search, in which each looks like a face."""
    large = cv2.resize(astronaut[40:205, 145:310], (660, 660), interpolation=cv2.INTER_CUBIC)
    assert find_face(np.asarray(large, np.uint8), real)[1] == 1
