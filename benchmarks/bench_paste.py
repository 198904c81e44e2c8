"""How well faces are put back into their pictures: border, stillness around, sharpness and time.

For the largest faces of a folder of portraits, each animated by the same video: once pasted through
a fixed soft border, as it is done where no motion is known, and once along the networks' flow.

- seam: mean step from pixel to pixel across the border of what was generated, against that of the
  portrait itself at the same places; band: the same of all steps in the soft border. Above 1 there
  is an edge, below 1 a smear.
- around: mean change in grey levels from frame to frame, within the square and outside of the head,
  which is the face with forehead, and hair and neck as GrabCut tells them from the background.
- sharpness: variance of the Laplacian in the face at its own size, without mouth and eyes,
  against the portrait's; and `animator.faces.measures.sharpness`, which looks at 256 pixels.
- flicker: mean second difference in time in the face, in grey levels, of a blurred picture.
- time: milliseconds of a processor that a frame takes the networks and the composer.

Pictures of the most moved frame go beside each other into a folder, if one is given.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from environment import describe
from numpy.typing import NDArray
from PIL import Image

from animator.animation.composing.compose import Composer, GeneratedFace
from animator.animation.composing.reach import BORDER, FaceMotion
from animator.animation.composing.view import WholeView
from animator.animation.faces.plan import make_plan
from animator.animation.inputs import open_inputs
from animator.animation.plan import JobPlan
from animator.errors import AnimatorError
from animator.faces.crop import crop_square, face_square, in_units, whole_square
from animator.faces.detectors import make_detector
from animator.faces.measures import sharpness
from animator.faces.tracking import find_face
from animator.media.decode import read_picture
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.watch import Watch
from gfla.arrays import Picture, Points

RESULTS = Path(__file__).parent / "results"
_LARGER = 1.25
_NECK = 0.35  # heights of the landmarks below the chin at which shoulders begin
_OPENINGS = (range(48, 68), range(36, 42), range(42, 48))


class Frame(NamedTuple):
    """A rendered face and how it has moved."""

    picture: Picture
    motion: FaceMotion


def main() -> None:
    """Choose portraits, animate them, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portraits", type=Path, help="folder of pictures")
    parser.add_argument("driving", type=Path)
    parser.add_argument("--count", type=int, default=5, help="of the largest faces")
    parser.add_argument("--seconds", default="3")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS / "paste.json")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for path in largest(options.portraits, options.count):
            spec = JobSpec(
                Location(path), Location(options.driving), Location(f"{folder}/none.mp4"),
                end=options.seconds, size=options.size, output_mode="paste-back",
            )  # fmt: skip
            rows.append(measured(spec, options.sheets))
            print(json.dumps(rows[-1]), flush=True)
    figures = {
        key: round(statistics.mean(row[key] for row in rows), 3) for key in rows[0] if key != "side"
    }
    # Portraits have no names here: they are of people.
    report = {"environment": describe(), "size": options.size, "mean": figures, "portraits": rows}
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    for key, value in figures.items():
        print(f"{key:24} {value:8.3f}")


def largest(folder: Path, count: int) -> list[Path]:
    """The pictures with the largest squares around their faces."""
    detector, limits = make_detector("auto", "cpu"), Settings.from_environment().limits()
    sides = {}
    for path in sorted(folder.iterdir()):
        try:
            picture = read_picture(str(path), limits).pixels
            found, _ = find_face(picture, detector, "largest")
        except AnimatorError:
            continue
        sides[path] = face_square(found.points[0]).side
    return sorted(sides, key=lambda path: -sides[path])[:count]


def measured(spec: JobSpec, sheets: Path | None) -> dict[str, float]:
    """Figures of one portrait."""
    settings = Settings.from_environment()
    watch = Watch(lambda progress: None, lambda: False)
    plan = make_plan(spec, open_inputs(spec, settings), settings, watch)
    source = plan.source
    networks, frames = rendered(plan)
    height, width = source.picture.shape[:2]
    composer = Composer(WholeView(width, height))
    own = source.picture[: composer.output_size[1], : composer.output_size[0]]
    figures: dict[str, float] = {"side": round(source.square.side), "networks ms": networks}
    results = {}
    for name in ("before", "after"):
        spent: list[float] = []
        composed = []
        for frame in frames:
            motion = frame.motion if name == "after" else None
            began = time.process_time()
            composed.append(
                composer.compose(
                    source.picture, [GeneratedFace(frame.picture, source.square, motion)]
                )
            )
            spent.append(time.process_time() - began)
        results[name] = composed
        figures[f"{name}: compose ms"] = round(1e3 * statistics.median(spent), 1)
        for key, value in judged(own, composed, plan).items():
            figures[f"{name}: {key}"] = round(value, 3)
    if sheets is not None:
        sheets.mkdir(parents=True, exist_ok=True)
        ways = np.abs(plan.targets - frames[0].motion.own).mean((1, 2))
        order = np.argsort(ways)
        chosen = (order[-1], order[len(order) // 2])
        page = [np.hstack([results["before"][n], results["after"][n]]) for n in chosen]
        Image.fromarray(np.vstack(page)).save(sheets / f"{Path(spec.source).stem}.png")
    return figures


def rendered(plan: JobPlan) -> tuple[float, list[Frame]]:
    """Milliseconds of a frame, and all frames of a plan."""
    state = plan.start()
    own = plan.source.crop_units(plan.source.points)
    frames, spent = [], []
    for points in plan.targets:
        began = time.process_time()
        state, picture = plan.generator.step(state, points)
        spent.append(time.process_time() - began)
        frames.append(Frame(picture, FaceMotion(plan.generator.flow(state), own, points)))
    return round(1e3 * statistics.median(spent), 1), frames


def judged(own: Picture, results: list[Picture], plan: JobPlan) -> dict[str, float]:
    """The measures of a sequence, by name."""
    square = plan.source.square
    left, top, side = whole_square(square)
    area = np.zeros(own.shape[:2], bool)
    area[max(top, 0) : top + side, max(left, 0) : left + side] = True
    band = area.copy()
    inset = round(BORDER * side)
    band[max(top + inset, 0) : top + side - inset, max(left + inset, 0) : left + side - inset] = 0
    seams = [seam(picture, left, top, side) / seam(own, left, top, side) for picture in results]
    bands = [steps(picture, band) / steps(own, band) for picture in results]
    places = [plan.source.points, *(_pixels(points, left, top, side) for points in plan.targets)]
    person = head(own, places[0])
    heads = [hull(points, own.shape[:2]) | _gone(person, places[0], points) for points in places]
    around, flicker = [], []
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in results]
    soft = [cv2.GaussianBlur(picture, (0, 0), side / 64) for picture in grey]
    for index in range(1, len(results)):
        outside = area & ~heads[0] & ~heads[index] & ~heads[index + 1]
        around.append(float(np.abs(grey[index] - grey[index - 1])[outside].mean()))
        if index > 1:
            second = np.abs(soft[index] - 2 * soft[index - 1] + soft[index - 2])
            flicker.append(float(second[hull(places[index + 1], own.shape[:2])].mean()))
    fine = _fine(own, places[0])
    sharp = sharpness(crop_square(own, square, 512), in_units(places[0], square))
    return {
        "seam": statistics.mean(seams),
        "seam at most": max(seams),
        "band": statistics.mean(bands),
        "around": statistics.mean(around),
        "flicker": statistics.mean(flicker),
        "sharpness": statistics.mean(
            _fine(picture, points) / fine
            for picture, points in zip(results, places[1:], strict=True)
        ),
        "sharpness at 256": statistics.mean(
            sharpness(crop_square(picture, square, 512), points) / sharp
            for picture, points in zip(results, plan.targets, strict=True)
        ),
    }


def seam(picture: Picture, left: int, top: int, side: int) -> float:
    """Mean step across the border of a square, where it is within the picture."""
    height, width = picture.shape[:2]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    found = []
    for x in (left, left + side):
        if 0 < x < width:
            part = slice(max(top, 0), min(top + side, height))
            found.append(np.abs(grey[part, x] - grey[part, x - 1]))
    for y in (top, top + side):
        if 0 < y < height:
            part = slice(max(left, 0), min(left + side, width))
            found.append(np.abs(grey[y, part] - grey[y - 1, part]))
    return float(np.concatenate(found).mean())


def steps(picture: Picture, where: NDArray[np.bool_]) -> float:
    """Mean length of the gradient."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    down, across = np.gradient(grey)
    return float(np.hypot(across, down)[where].mean())


def hull(points: Points, shape: tuple[int, int], larger: float = _LARGER) -> NDArray[np.bool_]:
    """A face with its forehead, by so much larger than it is."""
    jaw, eyes = points[:17], points[36:48].mean(0)
    around = np.concatenate([points, 2 * eyes - jaw])
    around = around.mean(0) + larger * (around - around.mean(0))
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(around).astype(np.int32)), 1)
    return mask.astype(bool)


def head(picture: Picture, points: Points) -> NDArray[np.bool_]:
    """A head with hair and neck: what GrabCut, begun with the face, finds above the shoulders."""
    height, width = picture.shape[:2]
    scale = 256 / max(height, width)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    face = hull(points * scale, small.shape[:2], 0.9)
    wide = hull(points * scale, small.shape[:2], 2.6)
    mask = np.where(wide, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    mask[hull(points * scale, small.shape[:2], 1.4)] = cv2.GC_PR_FGD
    mask[face] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(small, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    found = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.dilate(found, np.ones((7, 7), np.uint8))
    found = cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST)
    chin = points[8, 1] + _NECK * np.ptp(points[:, 1])
    found[max(int(chin), 0) :] = 0
    return found.astype(bool)


def _gone(mask: NDArray[np.bool_], own: Points, points: Points) -> NDArray[np.bool_]:
    """A head that has gone as most of its landmarks have."""
    x, y = np.median(points - own, axis=0)
    shifted = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = mask.shape[1], mask.shape[0]
    return cv2.warpAffine(mask.astype(np.uint8), shifted, size, flags=cv2.INTER_NEAREST) > 0


def _fine(picture: Picture, points: Points) -> float:
    """Variance of the Laplacian within a face, without mouth and eyes."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    mask = np.zeros(grey.shape, np.uint8)
    inner = points.mean(0) + 0.85 * (points - points.mean(0))
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(inner).astype(np.int32)), 1)
    for ring in _OPENINGS:
        part = points[list(ring)]
        wide = np.round(part.mean(0) + 1.4 * (part - part.mean(0))).astype(np.int32)
        cv2.fillConvexPoly(mask, cv2.convexHull(wide), 0)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[mask.astype(bool)].var())


def _pixels(points: Points, left: int, top: int, side: int) -> Points:
    return np.asarray(points * side - 0.5 + (left, top), np.float32)


if __name__ == "__main__":
    main()
