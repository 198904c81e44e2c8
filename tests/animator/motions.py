"""Motions without a video, and motion files that say what no animator would write."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from animator.animation.driving import Driving
from animator.animation.motion.file import Motion, Origin, Rights, pack_motion
from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.landmarks import Landmarks, missing_landmarks
from animator.faces.packing import settle

SIZE = (320, 240)


def moving(frames: int = 30, away: range = range(0), cuts: tuple[int, ...] = ()) -> Driving:
    """A face that sways and speaks, 25 frames a second, and is away for some of them."""
    random = np.random.default_rng(3)
    moments = np.arange(frames)[:, None] / 25
    points = np.asarray(MEAN_FACE, np.float64)[None] * 90 + (150, 130)
    points = points + 8 * np.sin(2 * moments)[..., None] + random.normal(0, 0.2, (frames, 68, 2))
    points[:, [57, 66]] += (0, 1) * (6 * np.sin(9 * moments)[..., None] + 6)
    found = missing_landmarks(frames)
    there = [frame for frame in range(frames) if frame not in away]
    found.points[there] = points[there]
    found.boxes[there] = np.concatenate([points.min(1), points.max(1)], -1)[there]
    found.confidence[there] = 0.8
    landmarks = settle(Landmarks(found.points, found.boxes, found.confidence))
    pts = [512 * number for number in range(frames)]
    return Driving(
        landmarks, pts, Fraction(1, 12800), Fraction(25), SIZE, (None, None), 1, cuts, (), False
    )


def motion(driving: Driving | None = None, **rights: str) -> Motion:
    """A motion that says what it is of."""
    origin = Origin("clip.mp4", "ab" * 32, Fraction(1, 2), None, "2", "dlib: one")
    return Motion(driving or moving(), origin, Rights(**rights))


def write_motion(path: Path, driving: Driving | None = None, **rights: str) -> Path:
    """A motion file."""
    path.write_bytes(pack_motion(motion(driving, **rights)))
    return path


def parts_of(content: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The header of a motion file, what it says of itself, and its tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["animator_motion"]), content[8 + length :]


def together(header: dict[str, Any], about: Any, tensors: bytes) -> bytes:
    """A file of these."""
    text = about if isinstance(about, str) else json.dumps(about)
    header = {**header, "__metadata__": {"animator_motion": text}}
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + tensors


def forged(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file as if whoever wrote it had said something else, checksum and all."""
    header, about, tensors = parts_of(content)
    change(about)
    about.pop("sha256", None)
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(set(header) - {"__metadata__"}):
        first, end = header[name]["data_offsets"]
        digest.update(f"{name} {end - first}\n".encode())
        digest.update(tensors[first:end])
    return together(header, {**about, "sha256": digest.hexdigest()}, tensors)
