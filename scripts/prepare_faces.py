"""Pack footage of faces for training: clips and stills in, square crops with landmarks out.

Reads a manifest (CSV with columns path, kind, identity, license) beside the media. Rows under a
permissive licence go to `train/`, identities that only occur under other licences to `held-out/`,
so that no person is on both sides. Packs that exist are kept: run it again to go on.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from animator.compose import crop_square, to_crop
from animator.decode import VideoReader, read_image
from animator.detectors import make_detector
from animator.errors import AnimatorError
from animator.faces import LandmarkDetector
from animator.landmarks import FaceTracker, find_face
from animator.motion import Square, face_square
from gfla.data.faces import write_pack

PERMISSIVE = {"MIT", "Apache-2.0", "BSD", "BSL-1.0", "CC0 1.0", "CC BY 4.0"}
SIZE = 256
MARGIN = 1.9
"""Side of the crop in units of the face: a little more than what is animated, so that training may
move and zoom it."""
FEWEST_FRAMES = 8
SMALLEST_CROP = 150
LONG_CLIP = 150
"""Clips of more frames give every second one."""


def main() -> None:
    """Parse, pack, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stills", type=Path, help="folder of face photos, each of one person")
    parser.add_argument("--stills-license", default="MIT")
    parser.add_argument("--detector", default="dlib")
    options = parser.parse_args()

    detector = make_detector(options.detector)
    with options.manifest.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] in ("face_video", "portrait")]
    if options.stills:
        rows += [
            {
                "path": str(path.relative_to(options.manifest.parent)),
                "kind": "portrait",
                "identity": f"still-{path.stem}",
                "license": options.stills_license,
            }
            for path in sorted(options.stills.iterdir())
        ]
    trained = {row["identity"] for row in rows if row["license"] in PERMISSIVE}
    counts: Counter[str] = Counter()
    for row in track(rows, description="packing"):
        counts[pack_row(row, trained, options.manifest.parent, options.out, detector)] += 1
    for outcome, count in sorted(counts.items()):
        print(f"{count:6d} {outcome}")


def pack_row(
    row: dict[str, str], trained: set[str], media: Path, out: Path, detector: LandmarkDetector
) -> str:
    """Pack one file; returns what came of it."""
    if row["license"] in PERMISSIVE:
        split = "train"
    elif row["identity"] in trained:
        return "left out: a trained identity under another licence"
    else:
        split = "held-out"
    target = out / split / (row["path"].replace("/", "-") + ".npz")
    if target.exists():
        return f"{split}: there already"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        read = pack_clip if row["kind"] == "face_video" else pack_still
        frames, landmarks = read(media / row["path"], detector)
    except AnimatorError as error:
        return f"skipped: {error.code}"
    if not frames:
        return "skipped: the face is too small or too seldom seen"
    meta = {name: row[name] for name in ("path", "identity", "license", "kind")}
    write_pack(target, frames, landmarks, meta)
    return f"{split}: {row['kind']}"


def pack_clip(
    path: Path, detector: LandmarkDetector
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32]]:
    """Crops and landmarks of the frames that show the face, all by one square."""
    tracker = FaceTracker(detector)
    pictures, parts = [], []
    with VideoReader(path) as reader:
        step = 2 if (reader.frames or 0) >= LONG_CLIP else 1
        count = 0
        for batch in reader:
            landmarks = tracker.track(batch.pixels)
            for picture, points in zip(batch.pixels, landmarks.points, strict=True):
                count += 1
                if count % step == 0 and np.isfinite(points).all():
                    pictures.append(picture)
                    parts.append(points)
    if len(parts) < FEWEST_FRAMES:
        return [], np.empty((0, 68, 2), np.float32)
    points = np.stack(parts)
    square = clip_square(points)
    return [crop_square(p, square, SIZE) for p in pictures], in_units(points, square)


def clip_square(points: NDArray[np.float32]) -> Square:
    """A square for a whole clip: the typical face's, as large as its motion asks for."""
    typical = face_square(np.median(points, 0), MARGIN)
    low, high = np.percentile(points.min(1), 10, 0), np.percentile(points.max(1), 90, 0)
    middle = (typical.cx + float(low[0] + high[0]) / 2) / 2
    return Square(middle, typical.cy, max(typical.side, 1.35 * float((high - low).max())))


def pack_still(
    path: Path, detector: LandmarkDetector
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32]]:
    """The crop and landmarks of a photo's face."""
    picture = read_image(path)
    points = find_face(picture, detector)[0].points
    square = face_square(points[0], MARGIN)
    if square.side < SMALLEST_CROP:
        return [], points
    return [crop_square(picture, square, SIZE)], in_units(points, square)


def in_units(points: NDArray[np.float32], square: Square) -> NDArray[np.float32]:
    """Pixels of a picture as units of the square, from edge to edge."""
    return to_crop(points, square, 1) + np.float32(0.5)


if __name__ == "__main__":
    main()
