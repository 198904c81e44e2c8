"""Target poses of any kind as joints: photos, JSON, tables, folders and videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces.shots import ShotDetector
from animator.files.local import quoted
from animator.files.poses import ROW_MARK, file_of
from animator.media.decode import MediaLimits, VideoReader, read_image
from animator.media.stills import read_still
from animator.persons.body import Body, BodyDetector
from animator.persons.following import (
    BodyChoice,
    PersonFollower,
    check_body_choice,
    choose_body,
    follow_through,
)
from animator.persons.pose_json import natural, read_pose_frames
from gfla.data.pose_tables import Annotation, read_annotations
from gfla.data.prepare.fashion import ANNOTATED as FASHION
from gfla.data.prepare.market import ANNOTATED as MARKET
from gfla.errors import GflaError
from gfla.joints import Joints, found

if TYPE_CHECKING:
    from animator.watch import Watch  # brings PyTorch, which a check has no use for

MUCH_LARGER = 2
"""How many times as high and wide as a published table's pictures a picture is that it cannot be of
as it stands."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
MAX_TABLE = 256 * 1024**2
"""Bytes of a CSV."""
MAX_FOLDER = 512 * 1024**2
"""Bytes of all JSON files of a folder."""
MOST_PICTURES = 1_000_000
"""In a file that the source's pose is taken from."""
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
        there: T, whether somebody was found; None for everywhere.
    """

    joints: NDArray[np.float64]
    canvas: tuple[int, int] | None
    names: tuple[str, ...]
    pts: tuple[int, ...] | None = None
    time_base: Fraction = Fraction(1)
    rate: Fraction | None = None
    audio_start: Fraction | None = None
    held: int = 0
    there: NDArray[np.bool_] | None = None


class Target:
    """A target that was opened but whose poses are not found yet.

    Args:
        path: a picture; a video; a JSON file of OpenPose, AlphaPose or COCO; a CSV of annotations,
            of which ``FILE.csv#NAME`` takes the rows of a name; a folder of JSON files or pictures.
        limits: what is refused.
        person: whose poses where there are several persons; in a sequence the one is followed.

    Attributes:
        path: what it is called.
        kind: "picture", "video", "file" (poses), or "folder" (of pictures).
        sequence: whether there are several poses.

    Raises:
        AnimatorError: no_such_file, invalid_pose, invalid_option for another choice, no_body, and
            those of reading pictures and videos.
    """

    def __init__(self, path: str, limits: MediaLimits, person: BodyChoice = "largest") -> None:
        check_body_choice(person)
        self.path, self.person, self._limits = path, person, limits
        self._still: NDArray[np.uint8] | None = None
        self._poses: Poses | None = None
        self._pictures: list[Path] = []
        # By folder, by name, and last by content; a GIF may be a video.
        file, _, row = path.partition(ROW_MARK)
        if Path(path).is_dir():
            self._open_folder(Path(path))
        elif Path(path).suffix.lower() == ".json":
            self._poses = _from_json([Path(path)], person, limits.max_frames)
        elif Path(path).suffix.lower() == ".csv":
            self._poses = _from_table(Path(path), None, limits.max_frames)
        elif row and Path(file).suffix.lower() == ".csv" and not Path(path).exists():
            self._poses = _from_table(Path(file), row, limits.max_frames)
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
            joints = _chosen(detector.find(self._still), self.person, self.path)
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
            self._poses = _from_json(poses, self.person, self._limits.max_frames)
            return
        self._pictures = [path for path in files if path.suffix.lower() in PICTURES]
        if not self._pictures:
            message = f"The folder {quoted(folder)} has no JSON files and no pictures."
            raise AnimatorError("invalid_pose", message)

    def _follow_video(self, detector: BodyDetector, watch: Watch) -> Poses:
        found_joints: list[Joints | None] = []
        follower, shots = PersonFollower(self.person), ShotDetector()
        pts: list[int] = []
        with (
            VideoReader(self.path, limits=self._limits) as reader,
            watch.stage("poses", reader.frames),
        ):
            for batch in reader:
                for picture in batch.pixels:
                    if shots.changed(picture):
                        follower.new_shot()
                    body = follower.look(picture, detector)
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
                joints.append(_chosen(detector.find(picture), self.person, path, must=False))
                watch.advance(1)
        canvas = sizes.pop() if len(sizes) == 1 else None
        return _filled(joints, canvas, [path.stem for path in self._pictures], self.path)


def read_poses(path: str, limits: MediaLimits, person: BodyChoice = "largest") -> Poses:
    """The poses of a file or folder of joints.

    Raises:
        AnimatorError: no_such_file, invalid_pose, no_body.
    """
    poses = Target(path, limits, person)._poses
    if poses is None:
        raise AnimatorError("invalid_pose", f"{quoted(path)} holds no joints.")
    return poses


def source_joints(
    path: str, picture: str, person: BodyChoice = "largest"
) -> tuple[Joints, tuple[int, int] | None]:
    """The pose of the source picture from a file, and the size of the picture if that says.

    Args:
        path: JSON of OpenPose, AlphaPose or COCO, or a table, or ``FILE.csv#NAME``; of many poses
            the one under the picture's name.
        picture: the source picture's path.
        person: whose, where the picture shows several.

    Raises:
        AnimatorError: no_such_file, too_large, invalid_pose, no_body if there are fewer persons.
    """
    file, _, row = path.partition(ROW_MARK)
    name, stem = Path(picture).name, Path(picture).stem
    if Path(path).suffix.lower() == ".json":
        return _json_joints(Path(path), name, person)
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


def table_canvas(path: str, joints: Joints, size: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width that the coordinates of a published table are of, if they are of one.

    DeepFashion's tables are of 256 x 176 whatever the picture, so beside its raw pictures of
    1101 x 750 every joint lies in a corner of a much larger picture.

    Args:
        path: of what does not say how large its pictures are.
        joints: ... x 18 x 2 that were read from it.
        size: height and width of the picture that they are used with.
    """
    if not file_of(path).lower().endswith(".csv"):
        return None
    if any(a < MUCH_LARGER * b for a, b in zip(size, FASHION, strict=True)):
        return None
    there = joints[found(joints)]
    inside, of_market = (
        ((there >= 0) & (there <= [canvas[1], canvas[0]])).all() for canvas in (FASHION, MARKET)
    )
    return FASHION if inside and not of_market else None


def _json_joints(
    path: Path, picture: str, person: BodyChoice
) -> tuple[Joints, tuple[int, int] | None]:
    frames = [frame for frame in read_pose_frames(path, MOST_PICTURES) if frame.bodies]
    by_name = {Path(frame.name).stem: frame for frame in reversed(frames)}
    by_name |= {frame.name: frame for frame in reversed(frames)}
    for wanted in (picture, Path(picture).stem):
        if wanted in by_name or len(frames) == 1:
            frame = by_name.get(wanted, frames[0])
            joints = _chosen(frame.bodies, person, path)
            assert joints is not None
            return joints, frame.canvas
    raise AnimatorError("invalid_pose", f"{quoted(path)} has no pose for {quoted(picture)}.")


def _from_json(paths: Sequence[Path], person: BodyChoice, most: int) -> Poses:
    what = paths[0].parent if len(paths) > 1 else paths[0]
    if len(paths) > most:
        message = f"{quoted(what)} has {len(paths)} files; allowed are {most}."
        raise AnimatorError("too_long", message)
    if sum(os.path.getsize(path) for path in paths if path.exists()) > MAX_FOLDER:
        message = f"{quoted(what)} has more than {MAX_FOLDER >> 20} MiB, the most for joints."
        raise AnimatorError("too_large", message)
    frames = [frame for path in paths for frame in read_pose_frames(path, most)]
    if len(frames) > most:
        message = f"{quoted(what)} has {len(frames)} poses; allowed are {most}."
        raise AnimatorError("too_long", message)
    names = [Path(frame.name).stem for frame in frames]
    canvases = {frame.canvas for frame in frames}
    canvas = canvases.pop() if len(canvases) == 1 else None
    if len(frames) == 1:
        return _filled([_chosen(frames[0].bodies, person, what)], canvas, names, what)
    bodies = follow_through([frame.bodies for frame in frames], person)
    joints = [None if body is None else body.joints for body in bodies]
    return _filled(joints, canvas, names, what)


def _from_table(path: Path, row: str | None, most: int) -> Poses:
    rows = [item for item in _rows(path) if row in (None, item.name, Path(item.name).name)]
    if not rows:
        what = "row" if row is None else f"row {quoted(row)}"
        raise AnimatorError("invalid_pose", f"{quoted(path)} has no {what}.")
    if len(rows) > most:
        raise AnimatorError(
            "too_long", f"{quoted(path)} has {len(rows)} poses; allowed are {most}."
        )
    if len({item.name for item in rows}) == 1:
        rows.sort(key=lambda item: item.frame)
    sizes = {item.size for item in rows}
    names = [
        f"{Path(item.name).stem}-{item.frame:06d}" if item.size else Path(item.name).stem
        for item in rows
    ]
    joints = [item.joints if found(item.joints).any() else None for item in rows]
    return _filled(joints, sizes.pop() if len(sizes) == 1 else None, names, path)


def _rows(path: Path) -> list[Annotation]:
    if _existing(path).stat().st_size > MAX_TABLE:
        message = f"{quoted(path)} has more than {MAX_TABLE >> 20} MiB, the most for a table."
        raise AnimatorError("too_large", message)
    return _coded(read_annotations, path)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise AnimatorError("no_such_file", f"There is no file {quoted(path)}.")
    return path


def _coded(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except GflaError as error:
        raise AnimatorError("invalid_pose", f"{error.message}.") from error


def _chosen(
    bodies: Sequence[Body], person: BodyChoice, what: str | Path, must: bool = True
) -> Joints | None:
    """The joints of the person who is asked for, None for nobody.

    Raises:
        AnimatorError: no_body if there are fewer, and it must be there.
    """
    body = choose_body(bodies, person)
    if body is None and bodies and must:
        count = "1 person" if len(bodies) == 1 else f"{len(bodies)} persons"
        message = f"{quoted(what)} shows {count}; there is no number {person}."
        raise AnimatorError("no_body", message)
    return None if body is None else body.joints


def _filled(
    joints: Sequence[Joints | None],
    canvas: tuple[int, ...] | None,
    names: Sequence[str],
    what: str | Path,
    **timing: Any,
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
    there = np.array([item is not None for item in joints])
    return Poses(np.stack(whole), size, _distinct(names), held=held, there=there, **timing)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, numbered where one is there twice."""
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{number:06d}" for number in range(len(names)))
