"""Footage of faces as training packs: tracked, cropped steadily, filtered, smoothed, split."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.crop import Square, crop_square, face_square, in_units
from animator.faces.detectors import make_detector, resolve_detector
from animator.faces.landmarks import LandmarkDetector
from animator.faces.measures import face_extent, head_turn, sharpness
from animator.faces.motion import smooth
from animator.faces.tracking import FaceTracker, find_face
from animator.footage.selection import (
    CLIP,
    STILL,
    Footage,
    Quality,
    Split,
    read_manifest,
    split_by_identity,
    stretches,
)
from animator.media.decode import VideoReader, read_image
from gfla.arrays import Picture, Points
from gfla.data.packs import write_pack
from gfla.data.prepare.preparation import (
    PreparationReport,
    ProgressDisplay,
    fix_options,
    in_parallel,
    no_display,
)
from gfla.errors import GflaError
from gfla.files import write_text

NOTES = "notes"
"""Folder of what came of every file, by which a stopped preparation goes on."""
_WIDEST = 1.25
"""Largest side of a stretch's crop, in units of that of its typical face."""
_ATTEMPTS = 2
"""A file during which the process died this often is left out."""


@dataclass(frozen=True)
class PackOptions:
    """How footage becomes packs."""

    detector: str = "dlib"
    """Which landmark detector."""
    size: int = 256
    """Side of the crops in pixels."""
    margin: float = 1.9
    """Side of the crop in units of the face: a little more than what is animated, so that training
    may move and zoom it."""
    smoothing: float = 0.5
    """Strength of the smoothing of a clip's landmarks: that of animation, so that the network is
    trained on landmarks like those it will see."""
    quality: Quality = field(default_factory=Quality)
    """What is left out."""


@dataclass(frozen=True)
class _Task:
    footage: Footage
    split: Split
    media: Path
    out: Path
    options: PackOptions


def prepare_clips(
    manifest: Path,
    out: Path,
    options: PackOptions | None = None,
    *,
    stills: Path | None = None,
    stills_licence: str = "MIT",
    test_people: Collection[str] = (),
    workers: int = 1,
    display: ProgressDisplay = no_display,
) -> PreparationReport:
    """Pack the clips and portraits of a manifest.

    Args:
        manifest: CSV, see ``animator.footage.selection.read_manifest``; paths are relative to its
            folder.
        out: gets ``train``, ``held-out`` and ``test`` with packs, ``notes``, ``report.json``,
            ``report.txt``. Files that were packed before are kept; other options than before are
            refused.
        options: see ``PackOptions``.
        stills: a folder of photos, each of another person.
        stills_licence: of those photos.
        test_people: identities that are kept apart for the test of a finished model.
        workers: processes; 0 for one a core.
        display: shows progress.

    Returns:
        The report: packs, frames, what was left out and why, and the frames that were dropped.

    Raises:
        GflaError: those of ``read_manifest`` and ``split_by_identity``; ``invalid_config`` for
            other options than the folder was begun with.
        AnimatorError: detector_unavailable.
    """
    # What there is, and which side each file is on.
    options = options or PackOptions()
    footage = read_manifest(manifest)
    for path in sorted(stills.iterdir()) if stills else []:
        name = os.path.relpath(path, manifest.parent)
        footage.append(Footage(name, STILL, f"still-{path.stem}", stills_licence))
    taken, left = split_by_identity(footage, test_people)
    _check_names(item for item, _ in taken)
    # A detector that cannot be had is told now and not by every process.
    _detector(options.detector)
    fixed = dataclasses.asdict(options)
    if test_people:
        fixed["test_people"] = sorted(test_people)
    fix_options(out, fixed)
    report = PreparationReport(
        f"faces of {manifest}", notes={"options": dataclasses.asdict(options)}
    )
    for item, reason in left:
        report.skip(reason, item.path)
    # Pack file by file; a note beside the packs says what came of each.
    tasks = [_Task(item, split, manifest.parent, out, options) for item, split in taken]
    files: dict[str, Any] = {}
    results = in_parallel(_pack_file, tasks, workers, "packing", display)
    for task, note in zip(tasks, results, strict=True):
        files[task.footage.path] = note
        if note["skipped"]:
            report.skip(note["skipped"], task.footage.path)
            continue
        report.counts[f"{task.split}: files"] += 1
        report.counts[f"{task.split}: packs"] += len(note["packs"])
        report.counts[f"{task.split}: frames"] += note["frames"]
    # What was left out, in all.
    for note in files.values():
        for reason, count in note["dropped"].items():
            report.counts[f"frames dropped: {reason}"] += count
    report.notes["files"] = files
    report.write(out)
    return report


def _pack_file(task: _Task) -> Mapping[str, Any]:
    """Pack one file, or read what came of it before."""
    name = _flat(task.footage.path)
    path = task.out / NOTES / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"attempts": 0}
    if "packs" in before:
        return before
    note: dict[str, Any] = {"packs": [], "frames": 0, "skipped": "", "dropped": {}}
    # Counted before the file is opened: one that kills its process is tried no more after that.
    if before["attempts"] >= _ATTEMPTS:
        note["skipped"] = "the process died while reading it"
        write_text(path, json.dumps(note))
        return note
    write_text(path, json.dumps({"attempts": before["attempts"] + 1}))
    read = _read_clip if task.footage.kind == CLIP else _read_still
    meta = {
        "path": task.footage.path,
        "identity": task.footage.identity,
        "license": task.footage.licence,
        "kind": task.footage.kind,
        "smoothing": task.options.smoothing if task.footage.kind == CLIP else 0.0,
    }
    source = task.media / task.footage.path
    try:
        for number, (crops, landmarks) in enumerate(read(source, task.options, note)):
            pack = f"{name}.npz" if not number else f"{name}.{number}.npz"
            write_pack(task.out / task.split / pack, crops, landmarks, meta)
            note["packs"].append(pack)
            note["frames"] += len(crops)
    except AnimatorError as error:
        # What a damaged video gave before is whole and stays.
        note["skipped"] = "" if note["packs"] else error.code
        note["error"] = error.message
        if error.code == "no_such_file":
            # It may be there the next time.
            path.unlink()
            return note
    if not note["packs"] and not note["skipped"]:
        note["skipped"] = "no stretch of frames is good enough"
    write_text(path, json.dumps(note))
    return note


def _read_clip(
    path: Path, options: PackOptions, note: dict[str, Any]
) -> Iterator[tuple[list[Picture], Points]]:
    """Crops and landmarks of every stretch of a clip that is good enough.

    The video is read twice, first for the landmarks, so that no more than one stretch of crops is
    in memory.
    """
    limits = options.quality
    # First pass: where the face is, and the stretches in which it can be used.
    points, seconds, cuts = _track(path, options)
    found = np.asarray(np.isfinite(points).all((1, 2)), np.bool_)
    turned = found & (np.abs(head_turn(np.where(found[:, None, None], points, 0))) > limits.turn)
    good = stretches(found & ~turned, cuts, limits)
    parts = [steady for part in good for steady in _steady(points, part, options)]
    _drop(note, "no face", int((~found).sum()))
    _drop(note, "turned away", int(turned.sum()))
    _drop(note, "in too short a stretch", int((found & ~turned).sum()) - sum(map(len, parts)))
    if not found.any():
        raise AnimatorError("no_face", "The face was found in no frame.")
    # Stretches with a face that is large enough, and the frames of them that one square holds.
    large = [part for part in parts if np.median(face_extent(points[part])) >= limits.smallest_face]
    _drop(note, "too small a face", sum(map(len, parts)) - sum(map(len, large)))
    chosen = [
        (inside, square)
        for part in large
        for square in [clip_square(points[part], options.margin)]
        for inside in stretches(_inside(points, part, square), cuts, limits)
    ]
    count = sum(len(part) for part, _ in chosen)
    _drop(note, "outside of the crop", sum(map(len, large)) - count)
    # Second pass: the crops, some eight of which tell whether a stretch is sharp.
    crops_of = _crops(path, chosen, options.size) if chosen else iter(())
    for (part, square), crops in zip(chosen, crops_of, strict=True):
        smoothed = smooth(points[part], seconds[part], options.smoothing)
        landmarks = in_units(smoothed, square)
        shown = range(0, len(crops), max(len(crops) // 8, 1))
        if np.median([sharpness(crops[i], landmarks[i]) for i in shown]) < limits.sharpness:
            _drop(note, "blurred", len(crops))
            continue
        yield crops, landmarks


def _read_still(
    path: Path, options: PackOptions, note: dict[str, Any]
) -> Iterator[tuple[list[Picture], Points]]:
    """The crop and landmarks of a photo's face, if it is good enough."""
    picture, limits = read_image(path), options.quality
    points = find_face(picture, _detector(options.detector))[0].points
    if face_extent(points[0]) < limits.smallest_face:
        return _drop(note, "too small a face", 1)
    if abs(head_turn(points[0])) > limits.turn:
        return _drop(note, "turned away", 1)
    square = face_square(points[0], options.margin)
    crop, landmarks = crop_square(picture, square, options.size), in_units(points, square)
    if sharpness(crop, landmarks[0]) < limits.sharpness:
        return _drop(note, "blurred", 1)
    yield [crop], landmarks


def _track(path: Path, options: PackOptions) -> tuple[Points, NDArray[np.float64], list[int]]:
    """Landmarks T 68 2 in pixels (NaN without a face), times T, and the frames that begin shots."""
    tracker = FaceTracker(_detector(options.detector))
    parts, times = [], []
    with VideoReader(path) as reader:
        for batch in reader:
            parts.append(tracker.track(batch.pixels).points)
            times += [float(pts * batch.time_base) for pts in batch.pts]
    return np.concatenate(parts), np.asarray(times), tracker.shots.changes


def _crops(
    path: Path, chosen: list[tuple[NDArray[np.intp], Square]], size: int
) -> Iterator[list[Picture]]:
    """The crops of each stretch, in one pass through the video."""
    # The stretches follow one another, so a frame's number tells where one ends.
    wanted = {int(frame): number for number, (part, _) in enumerate(chosen) for frame in part}
    crops: list[Picture] = []
    count = current = 0
    with VideoReader(path) as reader:
        for batch in reader:
            for picture in batch.pixels:
                number = wanted.get(count)
                count += 1
                if number is None:
                    continue
                if number != current:
                    yield crops
                    crops, current = [], number
                crops.append(crop_square(picture, chosen[number][1], size))
    if crops:
        yield crops


def clip_square(points: NDArray[np.float32], margin: float = PackOptions.margin) -> Square:
    """A square for a whole stretch: the typical face's, as large as its motion asks for."""
    typical = face_square(np.median(points, 0), margin)
    low, high = np.percentile(points.min(1), 10, 0), np.percentile(points.max(1), 90, 0)
    middle = (typical.cx + float(low[0] + high[0]) / 2) / 2
    return Square(middle, typical.cy, max(typical.side, 1.35 * float((high - low).max())))


def _steady(points: Points, part: NDArray[np.intp], options: PackOptions) -> list[NDArray[np.intp]]:
    """A stretch, halved until the face does not wander so far that its crop would be too wide."""
    typical = face_square(np.median(points[part], 0), options.margin)
    steady = clip_square(points[part], options.margin).side <= _WIDEST * typical.side
    half = len(part) // 2
    if steady or half < options.quality.fewest_frames:
        return [part]
    return [*_steady(points, part[:half], options), *_steady(points, part[half:], options)]


def _inside(points: Points, part: NDArray[np.intp], square: Square) -> NDArray[np.bool_]:
    """T: which frames are of this stretch and have the whole face in its crop."""
    placed = in_units(points[part], square)
    whole = ((placed > 0) & (placed < 1)).all((1, 2))
    chosen = np.zeros(len(points), np.bool_)
    chosen[part[whole]] = True
    return chosen


@functools.lru_cache(maxsize=1)
def _detector(name: str) -> LandmarkDetector:
    return make_detector(resolve_detector(name))


def _drop(note: dict[str, Any], reason: str, count: int) -> None:
    if count:
        note["dropped"][reason] = note["dropped"].get(reason, 0) + count


def _flat(path: str) -> str:
    return path.replace("../", "").replace("/", "-")


def _check_names(footage: Iterable[Footage]) -> None:
    """Refuse two files whose packs would have one name."""
    paths: dict[str, str] = {}
    for item in footage:
        other = paths.setdefault(_flat(item.path), item.path)
        if other != item.path:
            message = f"{item.path} and {other} would be packed under one name"
            raise GflaError("invalid_data", message)
