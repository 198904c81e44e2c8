"""Joints in the JSON files of OpenPose, AlphaPose and COCO: the persons of every frame.

Files come from strangers: sizes, types and numbers are checked before anything is made of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.persons.body import Body
from gfla.data.pose_tables import MAX_COORDINATE
from gfla.data.prepare.pose_files import MIN_SCORE
from gfla.errors import GflaError
from gfla.joints import MISSING, Joints, extent, found, from_coco17, from_openpose

MAX_BYTES = 64 * 1024**2
"""Of one file; what Python makes of it takes twenty times as much."""
MAX_NUMBERS = 3 * 400
"""Of one person; whole bodies with hands and face have 136 joints."""
MAX_SIDE = 100_000
"""Of the pictures that joints are said to be of, in pixels."""
SPARSE = 4
"""Numbered pictures are frames of a video if at least one of so many shows somebody."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class PoseFrame:
    """The persons of one picture.

    Attributes:
        name: of the picture.
        bodies: who is there, the largest first.
        canvas: height and width of the picture, None if the file does not say.
    """

    name: str
    bodies: tuple[Body, ...]
    canvas: tuple[int, int] | None = None


class _BadJson(Exception):
    """What is wrong with a file, as the end of a sentence."""


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts frame 10 after frame 9."""
    parts = re.split(r"(\d+)", name[:200])
    return tuple((1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts)


def read_pose_frames(path: Path, most: int) -> list[PoseFrame]:
    """Read a file of joints.

    It may be OpenPose's of one picture (``people``), or a list of such; AlphaPose's, which is that
    of COCO's results (a list of persons with ``image_id`` and ``keypoints``); or COCO's annotations
    (``images`` and ``annotations``). Pictures of a list are taken in natural order, and where they
    are numbered, those in between, of which the file says nothing, are frames that show nobody.

    Args:
        path: the file.
        most: frames that are allowed.

    Raises:
        AnimatorError: no_such_file, not_a_file, unreadable_file, too_large for too many bytes,
            too_long for too many frames, invalid_pose for everything else.
    """
    values = _parse(path)
    try:
        frames = _frames(values, path.stem.removesuffix("_keypoints"), most)
    except _BadJson as error:
        raise AnimatorError("invalid_pose", f"{quoted(path)} {error}.") from error
    except GflaError as error:
        raise AnimatorError("invalid_pose", f"{quoted(path)}: {error.message}.") from error
    if len(frames) > most:
        message = f"{quoted(path)} has {len(frames)} frames; allowed are {most}."
        raise AnimatorError("too_long", message)
    return frames


def _parse(path: Path) -> Any:
    try:
        if not path.exists():
            raise AnimatorError("no_such_file", f"There is no file {quoted(path)}.")
        if not path.is_file():
            raise AnimatorError("not_a_file", f"{quoted(path)} is not a regular file.")
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"{quoted(path)} cannot be read: {error.strerror}."
        raise AnimatorError("unreadable_file", message) from error
    if len(text) > MAX_BYTES:
        message = f"{quoted(path)} has more than {MAX_BYTES >> 20} MiB, the most for joints."
        raise AnimatorError("too_large", message)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise AnimatorError("invalid_pose", f"{quoted(path)} is nested too deeply.") from error
    except ValueError as error:  # of the syntax, the encoding, or a number of thousands of digits
        reason = str(error).split(";")[0][:100]
        raise AnimatorError("invalid_pose", f"{quoted(path)} is no JSON: {reason}.") from error


def _frames(values: Any, name: str, most: int) -> list[PoseFrame]:
    # The kind of a file shows in its outermost value.
    if isinstance(values, dict) and isinstance(values.get("people"), list):
        return [_openpose(values, name)]
    if isinstance(values, dict) and isinstance(values.get("annotations"), list):
        return _coco(values, most)
    if isinstance(values, list) and all(isinstance(item, dict) for item in values):
        if values and all(isinstance(item.get("people"), list) for item in values):
            return [_openpose(item, f"{number:06d}") for number, item in enumerate(values)]
        if all("image_id" in item and "keypoints" in item for item in values):
            return _in_between(_by_picture(values, lambda key: (key, None)), most)
    raise _BadJson(
        "holds no joints: needed is OpenPose's object with people, AlphaPose's or COCO's list of "
        "persons with image_id and keypoints, or COCO's object with images and annotations"
    )


def _openpose(values: dict[str, Any], name: str) -> PoseFrame:
    canvas = _canvas(values.get("canvas_height"), values.get("canvas_width"))
    bodies = []
    for person in values["people"]:
        if not isinstance(person, dict):
            raise _BadJson("has a person that is no object")
        if not person.get("pose_keypoints_2d"):  # only hands or a face were looked for, or found
            continue
        points, scores = _triples(person["pose_keypoints_2d"])
        seen = scores > MIN_SCORE
        # 0..1 or -1..1 with other values of --keypoint_scale.
        if seen.any() and np.abs(points[seen]).max() <= 1:
            if canvas is None:
                raise _BadJson(
                    "has coordinates in parts of the picture; write pixels (--keypoint_scale 0)"
                )
            points = points * [canvas[1], canvas[0]]
        bodies.append(_body(from_openpose(_clear(points), seen), float(scores.mean())))
    return PoseFrame(name, _sorted(bodies), canvas)


def _coco(values: dict[str, Any], most: int) -> list[PoseFrame]:
    """COCO's annotations, whose pictures are listed with their sizes."""
    images = values.get("images")
    if not isinstance(images, list) or not all(isinstance(item, dict) for item in images):
        raise _BadJson("has annotations and no list of images")
    if len(images) > most:
        raise AnimatorError("too_long", f"There are {len(images)} images; allowed are {most}.")
    known: dict[str, tuple[str, tuple[int, int] | None]] = {}
    for item in images:
        key = _key(item.get("id"))
        name = item.get("file_name")
        canvas = _canvas(item.get("height"), item.get("width"))
        known[key] = (name if isinstance(name, str) and name else key, canvas)
    persons = [
        item
        for item in values["annotations"]
        if isinstance(item, dict) and item.get("keypoints")  # other things have boxes alone
    ]
    frames = _by_picture(persons, lambda key: known.get(key, (key, None)))
    shown = {frame.name for frame in frames}
    empty = {name: canvas for name, canvas in known.values() if name not in shown}
    frames += [PoseFrame(name, (), canvas) for name, canvas in empty.items()]
    return sorted(frames, key=lambda frame: natural(frame.name))


def _by_picture(
    persons: list[dict[str, Any]],
    picture: Callable[[str], tuple[str, tuple[int, int] | None]],
) -> list[PoseFrame]:
    """Frames of persons, each with the id of its picture."""
    bodies: dict[str, list[Body | None]] = {}
    for item in persons:
        points, scores = _triples(item["keypoints"])
        joints = from_coco17(_clear(points), scores > MIN_SCORE)
        score = item.get("score", float(scores.mean()))
        if type(score) not in (int, float) or not abs(score) <= MAX_COORDINATE:
            raise _BadJson("has a score that is no plain number")
        key = _key(item.get("image_id"))
        bodies.setdefault(key, []).append(_body(joints, float(score)))
    frames = []
    for key, there in bodies.items():
        name, canvas = picture(key)
        frames.append(PoseFrame(name, _sorted(there), canvas))
    return sorted(frames, key=lambda frame: natural(frame.name))


def _in_between(frames: list[PoseFrame], most: int) -> list[PoseFrame]:
    """Frames of a video, with those that show nobody, which such files leave out."""
    parts = [re.fullmatch(r"(.*?)(\d{1,9})(\D*)", frame.name[:200]) for frame in frames]
    numbers = [int(part[2]) for part in parts if part]
    around = {(part[1], part[3]) for part in parts if part}
    if len(numbers) < max(len(frames), 2) or len(around) > 1 or len(set(numbers)) < len(numbers):
        return frames
    first, last = min(numbers), max(numbers)
    if last - first + 1 > min(SPARSE * len(frames), most):
        return frames
    (before, after), by_number = around.pop(), dict(zip(numbers, frames, strict=True))
    digits = min(len(part[2]) for part in parts if part)
    return [
        by_number.get(number) or PoseFrame(f"{before}{number:0{digits}d}{after}", ())
        for number in range(first, last + 1)
    ]


def _triples(values: Any) -> tuple[Numbers, Numbers]:
    """X and y, and the score, of each joint."""
    if not isinstance(values, list) or len(values) % 3 or len(values) > MAX_NUMBERS:
        raise _BadJson("has key points that are no list of x, y, score for each joint")
    # By ``type``: JSON's true and false would pass for numbers.
    if not all(type(value) in (int, float) for value in values):
        raise _BadJson("has key points that are no numbers")
    # NaN, which Python's JSON reads, is not below anything either.
    if not all(abs(value) <= MAX_COORDINATE for value in values):
        raise _BadJson("has a number that is not finite or beyond any picture")
    numbers = np.array(values, np.float64).reshape(-1, 3)
    return numbers[:, :2], numbers[:, 2]


def _clear(points: Numbers) -> Numbers:
    """Points of which none passes for a missing one."""
    return np.where(points == MISSING, MISSING + 1e-3, points)


def _key(value: Any) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or len(str(value)) > 1000:
        raise _BadJson("has an image_id that is neither a name nor a number")
    return str(value)


def _canvas(height: Any, width: Any) -> tuple[int, int] | None:
    sides = (height, width)
    if all(type(side) in (int, float) and 1 <= side <= MAX_SIDE for side in sides):
        return int(height), int(width)
    return None


def _body(joints: Joints, score: float) -> Body | None:
    return Body(joints, extent(joints), score) if found(joints).any() else None


def _sorted(bodies: list[Body | None]) -> tuple[Body, ...]:
    there = [body for body in bodies if body is not None]
    return tuple(sorted(there, key=lambda body: -body.area))
