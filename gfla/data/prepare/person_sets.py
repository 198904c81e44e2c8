"""Person data sets with published tables: checked for completeness, resized, written as folders.

What is written is what ``gfla.data.pairs.PersonPairs`` reads: ``images/``, ``annotation.csv`` in
pixels of those pictures, ``pairs.csv``, and for Market-1501 ``masks/``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from gfla.data.pose_tables import (
    Annotation,
    Pair,
    read_annotations,
    read_pairs,
    write_annotations,
    write_pairs,
)
from gfla.data.prepare.preparation import (
    PreparationReport,
    PreparedItem,
    ProgressDisplay,
    in_parallel,
    no_display,
)
from gfla.errors import GflaError
from gfla.files import replacing
from gfla.joints import found, resized

Size = tuple[int, int]
Format = Literal["jpeg", "png"]
JPEG_QUALITY = 95
DAMAGED = "damaged picture"
NO_PICTURE = "annotated, but there is no picture"
SPLITS = {"train": "train", "test": "held-out"}
"""Published names of the splits, and the folders that they get."""


@dataclass(frozen=True)
class Split:
    """One part of a published data set.

    Attributes:
        name: of the folder to write.
        pictures: their files by the name that the tables use.
        annotation: table of joints.
        pairs: table of pairs.
        listed: names that must be there beside those of the tables.
    """

    name: str
    pictures: Mapping[str, Path]
    annotation: Path
    pairs: Path
    listed: Sequence[str] = ()


@dataclass(frozen=True)
class PictureTask:
    """One picture to prepare."""

    name: str
    source: Path
    target: Path
    size: Size | None
    """Height and width that it gets; None for its own."""


def prepare_split(
    split: Split,
    out: Path,
    report: PreparationReport,
    *,
    annotated: Size,
    size: Size | None,
    format: Format = "jpeg",
    workers: int = 0,
    display: ProgressDisplay = no_display,
) -> list[Annotation]:
    """Write one split; what is there already is kept.

    Args:
        split: where it comes from.
        out: folder of the data set; the split gets a folder in it.
        report: gets counts, and what is missing or broken.
        annotated: height and width that the published coordinates are of.
        size: height and width that pictures get; None to keep theirs.
        format: of pictures that are resized; others stay as they are.
        workers: processes; 0 for one a core.
        display: shows progress.

    Returns:
        The rows that were written.

    Raises:
        GflaError: ``invalid_data`` if a table cannot be read or nothing is left.
    """
    rows, pairs = _read_tables(split, report)
    folder = out / split.name
    # Pictures, each at its new size.
    named = {row.name: _written_name(row.name, format) for row in rows}
    places = {name: folder / "images" / file for name, file in named.items()}
    tasks = [
        PictureTask(name, split.pictures[name], place, size)
        for name, place in places.items()
        if name in split.pictures
    ]
    sizes = _prepare_pictures(tasks, split.name, report, workers, display)
    # Joints in pixels of the pictures that were written.
    written = []
    for row in rows:
        if row.name in sizes and not found(row.joints).any():
            report.skip("no joint was found in the picture", f"{split.name}: {row.name}")
        elif row.name in sizes:
            new = sizes[row.name]
            joints = resized(row.joints, row.size or annotated, new)
            written.append(Annotation(named[row.name], joints, size=new))
    # Pairs of which both pictures are left.
    kept = {row.name for row in written}
    chosen = [(named[a], named[b]) for a, b in pairs if {named.get(a), named.get(b)} <= kept]
    if not chosen:
        raise GflaError("invalid_data", f"no pair of {split.name} is complete\n{report.text()}")
    write_annotations(folder / "annotation.csv", written)
    write_pairs(folder / "pairs.csv", chosen)
    report.counts[f"pairs of {split.name}"] += len(chosen)
    report.counts[f"pairs of {split.name} left out"] += len(pairs) - len(chosen)
    return written


def _read_tables(split: Split, report: PreparationReport) -> tuple[list[Annotation], list[Pair]]:
    """The rows and pairs of a split; what they promise but is not there is reported."""
    broken: list[str] = []
    rows = read_annotations(split.annotation, broken)
    pairs = read_pairs(split.pairs, broken)
    for sentence in broken:
        report.skip("broken row", sentence)
    _complete(split, rows, pairs, report)
    return rows, pairs


def _prepare_pictures(
    tasks: Sequence[PictureTask],
    split: str,
    report: PreparationReport,
    workers: int,
    display: ProgressDisplay,
) -> dict[str, Size]:
    """Write the pictures of a split; how large those became that are there, by name."""
    sizes: dict[str, Size] = {}
    for outcome in in_parallel(prepare_picture, tasks, workers, f"{split}: pictures", display):
        report.add(outcome, f"pictures of {split}")
        if outcome.value is not None:
            sizes[outcome.name] = outcome.value
    return sizes


def prepare_picture(task: PictureTask) -> PreparedItem[Size]:
    """Check one picture whole and write it at its size; a picture that fits is copied."""
    if task.target.is_file():
        with Image.open(task.target) as image:
            return PreparedItem(task.name, (image.height, image.width), kept=True)
    try:
        with Image.open(task.source) as image:
            image.load()
            own = (image.height, image.width)
            size = task.size or own
            picture = image.convert("RGB")  # reads it, before anything is written
            with replacing(task.target) as part:
                # Unchanged bytes lose nothing; everything else is encoded anew.
                if size == own and task.target.suffix.lower() == task.source.suffix.lower():
                    shutil.copyfile(task.source, part)
                else:
                    # As the published code resizes these data sets.
                    bilinear = Image.Resampling.BILINEAR
                    save_picture(picture, part, size, task.target.suffix, bilinear)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return PreparedItem(f"{task.name} ({error})", skipped=DAMAGED)
    return PreparedItem(task.name, size)


def save_picture(
    picture: Image.Image,
    path: Path,
    size: Size,
    suffix: str,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
) -> None:
    """Write RGB at a size, as PNG or as JPEG of high quality without chroma loss."""
    if (picture.height, picture.width) != size:
        picture = picture.resize((size[1], size[0]), resample)
    if suffix == ".png":
        picture.save(path, format="PNG")
    else:
        picture.save(path, format="JPEG", quality=JPEG_QUALITY, subsampling=0)


def write_mask(task: tuple[Path, npt.NDArray[np.uint8]]) -> bool:
    """Write a mask as a PNG unless it is there; says whether it had to."""
    path, mask = task
    if path.is_file():
        return False
    with replacing(path) as part:
        Image.fromarray(mask).save(part, format="PNG")
    return True


def read_list(path: Path) -> list[str]:
    """Names of pictures, one a line.

    Raises:
        GflaError: ``invalid_data`` if the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GflaError("invalid_data", f"{path} cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def find_table(folder: Path, ending: str) -> Path:
    """The one file of a folder whose name ends so.

    Raises:
        GflaError: ``invalid_data`` if there is none, or several.
    """
    fitting = sorted(folder.glob(f"*{ending}")) if folder.is_dir() else []
    if len(fitting) != 1:
        names = ", ".join(path.name for path in fitting) or "none"
        message = f"one file *{ending} is needed in {folder}, found {names}"
        raise GflaError("invalid_data", message)
    return fitting[0]


def published_splits(tables: Path) -> list[str]:
    """Which of the published splits a folder has tables for.

    Raises:
        GflaError: ``invalid_data`` naming the files that are needed if it has none whole.
    """
    whole = [
        name
        for name in SPLITS
        if all(list(tables.glob(f"*{kind}-{name}.csv")) for kind in ("annotation", "pairs"))
    ]
    if whole:
        return whole
    wanted = ", ".join(f"*{kind}-{name}.csv" for name in SPLITS for kind in ("annotation", "pairs"))
    raise GflaError(
        "invalid_data",
        f"{tables} has no split's tables; needed are {wanted} as published with the paper's code "
        "(its README links to them), of both splits or of one",
    )


def _complete(
    split: Split, rows: list[Annotation], pairs: list[Pair], report: PreparationReport
) -> None:
    """Note what a split lacks."""
    annotated = {row.name for row in rows}
    paired = {name for pair in pairs for name in pair}
    for reason, names in (
        (NO_PICTURE, annotated - set(split.pictures)),
        ("listed, but there is no picture", set(split.listed) - set(split.pictures) - annotated),
        ("in a pair, but not annotated", paired - annotated),
    ):
        for name in sorted(names):
            report.skip(reason, f"{split.name}: {name}")


def _written_name(name: str, format: Format) -> str:
    return str(PurePosixPath(name).with_suffix(".png")) if format == "png" else name
