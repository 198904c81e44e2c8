"""Both detectors: dlib on a real photo, face-alignment with files of the right shapes."""

from __future__ import annotations

import hashlib
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from animator.errors import AnimatorError
from animator.faces.detectors import (
    available_detectors,
    face_alignment,
    make_detector,
    resolve_detector,
)
from animator.faces.detectors.dlib import DlibDetector, predictor_path
from animator.faces.detectors.face_alignment import FaceAlignmentDetector, find_peaks
from animator.faces.detectors.mean_face import MEAN_FACE, MIRRORED
from animator.faces.geometry import Similarity
from animator.faces.landmarks import POINTS
from animator.faces.tracking import FaceTracker, Landmarks


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="module")
def dlib_detector() -> DlibDetector:
    return DlibDetector()


def fit(detector: DlibDetector, frame: NDArray[np.uint8]) -> Landmarks:
    """The largest face of a frame."""
    return FaceTracker(detector).track(frame[None])


# dlib


def test_the_mean_face_is_symmetric() -> None:
    np.testing.assert_allclose(MEAN_FACE[MIRRORED] * [-1, 1], MEAN_FACE, atol=1e-9)
    assert (MIRRORED[MIRRORED] == np.arange(POINTS)).all()


def test_boxes_of_landmarks_have_place_size_and_roll(dlib_detector: DlibDetector) -> None:
    lean = Similarity(np.asarray(80 * np.exp(0.3j)), np.asarray(200 + 150j))
    boxes, rolls = dlib_detector.boxes_of(lean.apply(MEAN_FACE)[None])
    np.testing.assert_allclose(boxes[0], [160, 110, 240, 190], atol=1e-3)
    assert rolls[0] == pytest.approx(0.3, abs=1e-6)


def test_landmarks_move_with_the_picture(
    astronaut: NDArray[np.uint8], dlib_detector: DlibDetector
) -> None:
    whole = fit(dlib_detector, astronaut)
    assert whole.confidence[0] > 0.9
    points, width = whole.points[0], whole.boxes[0, 2] - whole.boxes[0, 0]
    for degrees, scale in ((0, 1.3), (12, 1.0), (-20, 0.8)):
        matrix = cv2.getRotationMatrix2D((225.0, 130.0), degrees, scale)
        moved = cv2.warpAffine(astronaut, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        found = fit(dlib_detector, np.asarray(moved, np.uint8))
        expected = points @ matrix[:, :2].T + matrix[:, 2]
        assert found.confidence[0] > 0.8
        assert np.linalg.norm(found.points[0] - expected, axis=1).mean() < 0.012 * width * scale


def test_landmarks_hardly_depend_on_the_box(
    astronaut: NDArray[np.uint8], dlib_detector: DlibDetector
) -> None:
    whole = fit(dlib_detector, astronaut)
    points, box = whole.points[0], whole.boxes[0]
    width = box[2] - box[0]
    shifts = np.array([[0.1, 0, 0.1, 0], [0, -0.1, 0, -0.1], [-0.1, -0.1, 0.1, 0.1]])
    frames = np.repeat(astronaut[None], len(shifts), 0)
    found, confidence = dlib_detector.landmarks(frames, box + shifts * width)
    assert np.linalg.norm(found - points, axis=-1).mean() < 0.006 * width
    assert (confidence > 0.9).all()


def test_a_box_without_a_face_has_no_confidence(
    astronaut: NDArray[np.uint8], dlib_detector: DlibDetector
) -> None:
    boxes = np.array([[20, 300, 160, 440], [380, 20, 500, 140], [-900, -900, -800, -800]])
    _, confidence = dlib_detector.landmarks(np.repeat(astronaut[None], 3, 0), boxes)
    assert (confidence < 0.15).all()


def test_missing_boxes_give_missing_points(dlib_detector: DlibDetector) -> None:
    frames = np.zeros((1, 64, 64, 3), np.uint8)
    points, confidence = dlib_detector.landmarks(frames, np.full((1, 4), np.nan))
    assert np.isnan(points).all()
    assert confidence[0] == 0


def test_a_small_face_is_found(astronaut: NDArray[np.uint8], dlib_detector: DlibDetector) -> None:
    canvas = np.full((720, 960, 3), 128, np.uint8)
    canvas[200:456, 300:556] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    face = dlib_detector.find_faces(canvas, thorough=True)[0]
    assert face.centre == pytest.approx((300 + 225 / 2, 200 + 125 / 2), abs=10)


# Choice


def test_the_choice_of_a_detector() -> None:
    assert resolve_detector("dlib") == "dlib"
    assert resolve_detector("face-alignment") == "face-alignment"
    assert resolve_detector("auto", "cpu") == "dlib"
    with pytest.raises(AnimatorError) as error:
        make_detector("mediapipe")
    assert error.value.code == "invalid_option"


def test_auto_falls_back_to_dlib_without_weights(empty_hub: Path) -> None:
    assert make_detector().name == "dlib"


def test_the_status_of_detectors(empty_hub: Path) -> None:
    status = {found.name: found for found in available_detectors()}
    assert status["dlib"].usable
    assert status["dlib"].reason == str(predictor_path())
    assert not status["face-alignment"].usable
    assert str(empty_hub / "checkpoints") in status["face-alignment"].reason


def test_importing_the_detectors_loads_nothing_heavy() -> None:
    code = (
        "import sys, animator.faces.detectors; "
        "print([name for name in ('torch', 'dlib', 'face_alignment') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr


# face-alignment


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's folder, with nothing in it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """torch.hub's folder with weight files of the right shapes and random values."""
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("torch")
        patch.setenv("TORCH_HOME", str(home))
        folder = face_alignment.weights_folder()
        folder.mkdir(parents=True)
        torch.manual_seed(0)
        torch.save(FAN(4).state_dict(), folder / "2DFAN4-11f355bf06.pth.tar")
        torch.save(s3fd().state_dict(), folder / "s3fd-619a316812.pth")
        yield folder


@pytest.fixture(scope="module")
def random_fan(hub: Path) -> FaceAlignmentDetector:
    return FaceAlignmentDetector("cpu")


BOXES = np.array([[150, 60, 290, 210], [151.3, 60.8, 290, 209.5], [-40, -30, 160, 220]])
"""Face boxes in the astronaut; the last one sticks out of the picture."""


def test_batches_equal_the_packages_own_call(
    astronaut: NDArray[np.uint8], random_fan: FaceAlignmentDetector
) -> None:
    frames = np.repeat(astronaut[None], len(BOXES), 0)
    points, confidence = random_fan.landmarks(frames, BOXES)
    for box, found, sure in zip(BOXES, points, confidence, strict=True):
        theirs, scores, _ = random_fan._networks.get_landmarks_from_image(
            astronaut, detected_faces=[box], return_landmark_score=True
        )
        assert sure == pytest.approx(float(scores[0].mean()), abs=1e-5)
        # The package moves a peak by a quarter of a cell and cuts off fractions of pixels; ours
        # lies within half a cell of the cell's centre.
        cell = (box[2] - box[0] + box[3] - box[1]) / 195 * 200 / 64
        assert np.abs(found - theirs[0]).max() < 0.55 * cell + 1
        assert np.abs((found - theirs[0]).mean(0)).max() < 0.15 * cell + 0.3


def test_a_batch_equals_its_frames(
    astronaut: NDArray[np.uint8], random_fan: FaceAlignmentDetector
) -> None:
    frames = np.stack([astronaut, astronaut[::-1], astronaut])
    together, _ = random_fan.landmarks(frames, BOXES)
    for row in range(3):
        alone, _ = random_fan.landmarks(frames[row : row + 1], BOXES[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], atol=0.05)


@pytest.mark.gpu
def test_cuda_gives_the_landmarks_of_the_cpu(
    astronaut: NDArray[np.uint8], random_fan: FaceAlignmentDetector
) -> None:
    frames = np.repeat(astronaut[None], len(BOXES), 0)
    cpu, _ = random_fan.landmarks(frames, BOXES)
    cuda, _ = FaceAlignmentDetector("cuda").landmarks(frames, BOXES)
    assert np.median(np.abs(cuda - cpu)) < 0.1


def test_boxes_off_the_picture_give_no_face(
    astronaut: NDArray[np.uint8], random_fan: FaceAlignmentDetector
) -> None:
    boxes = np.array([[5000, 0, 5100, 100], [np.nan] * 4, [10, 10, 10, 10]])
    points, confidence = random_fan.landmarks(np.repeat(astronaut[None], 3, 0), boxes)
    assert np.isnan(points).all()
    assert (confidence == 0).all()


def test_detections_are_in_pixels_of_the_frame(
    astronaut: NDArray[np.uint8], random_fan: FaceAlignmentDetector
) -> None:
    faces = random_fan.find_faces(astronaut[:256, :256])
    assert all(0 <= face.confidence <= 1 for face in faces)
    assert [face.area for face in faces] == sorted((face.area for face in faces), reverse=True)


def test_peaks_are_exact_for_gaussians() -> None:
    centres = np.array([[[20.3, 31.8], [0.5, 63.2], [40.0, 7.45]]])
    cells = np.arange(64) + 0.5
    x, y = centres[..., 0, None, None], centres[..., 1, None, None]
    maps = np.exp(-((cells - x) ** 2 + (cells[:, None] - y) ** 2) / 2).astype(np.float32)
    positions, heights = find_peaks(maps)
    np.testing.assert_allclose(positions[:, ::2], centres[:, ::2], atol=1e-3)
    # At the border of the map only the direction along it is refined.
    np.testing.assert_allclose(positions[0, 1], [0.5, 63.5], atol=1e-6)
    assert (heights > 0.8).all()


def test_flat_maps_have_a_peak_without_a_fraction() -> None:
    positions, heights = find_peaks(np.zeros((1, 1, 8, 8), np.float32))
    assert np.isfinite(positions).all()
    assert heights[0, 0] == 0


def test_addresses_are_those_of_the_package() -> None:
    from face_alignment.api import models_urls
    from face_alignment.detection.sfd.sfd_detector import models_urls as detector_urls

    assert set(face_alignment.WEIGHTS.values()) == {
        models_urls["2DFAN-4"],
        detector_urls["s3fd"],
    }


def test_damaged_weights_are_named(empty_hub: Path) -> None:
    folder = face_alignment.weights_folder()
    folder.mkdir(parents=True)
    for name in face_alignment.WEIGHTS:
        (folder / name).write_bytes(b"not a weight file")
    with pytest.raises(AnimatorError) as error:
        make_detector("face-alignment", "cpu")
    assert error.value.code == "detector_unavailable"
    assert str(folder) in error.value.message


def test_a_device_that_is_not_there() -> None:
    for device in ("cuda:99", "nonsense"):
        with pytest.raises(AnimatorError) as error:
            FaceAlignmentDetector(device)
        assert error.value.code == "device_unavailable"


# Fetching weights, from a server of the test's own


class Server(http.server.BaseHTTPRequestHandler):
    """Serves /good and refuses all else."""

    body = b"weights"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_weights_are_fetched_and_checked(
    server: str, empty_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"net-{hashlib.sha256(Server.body).hexdigest()[:10]}.pth.tar"
    monkeypatch.setattr(face_alignment, "WEIGHTS", {name: f"{server}/good"})
    face_alignment.fetch_weights()
    assert (face_alignment.weights_folder() / name).read_bytes() == Server.body
    assert face_alignment.missing_weights() == []


@pytest.mark.parametrize("address", ["/good", "/missing"])
def test_wrong_or_missing_weights_leave_nothing_behind(
    address: str, server: str, empty_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server + address
    monkeypatch.setattr(face_alignment, "WEIGHTS", {"net-0123456789.pth": url})
    with pytest.raises(AnimatorError) as error:
        make_detector("face-alignment", "cpu")
    assert error.value.code == "detector_unavailable"
    assert error.value.retryable
    assert url in error.value.message
    assert str(face_alignment.weights_folder()) in error.value.message
    assert list(face_alignment.weights_folder().iterdir()) == []
