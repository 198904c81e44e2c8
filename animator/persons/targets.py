"""Target poses of any kind as joints: photos, JSON, tables, folders and videos."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.media.decode import MediaLimits, VideoReader, read_image
from animator.media.stills import read_still
from animator.persons.bodies import Body, BodyDetector, follow
from animator.watch import Watch
from gfla.data.pose_tables import Annotation, read_annotations
from gfla.data.prepare.fashion import ANNOTATED
from gfla.data.prepare.pose_files import read_pose_json
from gfla.errors import GflaError
from gfla.joints import Joints, found

ROW_MARK = "#"
"""Between the file of a table and the name of a row in it."""
MUCH_LARGER = 2
"""How many times as high and wide as a published table's pictures a picture is that it cannot be of
as it stands."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
MakeDetector = Callable[[], BodyDetector]


@dataclass(frozen=True, eq=False)
class Poses:
    """Target poses, one or a sequence.

    Attributes:
        joints: T x 18 x 2 pixels.
        canvas: height and width of the pictures that they are of, None if unknown.
        names: T, what files of the results are called, without suffix.
        pts: T timestamps in units of ``time_base``, those of the video; None if there is none.
        time_base: seconds.
        rate: frames a second on average, None if unknown.
        audio_start: the time in the video, in seconds, at which the sound begins; None for 0.
        held: frames in which nobody was found, which repeat the pose before.
        table: whether they are of a table that does not say how large its pictures were.
    """

    joints: NDArray[np.float64]
    canvas: tuple[int, int] | None
    names: tuple[str, ...]
    pts: tuple[int, ...] | None = None
    time_base: Fraction = Fraction(1)
    rate: Fraction | None = None
    audio_start: Fraction | None = None
    held: int = 0
    table: bool = False


class Target:
    """A target that was opened but whose poses are not found yet.

    Args:
        path: a picture; a video; a JSON file of OpenPose or AlphaPose; a CSV of annotations, of
            which ``FILE.csv#NAME`` takes the rows of a name; a folder of JSON files or pictures.
        limits: what is refused.

    Attributes:
        path: what it is called.
        kind: "picture", "video", "file" (poses), or "folder" (of pictures).
        sequence: whether there are several poses.

    Raises:
        AnimatorError: no_such_file, invalid_pose, and those of reading pictures and videos.
    """

    def __init__(self, path: str, limits: MediaLimits) -> None:
        self.path, self._limits = path, limits
        self._still: NDArray[np.uint8] | None = None
        self._poses: Poses | None = None
        self._pictures: list[Path] = []
        # By folder, by name, and last by content; a GIF may be a video.
        file, _, row = path.partition(ROW_MARK)
        if Path(path).is_dir():
            self._open_folder(Path(path))
        elif Path(path).suffix.lower() == ".json":
            self._poses = _from_json([Path(path)])
        elif Path(path).suffix.lower() == ".csv":
            self._poses = _from_table(Path(path), None)
        elif row and Path(file).suffix.lower() == ".csv" and not Path(path).exists():
            self._poses = _from_table(Path(file), row)
        elif Path(path).suffix.lower() in PICTURES:
            self._still = read_image(path, limits)
        elif Path(path).suffix.lower() != ".gif":
            still = read_still(path, limits)
            self._still = None if still is None else still.pixels
        self.kind = self._kind()
        if self.kind == "video":  # what cannot be read is told at once
            VideoReader(path, limits=limits).close()
        if self._poses is not None:
            self.sequence = len(self._poses.joints) > 1
        else:
            self.sequence = self.kind != "picture"

    def read(self, make_detector: MakeDetector, watch: Watch) -> Poses:
        """Find the poses; the detector is only made if it is needed.

        Raises:
            AnimatorError: no_body if nobody was found, those of the detector and of reading.
        """
        if self._poses is not None:
            return self._poses
        detector = make_detector()
        if self._still is not None:
            joints = _largest(detector, self._still)
            return _filled([joints], self._still.shape[:2], [Path(self.path).stem], self.path)
        if self.kind == "video":
            return self._follow_video(detector, watch)
        return self._look_at_pictures(detector, watch)

    def _kind(self) -> str:
        if self._poses is not None:
            return "file"
        if self._still is not None:
            return "picture"
        return "folder" if self._pictures else "video"

    def _open_folder(self, folder: Path) -> None:
        files = sorted((p for p in folder.iterdir() if p.is_file()), key=lambda p: natural(p.name))
        poses = [path for path in files if path.suffix.lower() == ".json"]
        if poses:
            self._poses = _from_json(poses)
            return
        self._pictures = [path for path in files if path.suffix.lower() in PICTURES]
        if not self._pictures:
            message = f"The folder {quoted(folder)} has no JSON files and no pictures."
            raise AnimatorError("invalid_pose", message)

    def _follow_video(self, detector: BodyDetector, watch: Watch) -> Poses:
        found_joints: list[Joints | None] = []
        followed: Body | None = None
        pts: list[int] = []
        with (
            VideoReader(self.path, limits=self._limits) as reader,
            watch.stage("poses", reader.frames),
        ):
            for batch in reader:
                for picture in batch.pixels:
                    body = follow(detector.find(picture), followed)
                    followed = body or followed
                    found_joints.append(None if body is None else body.joints)
                    watch.advance(1)
                pts.extend(batch.pts)
            info, audio_start = reader.info, reader.audio_start
        names = [f"{number:06d}" for number in range(len(pts))]
        timing = {
            "pts": tuple(pts),
            "time_base": info.time_base,
            "rate": info.average_rate,
            "audio_start": audio_start,
        }
        return _filled(found_joints, (info.height, info.width), names, self.path, **timing)

    def _look_at_pictures(self, detector: BodyDetector, watch: Watch) -> Poses:
        joints: list[Joints | None] = []
        sizes = set()
        with watch.stage("poses", len(self._pictures)):
            for path in self._pictures:
                picture = read_image(path, self._limits)
                sizes.add((picture.shape[0], picture.shape[1]))
                joints.append(_largest(detector, picture))
                watch.advance(1)
        canvas = sizes.pop() if len(sizes) == 1 else None
        return _filled(joints, canvas, [path.stem for path in self._pictures], self.path)


def source_joints(path: str, picture: str) -> tuple[Joints, tuple[int, int] | None]:
    """The pose of the source picture from a file, and the size of the picture if that says.

    Args:
        path: JSON of OpenPose or AlphaPose, or a table, or ``FILE.csv#NAME``; of many poses the one
            under the picture's name.
        picture: the source picture's path.

    Raises:
        AnimatorError: no_such_file, invalid_pose.
    """
    file, _, row = path.partition(ROW_MARK)
    name, stem = Path(picture).name, Path(picture).stem
    if Path(path).suffix.lower() == ".json":
        by_name = _coded(read_pose_json, _existing(Path(path)))
        options: dict[str, Any] = {key: (joints, None) for key, joints in by_name.items()}
    else:
        rows = _rows(Path(path) if not row or Path(path).exists() else Path(file))
        options = {item.name: (item.joints, item.size) for item in reversed(rows)}
        options = {Path(key).name: value for key, value in options.items()} | options
    for wanted in [row] if row else [name, stem]:
        if wanted in options:
            return options[wanted]
    if len(options) == 1 and not row:
        return next(iter(options.values()))
    message = (
        f"{quoted(path)} has no pose for {quoted(row or name)}; name its row with FILE.csv#NAME."
    )
    raise AnimatorError("invalid_pose", message)


def published_canvas(joints: Joints, size: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width that the coordinates of a published table are of, if they are of one.

    DeepFashion's tables are of 256 x 176 whatever the picture, so beside its raw pictures of
    1101 x 750 every joint lies in a corner of a much larger picture.

    Args:
        joints: ... x 18 x 2 of a table that does not say how large its pictures are.
        size: height and width of the picture that they are used with.
    """
    if any(a < MUCH_LARGER * b for a, b in zip(size, ANNOTATED, strict=True)):
        return None
    there = joints[found(joints)]
    inside = (there >= 0) & (there <= [ANNOTATED[1], ANNOTATED[0]])
    return ANNOTATED if len(there) and inside.all() else None


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts frame 10 after frame 9."""
    parts = re.split(r"(\d+)", name)
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)


def _from_json(paths: Sequence[Path]) -> Poses:
    joints: list[Joints | None] = []
    names: list[str] = []
    for path in paths:
        poses = _coded(read_pose_json, _existing(path))
        if not poses:  # nobody in this frame
            joints.append(None)
            names.append(path.stem)
        for name in sorted(poses, key=natural):
            joints.append(poses[name])
            names.append(Path(name).stem)
    return _filled(joints, None, names, paths[0].parent if len(paths) > 1 else paths[0])


def _from_table(path: Path, row: str | None) -> Poses:
    rows = [item for item in _rows(path) if row in (None, item.name, Path(item.name).name)]
    if not rows:
        what = "row" if row is None else f"row {quoted(row)}"
        raise AnimatorError("invalid_pose", f"{quoted(path)} has no {what}.")
    if len({item.name for item in rows}) == 1:
        rows.sort(key=lambda item: item.frame)
    sizes = {item.size for item in rows}
    names = [
        f"{Path(item.name).stem}-{item.frame:06d}" if item.size else Path(item.name).stem
        for item in rows
    ]
    joints = [item.joints if found(item.joints).any() else None for item in rows]
    canvas = sizes.pop() if len(sizes) == 1 else None
    return _filled(joints, canvas, names, path, table=canvas is None)


def _rows(path: Path) -> list[Annotation]:
    return _coded(read_annotations, _existing(path))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise AnimatorError("no_such_file", f"There is no file {quoted(path)}.")
    return path


def _coded(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except GflaError as error:
        raise AnimatorError("invalid_pose", f"{error.message}.") from error


def _largest(detector: BodyDetector, picture: NDArray[np.uint8]) -> Joints | None:
    bodies = detector.find(picture)
    return bodies[0].joints if bodies else None


def _filled(
    joints: Sequence[Joints | None],
    canvas: tuple[int, ...] | None,
    names: Sequence[str],
    what: str | Path,
    **more: Any,
) -> Poses:
    """Poses for all frames: one without a person holds the pose before, or the first there is."""
    last = next((item for item in joints if item is not None), None)
    if last is None:
        raise AnimatorError("no_body", f"No person was found in {quoted(what)}.")
    held, whole = 0, []
    # Each frame without a person repeats the one before.
    for item in joints:
        held += item is None
        last = last if item is None else item
        whole.append(last)
    size = None if canvas is None else (int(canvas[0]), int(canvas[1]))
    return Poses(np.stack(whole), size, _distinct(names), held=held, **more)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, numbered where one is there twice."""
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{number:06d}" for number in range(len(names)))
