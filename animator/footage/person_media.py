"""Photos and videos of persons, and what is known of the poses in them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gfla.data.pose_tables import Annotation
from gfla.data.prepare.preparation import PreparationReport
from gfla.errors import GflaError
from gfla.joints import Joints

STILLS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
VIDEOS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".gif")
_NUMBERED = re.compile(r"(.+)(?:_|/)(\d+)(?:\.\w+)?", re.ASCII)
"""What OpenPose (``clip_000000000012``) and AlphaPose (``12.jpg``) call the frames of a video."""


@dataclass(frozen=True, eq=False)
class Media:
    """One photo or video.

    Attributes:
        path: of the file.
        name: what its pictures are called after, relative, with forward slashes.
        poses: joints by frame, if they are known; None to find them.
        size: height and width of the pictures that the poses are of, if that is known.
        identity: who it shows.
    """

    path: Path
    name: str
    poses: Mapping[int, Joints] | None = None
    size: tuple[int, int] | None = None
    identity: str = ""


def media_of_table(
    rows: Iterable[Annotation], root: Path, identities: Mapping[str, str], report: PreparationReport
) -> list[Media]:
    """Photos and videos that a table of joints names, relative to a folder.

    Names without a file are noted in the report.
    """
    by_name: dict[str, list[Annotation]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    media = []
    for name, items in by_name.items():
        if not (root / name).is_file():
            report.skip("annotated, but there is no file", name)
            continue
        poses = {row.frame: row.joints for row in items}
        identity = identities.get(name, name)
        media.append(Media(root / name, name, poses, items[0].size, identity))
    return media


def media_of_folder(
    root: Path,
    identities: Mapping[str, str],
    report: PreparationReport,
    poses: Mapping[str, Joints] | None = None,
) -> list[Media]:
    """All photos and videos in a folder and below.

    Args:
        root: the folder.
        identities: who is in which file, by its name within the folder; else each is somebody else.
        report: gets the names of files without a pose.
        poses: of OpenPose or AlphaPose, by the picture's name or stem; for frames of a video by
            ``STEM_000000000012`` or ``STEM/12``. None to leave finding them to a detector.
    """
    media = []
    by_stem = _by_stem(poses or {})
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in (*STILLS, *VIDEOS) or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        known = None if poses is None else by_stem.get(path.name) or by_stem.get(path.stem)
        if poses is not None and not known:
            report.skip("there is no pose for the file", name)
            continue
        media.append(Media(path, name, known, None, identities.get(name, name)))
    return media


def _by_stem(poses: Mapping[str, Joints]) -> dict[str, dict[int, Joints]]:
    """Poses by what a file may be called, then by frame."""
    table: dict[str, dict[int, Joints]] = {}
    for name, joints in poses.items():
        numbered = _NUMBERED.fullmatch(name)
        if numbered:
            table.setdefault(numbered[1], {})[int(numbered[2])] = joints
        last = name.rsplit("/", 1)[-1]
        for key in {last, last.rsplit(".", 1)[0]}:
            table.setdefault(key, {}).setdefault(0, joints)
    return table


def read_identities(path: Path) -> dict[str, str]:
    """Who is in which file: a CSV with the columns ``path`` and ``identity``, and any others.

    Raises:
        GflaError: ``invalid_data``.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {row["path"]: row["identity"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        message = f"{path} is no table with the columns path and identity: {error}"
        raise GflaError("invalid_data", message) from error


def is_still(path: Path) -> bool:
    """Whether a file is a picture that does not move, by its name or its first bytes."""
    if path.suffix.lower() in STILLS:
        return True
    try:
        with Image.open(path) as image:
            return image.format != "GIF"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
