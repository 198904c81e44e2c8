"""Landmarks by face-alignment: the S3FD face detector and the FAN landmark network.

It is slow on a CPU and fast on CUDA, and finds faces in profile that dlib does not. Its weights
are not part of any package: they are taken from torch.hub's folder or fetched into it.
"""

from __future__ import annotations

import importlib.metadata
import logging
import pickle
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.landmarks import POINTS, FaceBox
from gfla.pretrained import fetch, weights_folder

log = logging.getLogger(__name__)

WEIGHTS = {
    "2DFAN4-11f355bf06.pth.tar": (
        "https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar"
    ),
    "s3fd-619a316812.pth": "https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
}
"""Files and where they come from; a name ends in the first digits of the file's SHA-256."""

_CROP = 256
_MAP = 64
_REFERENCE = 195.0
_UNIT = 200.0
"""A face box whose mean side is _REFERENCE / 2 pixels is cut out _UNIT pixels wide."""
_UP = 0.12
"""How far the crop's centre lies above that of the box, in heights of the box."""


def missing_weights() -> list[str]:
    """The names of the weight files that are not in the folder."""
    folder = weights_folder()
    return [name for name in WEIGHTS if not (folder / name).is_file()]


def fetch_weights(timeout: float = 20.0) -> None:
    """Fetch the weight files that are not there, 180 MB in all.

    Args:
        timeout: seconds without any data after which a server counts as out of reach.

    Raises:
        AnimatorError: detector_unavailable if that fails; it can be retried.
    """
    for name in missing_weights():
        log.info("fetching %s", WEIGHTS[name])
        try:
            fetch(WEIGHTS[name], weights_folder() / name, timeout)
        except (OSError, urllib.error.URLError, ValueError) as error:
            wanted = " and ".join(WEIGHTS[file] for file in missing_weights())
            raise AnimatorError(
                "detector_unavailable",
                f"The weights of face-alignment could not be fetched ({error}); "
                f"put {wanted} into {weights_folder()}, or use the detector dlib.",
                retryable=True,
            ) from error


def version() -> str:
    """The version of the detector, which need not be loaded for it.

    Raises:
        AnimatorError: detector_unavailable if the package is missing.
    """
    with _unavailable():
        release = importlib.metadata.version("face_alignment")
    return f"face-alignment {release}, 2DFAN4-11f355bf06, s3fd-619a316812, fit 1"


def resolve_device(device: str) -> torch.device:
    """The device meant by "auto" (CUDA where there is any), "cpu", "cuda" or "cuda:N".

    Raises:
        AnimatorError: device_unavailable.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise AnimatorError("device_unavailable", f"There is no device {device!r}.") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise AnimatorError(
            "device_unavailable",
            f"{device} was asked for, but {torch.cuda.device_count()} CUDA devices are present.",
        )
    return chosen


class FaceAlignmentDetector:
    """The face-alignment package behind the `LandmarkDetector` protocol.

    The package runs its network on one face at a time and rounds its points to whole pixels; here
    the network runs on batches of frames and the points keep their fractions.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        AnimatorError: detector_unavailable if the package or its weights are missing and cannot
            be fetched, or the files are damaged; device_unavailable.
    """

    name = "face-alignment"

    def __init__(self, device: str = "auto") -> None:
        self.device = resolve_device(device)
        self.batch = 16 if self.device.type == "cuda" else 4
        fetch_weights()
        with _unavailable():
            # Importing takes seconds, so it waits until someone wants this detector.
            from face_alignment import FaceAlignment, LandmarksType
            from face_alignment.utils import crop

            self._cut = crop
            self._networks = FaceAlignment(
                LandmarksType.TWO_D,
                device=str(self.device),
                flip_input=False,
                compile=False,
                face_detector="sfd",
                face_detector_kwargs={
                    "path_to_detector": str(weights_folder() / "s3fd-619a316812.pth")
                },
            )
        self.version = version()

    def find_faces(self, frame: NDArray[np.uint8], *, thorough: bool = False) -> list[FaceBox]:
        """See `LandmarkDetector.find_faces`."""
        height, width = frame.shape[:2]
        short = 640 if thorough else 360
        scale = min(short / min(height, width), 3 * short / max(height, width), 1.0)
        shape = max(round(width * scale), 1), max(round(height * scale), 1)
        small = cv2.resize(frame, shape, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        found = self._networks.face_detector.detect_from_image(np.ascontiguousarray(small))
        faces = []
        for row in found:
            x0, y0, x1, y1 = (float(edge) / scale for edge in row[:4])
            face = FaceBox(x0, y0, x1, y1, min(max(float(row[4]), 0.0), 1.0))
            if np.isfinite(face.edges).all() and face.area > 0:
                faces.append(face)
        return sorted(faces, key=lambda face: -face.area)

    @torch.inference_mode()
    def landmarks(
        self,
        frames: NDArray[np.uint8],
        boxes: NDArray[np.floating],
        rolls: NDArray[np.floating] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `LandmarkDetector.landmarks`; `rolls` is not needed.

        The confidence is the mean height of the 68 heat maps' peaks.
        """
        del rolls
        points = np.full((len(frames), POINTS, 2), np.nan, np.float32)
        confidence = np.zeros(len(frames), np.float32)
        # Crops of the faces that lie in their frames.
        rows, crops, corners, widths = [], [], [], []
        for row, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
            centre, width = _crop_of(box)
            corner = centre - width / 2
            inside = (corner < np.array(frame.shape[1::-1]) - 2) & (corner + width > 2)
            if not np.isfinite(corner).all() or width < 4 or not inside.all():
                continue
            crops.append(self._cut(frame, centre, width / _UNIT, float(_CROP)))
            rows.append(row)
            corners.append(corner)
            widths.append(width)
        if rows:
            # From cells of the maps, counted from their edge, to pixels, counted from their
            # centres.
            positions, heights = self._peaks(np.stack(crops))
            scale = np.array(widths)[:, None, None] / _MAP
            points[rows] = positions * scale + np.array(corners)[:, None] - 0.5
            confidence[rows] = np.clip(heights.mean(1), 0, 1)
        return points, confidence

    def boxes_of(
        self, points: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `LandmarkDetector.boxes_of`; the extent of the landmarks, as in FAN's training."""
        boxes = np.concatenate([points.min(1), points.max(1)], -1)
        return boxes.astype(np.float32), np.zeros(len(points), np.float32)

    def _peaks(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Run the network on N crops.

        Returns:
            The peaks of the heat maps, N x 68 x 2 as (x, y) in cells of the map from its left and
            top edge, and their heights N x 68.
        """
        maps = []
        for start in range(0, len(crops), self.batch):
            batch = torch.from_numpy(crops[start : start + self.batch]).to(self.device)
            answers = self._networks.face_alignment_net(batch.permute(0, 3, 1, 2).float() / 255)
            maps.append(answers[-1].float().cpu().numpy())
        return find_peaks(np.concatenate(maps))


def _crop_of(box: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """Centre and width in pixels of the part of the picture that FAN sees for a face box."""
    x0, y0, x1, y1 = np.asarray(box, np.float64)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2 - _UP * (y1 - y0)])
    return centre, float((x1 - x0 + y1 - y0) / _REFERENCE * _UNIT)


def find_peaks(maps: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Where heat maps N x K x H x W are highest, to a fraction of a cell.

    A parabola through the logarithms of the highest cell and its neighbours is exact for a
    Gaussian, which is the shape that the network was trained to draw.

    Returns:
        Positions N x K x 2 as (x, y), in cells from the left and top edge, and heights N x K.
    """
    count, kinds, height, width = maps.shape
    flat = maps.reshape(count, kinds, -1)
    best = flat.argmax(-1)
    peak = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    # The highest cell of each map.
    y, x = np.divmod(best, width)
    rows, columns = np.ogrid[:count, :kinds]

    def offset(before: NDArray[Any], after: NDArray[Any], inner: NDArray[Any]) -> NDArray[Any]:
        floor = np.maximum(peak * 1e-3, 1e-9)
        low, mid, high = (np.log(np.maximum(value, floor)) for value in (before, peak, after))
        bend = 2 * mid - low - high
        known = inner & (bend > 1e-6) & (peak > 0)
        return np.where(known, (high - low) / (2 * np.where(known, bend, 1)), 0.0)

    # At the border there is no neighbour, and the peak stays in the middle of its cell.
    left, right = np.maximum(x - 1, 0), np.minimum(x + 1, width - 1)
    above, below = np.maximum(y - 1, 0), np.minimum(y + 1, height - 1)
    dx = offset(maps[rows, columns, y, left], maps[rows, columns, y, right], left < x)
    dy = offset(maps[rows, columns, above, x], maps[rows, columns, below, x], above < y)
    dx, dy = np.where(right > x, dx, 0.0), np.where(below > y, dy, 0.0)
    return np.stack([x + 0.5 + dx, y + 0.5 + dy], -1), peak


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turn what a missing package or a damaged weight file raises into a coded error."""
    try:
        yield
    except ImportError as error:
        raise AnimatorError(
            "detector_unavailable",
            f"face-alignment cannot be imported ({error}); install it with: "
            "pip install face-alignment.",
        ) from error
    except (RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AnimatorError(
            "detector_unavailable",
            f"The weights of face-alignment in {weights_folder()} cannot be used ({reason}); "
            "remove the files there, so that they are fetched again, or use the detector dlib.",
        ) from error
