"""Joints from the JSON files of OpenPose and AlphaPose."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gfla.errors import GflaError
from gfla.joints import Joints, extent, found, from_coco17, from_openpose

MIN_SCORE = 0.05
"""Joints that are less certain than this count as missing; OpenPose's own threshold."""
MAX_BYTES = 512 * 1024**2


def read_pose_json(path: str | Path) -> dict[str, Joints]:
    """Read a file of OpenPose (one picture) or AlphaPose (many pictures).

    Of several persons in a picture, OpenPose's largest and AlphaPose's most certain is taken.

    Returns:
        18 x 2 joints by the picture's name: the file's own without ``_keypoints`` and suffix for
        OpenPose, the ``image_id`` for AlphaPose. Pictures without a person are not in it.

    Raises:
        GflaError: ``invalid_data`` naming the file if it is neither, or its numbers are broken.
    """
    path = Path(path)
    try:
        # What a file is shows in its outermost value: an object with people, or a list of persons.
        if path.stat().st_size > MAX_BYTES:
            raise GflaError("invalid_data", f"{path} has more than {MAX_BYTES} bytes")
        values = json.loads(path.read_bytes())
        if isinstance(values, dict) and isinstance(values.get("people"), list):
            joints = _openpose(values["people"])
            name = path.stem.removesuffix("_keypoints")
            return {} if joints is None else {name: joints}
        if isinstance(values, list) and all(_is_alphapose(item) for item in values):
            return _alphapose(values)
    except OSError as error:
        raise GflaError("invalid_data", f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise GflaError("invalid_data", f"{path} holds no poses: {error}") from error
    # Named here: what is below knows no file.
    except GflaError as error:
        raise GflaError(error.code, f"{path}: {error.message}") from error
    message = f"{path} is neither of OpenPose (an object with people) nor of AlphaPose (a list)"
    raise GflaError("invalid_data", message)


def read_poses(paths: Iterable[str | Path], skipped: list[str] | None = None) -> dict[str, Joints]:
    """Read many files as one table.

    Args:
        paths: files of ``read_pose_json``.
        skipped: a list that gets a sentence for every file that is broken, which is then left out;
            None for a reader that stops at the first.
    """
    poses: dict[str, Joints] = {}
    for path in paths:
        try:
            poses |= read_pose_json(path)
        except GflaError as error:
            if skipped is None:
                raise
            skipped.append(error.message)
    return poses


def _is_alphapose(item: object) -> bool:
    return isinstance(item, dict) and "image_id" in item and "keypoints" in item


def _openpose(people: list[Any]) -> Joints | None:
    bodies = []
    for person in people:
        points, scores = _triples(person["pose_keypoints_2d"])
        if not len(points):  # only hands or a face were looked for, or found
            continue
        seen = scores > MIN_SCORE
        # OpenPose writes 0..1 or -1..1 with other values of --keypoint_scale.
        if seen.any() and np.abs(points[seen]).max() <= 1:
            message = "its coordinates are parts of the picture; write pixels (--keypoint_scale 0)"
            raise GflaError("invalid_data", message)
        joints = from_openpose(points, seen)
        if found(joints).any():
            bodies.append(joints)
    return max(bodies, key=_area, default=None)


def _alphapose(items: list[dict[str, Any]]) -> dict[str, Joints]:
    poses: dict[str, Joints] = {}
    best: dict[str, float] = {}
    for item in items:
        points, scores = _triples(item["keypoints"])
        joints = from_coco17(points, scores > MIN_SCORE)
        name, score = str(item["image_id"]), float(item.get("score", scores.mean()))
        if found(joints).any() and score > best.get(name, -np.inf):
            poses[name], best[name] = joints, score
    return poses


def _triples(
    values: list[float],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    numbers = np.array(values, np.float64)
    if numbers.ndim != 1 or len(numbers) % 3 or not np.isfinite(numbers).all():
        raise ValueError("key points must be finite numbers x, y, score, ...")
    numbers = numbers.reshape(-1, 3)
    return numbers[:, :2], numbers[:, 2]


def _area(joints: Joints) -> float:
    left, top, right, bottom = extent(joints)
    return (right - left + 1) * (bottom - top + 1)
