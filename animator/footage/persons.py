"""Training data of one's own photos and videos of persons: frames cut out, joints, pairs.

What is written is what ``gfla.data.pairs.PersonPairs`` reads, for ``train`` and ``held-out``, with
whole persons on one side only. Media that is done is kept: run it again to go on.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from animator.errors import AnimatorError
from animator.footage.pairing import TRAIN, Shown, draw_pairs, split_identities
from animator.footage.person_media import Media, is_still
from animator.media.decode import VideoReader, read_image
from animator.persons.following import PersonFollower
from animator.persons.windows import MARGIN, Window
from gfla.arrays import Picture
from gfla.data.pose_tables import Annotation, write_annotations, write_pairs
from gfla.data.prepare.person_sets import save_picture
from gfla.data.prepare.preparation import (
    PreparationReport,
    PreparedItem,
    ProgressDisplay,
    fix_options,
    in_parallel,
    no_display,
)
from gfla.errors import GflaError
from gfla.files import replacing, write_text
from gfla.joints import MISSING, Joints, found

if TYPE_CHECKING:
    from animator.persons.bodies import BodyDetector

FEW_JOINTS = "too few joints were found"
ALONE = "the only picture of a person, which makes no pair"


@dataclass(frozen=True)
class FrameOptions:
    """How pictures are cut and paired. Every value is checked when it is made.

    Raises:
        GflaError: ``invalid_config``.
    """

    size: tuple[int, int] = (256, 256)
    """Height and width of the pictures written."""
    frame: Literal["person", "whole"] = "person"
    """The part around the person, which is one for a whole clip, or all of the picture."""
    margin: float = MARGIN
    """What is added around the joints, in parts of their extent."""
    every: int = 1
    """Take every N-th frame of a video."""
    max_frames: int | None = None
    """Take at most so many frames of a video, evenly spaced."""
    min_joints: int = 8
    """Pictures with fewer joints are left out."""
    pairs_per_picture: int = 4
    """Pairs in which a picture is the target."""
    pairs: int | None = None
    """As many pairs in all instead, of all persons in turn."""
    gap: int = 5
    """Least distance of the frames of a pair, where a clip is long enough."""
    held_out: float = 0.1
    """Share of the persons that training does not see."""
    seed: int = 0
    """Of the pairs and of who is held out."""
    png: bool = False
    """Write PNG instead of JPEG."""

    def __post_init__(self) -> None:
        least = {
            "every": 1, "max_frames": 1, "min_joints": 1, "pairs_per_picture": 1, "pairs": 1,
            "gap": 1, "seed": 0,
        }  # fmt: skip
        for name, value in least.items():
            got = getattr(self, name)
            if got is not None and got < value:
                raise GflaError("invalid_config", f"{name} is {got}; allowed: from {value}")
        if min(self.size) < 16 or not 0 <= self.held_out < 1 or not 0 <= self.margin < 10:
            message = f"size {self.size}, held_out {self.held_out}, margin {self.margin}"
            raise GflaError("invalid_config", f"{message}; allowed: from 16, 0 to 1, 0 to 10")


@dataclass(frozen=True)
class Packed:
    """What came of one photo or video: names and joints of its pictures, and what was left out."""

    rows: list[tuple[str, int, list[list[float]]]]
    skipped: list[tuple[str, str]]


def prepare_persons(
    media: Sequence[Media],
    out: Path,
    options: FrameOptions,
    report: PreparationReport,
    *,
    detector: BodyDetector | None = None,
    workers: int = 0,
    display: ProgressDisplay = no_display,
) -> PreparationReport:
    """Write pictures, annotation and pairs of photos and videos.

    Args:
        media: the files, with poses unless there is a detector.
        out: gets ``train`` and, if any person is held out, ``held-out``.
        options: how.
        report: gets what was done; may hold what was skipped before.
        detector: finds bodies in media without poses.
        workers: processes where no detector is needed; 0 for one a core.
        display: shows progress.

    Returns:
        The report, which is in ``out`` as well.

    Raises:
        GflaError: ``invalid_data`` if nothing is left, ``invalid_config`` if ``out`` was begun with
            other options.
    """
    fix_options(out, {"kind": "persons", **asdict(options), "detected": detector is not None})
    # Which persons are on which side.
    people_of = [item.identity for item in media]
    splits = split_identities(people_of, options.held_out, options.seed)
    tasks = [(item, out / splits[item.identity]) for item in media]
    work = functools.partial(_pack, options=options, detector=detector)
    # Cut the pictures, and gather them by side and by person.
    rows: dict[str, dict[str, list[tuple[str, int, Annotation]]]] = {}
    done = in_parallel(work, tasks, 1 if detector is not None else workers, "persons", display)
    for (item, folder), outcome in zip(tasks, done, strict=True):
        report.add(outcome, "photos and videos")
        if outcome.value is None:
            continue
        for name, reason in outcome.value.skipped:
            report.skip(reason, name)
        people = rows.setdefault(folder.name, {}).setdefault(item.identity, [])
        for name, frame, joints in outcome.value.rows:
            people.append((item.name, frame, Annotation(name, np.array(joints))))
    # Tables of each side.
    if not rows:
        raise GflaError("invalid_data", f"no picture is left\n{report.text()}")
    if TRAIN not in rows:
        message = "no pair can be made: everybody is held out; give more persons, or --held-out 0"
        raise GflaError("invalid_data", f"{message}\n{report.text()}")
    for split in sorted(rows):
        _write_tables(out / split, rows[split], options, report)
    report.write(out)
    return report


def _write_tables(
    folder: Path,
    people: Mapping[str, list[tuple[str, int, Annotation]]],
    options: FrameOptions,
    report: PreparationReport,
) -> None:
    # Pairs, for which a person needs two pictures.
    for pictures in people.values():
        if len(pictures) == 1:
            report.skip(ALONE, pictures[0][2].name)
    names: dict[str, list[Shown]] = {
        person: [(media, frame, row.name) for media, frame, row in pictures]
        for person, pictures in people.items()
    }
    pairs = draw_pairs(
        names,
        per_picture=options.pairs_per_picture,
        gap=options.gap,
        seed=options.seed,
        total=options.pairs,
    )
    if not pairs and folder.name == TRAIN:
        message = "nobody has two pictures to make a pair of"
        raise GflaError("invalid_data", f"{message}\n{report.text()}")
    # Both tables, and how much they hold.
    rows = [row for pictures in people.values() for _, _, row in pictures]
    write_annotations(folder / "annotation.csv", rows)
    write_pairs(folder / "pairs.csv", pairs)
    report.counts[f"persons of {folder.name}"] += len(people)
    report.counts[f"pictures of {folder.name}"] += len(rows)
    report.counts[f"pairs of {folder.name}"] += len(pairs)


def _pack(
    task: tuple[Media, Path], options: FrameOptions, detector: BodyDetector | None
) -> PreparedItem[Packed]:
    """Cut the pictures of one photo or video; what is done already is read back."""
    media, folder = task
    note = folder / "parts" / f"{media.name}.json"
    if note.is_file():
        return PreparedItem(media.name, Packed(**json.loads(note.read_text("utf-8"))), kept=True)
    try:
        packed = _cut(media, folder / "images", options, detector)
    except AnimatorError as error:
        return PreparedItem(f"{media.name} ({error.message})", skipped=error.code)
    write_text(note, json.dumps(asdict(packed)))
    return PreparedItem(media.name, packed)


def _cut(
    media: Media, images: Path, options: FrameOptions, detector: BodyDetector | None
) -> Packed:
    # The poses: of the files beside the media, or found in every frame that is looked at.
    poses, skipped = media.poses, []
    if poses is None:
        assert detector is not None, "media without poses need a detector"
        poses = _found(media.path, options, detector)
    else:
        wanted = sorted(poses)[:: options.every]
        poses = {number: poses[number] for number in _thinned(wanted, options.max_frames)}
    # The frames whose pose is good enough.
    good = {n: joints for n, joints in poses.items() if found(joints).sum() >= options.min_joints}
    skipped = [(f"{media.name}, frame {n}", FEW_JOINTS) for n in poses if n not in good]
    if not good:
        return Packed([], skipped)
    rows: list[tuple[str, int, list[list[float]]]] = []
    # Cut them, all of a clip by one window, which the first one's size settles.
    window, still = None, is_still(media.path)
    left = dict(good)
    for number, picture in _all_frames(media.path):
        if number not in left:
            continue
        size = (picture.shape[0], picture.shape[1])
        joints = left.pop(number)
        if media.size is not None and media.size != size:
            joints = Window.whole(media.size).place(joints, size)
        if window is None:
            window = _window(good, media.size, size, options)
        if not window.fits(size):
            skipped.append((f"{media.name}, frame {number}", "the joints lie outside the picture"))
            continue
        name = _picture_name(media, number, still, options)
        _save(images / name, window.cut(picture, options.size))
        placed = window.place(joints, options.size)
        rows.append((name, number, placed.round(2).tolist()))
        if not left:
            break
    skipped += [(f"{media.name}, frame {n}", "the video has no such frame") for n in left]
    return Packed(rows, skipped)


def _found(path: Path, options: FrameOptions, detector: BodyDetector) -> dict[int, Joints]:
    """The joints of one person by frame, all of them missing where nobody was found."""
    poses, follower = {}, PersonFollower()
    for number, picture in _frames(path, options):
        body = follower.look(picture, detector)
        poses[number] = np.full((18, 2), MISSING) if body is None else body.joints
    return poses


def _window(
    poses: Mapping[int, Joints],
    annotated: tuple[int, int] | None,
    size: tuple[int, int],
    options: FrameOptions,
) -> Window:
    """The part that is cut from all frames of a clip alike."""
    if options.frame == "whole":
        return Window.whole(size)
    joints = np.stack(list(poses.values()))
    if annotated is not None and annotated != size:
        joints = Window.whole(annotated).place(joints, size)
    return Window.around(joints, options.size[1] / options.size[0], options.margin)


def _frames(path: Path, options: FrameOptions) -> Iterator[tuple[int, Picture]]:
    """The frames that are looked at, with their numbers."""
    every = options.every
    if options.max_frames is not None:
        with_numbers = sum(1 for _ in _all_frames(path))
        wanted = set(_thinned(list(range(0, with_numbers, every)), options.max_frames))
        yield from ((n, picture) for n, picture in _all_frames(path) if n in wanted)
    else:
        yield from ((n, picture) for n, picture in _all_frames(path) if n % every == 0)


def _all_frames(path: Path) -> Iterator[tuple[int, Picture]]:
    if is_still(path):
        yield 0, read_image(path)
        return
    number = 0
    with VideoReader(path) as reader:
        for batch in reader:
            for picture in batch.pixels:
                yield number, picture
                number += 1


def _thinned(numbers: Sequence[int], most: int | None) -> list[int]:
    """At most so many of them, evenly spaced."""
    if most is None or len(numbers) <= most:
        return list(numbers)
    return [numbers[i] for i in np.linspace(0, len(numbers) - 1, most).round().astype(int)]


def _picture_name(media: Media, frame: int, still: bool, options: FrameOptions) -> str:
    """``a/b.mp4/000012.jpg`` for a frame, ``a/b.jpg`` or ``a/b.png.jpg`` for a photo."""
    suffix = ".png" if options.png else ".jpg"
    if not still:
        return f"{media.name}/{frame:06d}{suffix}"
    return media.name if media.name.lower().endswith(suffix) else f"{media.name}{suffix}"


def _save(path: Path, picture: Picture) -> None:
    with replacing(path) as part:
        size = (picture.shape[0], picture.shape[1])
        save_picture(Image.fromarray(picture), part, size, path.suffix)
