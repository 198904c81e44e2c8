"""Market-1501 for pose transfer (section 4.1), with masks of persons for mask-LPIPS (4.2)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt

from gfla.data.prepare.person_sets import (
    SPLITS,
    Size,
    Split,
    find_table,
    prepare_split,
    published_splits,
    write_mask,
)
from gfla.data.prepare.preparation import (
    PreparationReport,
    ProgressDisplay,
    fix_options,
    in_parallel,
    no_display,
)
from gfla.errors import GflaError
from gfla.joints import JOINTS, Joints, found

ANNOTATED: Size = (128, 64)
"""Height and width of pictures and coordinates."""
PUBLISHED_PAIRS = {"train": 263_632, "test": 12_000}
FOLDERS = {"train": ("bounding_box_train", "train"), "test": ("bounding_box_test", "test")}
LIMB_RADIUS = 4.0
"""Half the width of a limb in the mask, pixels at a height of 128."""

_PARTS = (
    ("neck", "right shoulder", "right hip", "left hip", "left shoulder"),
    ("nose", "right eye", "right ear", "right shoulder", "neck", "left shoulder", "left ear",
     "left eye"),
)  # fmt: skip
"""Torso and head, which are filled."""
_LIMBS = (
    ("neck", "right shoulder"), ("right shoulder", "right elbow"), ("right elbow", "right wrist"),
    ("neck", "left shoulder"), ("left shoulder", "left elbow"), ("left elbow", "left wrist"),
    ("neck", "right hip"), ("right hip", "right knee"), ("right knee", "right ankle"),
    ("neck", "left hip"), ("left hip", "left knee"), ("left knee", "left ankle"),
    ("neck", "nose"), ("nose", "right eye"), ("right eye", "right ear"),
    ("nose", "left eye"), ("left eye", "left ear"),
    ("right shoulder", "right ear"), ("left shoulder", "left ear"),
    ("right hip", "left hip"), ("right shoulder", "left shoulder"),
)  # fmt: skip


def person_mask(joints: Joints, size: Size) -> npt.NDArray[np.uint8]:
    """Where the person is, as far as the joints tell: limbs with a width, torso and head filled.

    Lines between joints, four pixels to either side, filled hulls of torso and head, and a closing
    of 5 x 5 pixels for the gaps between them: a quarter more than the script that was released with
    the paper takes, ``gfla.evaluation.masks.released_mask``.

    Args:
        joints: 18 x 2 pixels.
        size: height and width of the mask.

    Returns:
        uint8 H W, 255 on the person and 0 around.
    """
    # Where the joints are, in whole pixels of the mask.
    mask = np.zeros(size, np.uint8)
    radius = max(1, round(LIMB_RADIUS * size[0] / ANNOTATED[0]))
    there = found(joints)
    places = {
        name: tuple(np.rint(joints[index]).astype(int).tolist())
        for index, name in enumerate(JOINTS)
        if there[index]
    }
    # Torso and head, limbs, joints, then the gaps between them.
    for part in _PARTS:
        corners = [places[name] for name in part if name in places]
        if len(corners) >= 3:
            cv2.fillPoly(mask, [cv2.convexHull(np.array(corners, np.int32))], 255)
    for first, second in _LIMBS:
        if first in places and second in places:
            cv2.line(mask, places[first], places[second], 255, 2 * radius + 1)
    for place in places.values():
        cv2.circle(mask, place, radius, 255, -1)
    # 5 pixels at the published height; odd, so that the closing has a middle.
    side = max(3, round(5 * size[0] / ANNOTATED[0]) | 1)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    return np.asarray(closed, np.uint8)


def mask_path(folder: Path, name: str) -> Path:
    """Where a prepared split keeps the mask of a picture."""
    return folder / "masks" / PurePosixPath(name).with_suffix(".png")


def prepare_market(
    pictures: Path,
    tables: Path,
    out: Path,
    *,
    workers: int = 0,
    display: ProgressDisplay = no_display,
) -> PreparationReport:
    """Write a data set for pose transfer, pictures as they are, and masks for its held-out part.

    Args:
        pictures: folder with ``bounding_box_train`` and ``bounding_box_test``, or ``train`` and
            ``test``.
        tables: folder with ``*annotation-train.csv``, ``*pairs-train.csv`` and their like for test.
        out: folder that gets ``train`` and ``held-out`` (the published test split), with ``masks``.
        workers: processes; 0 for one a core.
        display: shows progress.

    Returns:
        What was done; it is in ``out`` as well.

    Raises:
        GflaError: as ``gfla.data.prepare.fashion.prepare_fashion``.
    """
    # Pictures and tables of both splits, or of the one that is there.
    splits = {name: _folder(pictures, name) for name in published_splits(tables)}
    fix_options(out, {"kind": "market", "size": ANNOTATED})
    report = PreparationReport("Market-1501")
    for name, folder in splits.items():
        split = Split(
            SPLITS[name],
            {path.name: path for path in sorted(folder.glob("*.jpg"))},
            find_table(tables, f"annotation-{name}.csv"),
            find_table(tables, f"pairs-{name}.csv"),
        )
        # Pictures, joints and pairs.
        rows = prepare_split(
            split,
            out,
            report,
            annotated=ANNOTATED,
            size=ANNOTATED,
            workers=workers,
            display=display,
        )
        # Masks of every person that was written; those that are there stay.
        target = out / split.name
        masks = [
            (mask_path(target, row.name), person_mask(row.joints, row.size or ANNOTATED))
            for row in rows
            if not mask_path(target, row.name).is_file()
        ]
        made = sum(in_parallel(write_mask, masks, workers, f"{split.name}: masks", display))
        report.counts[f"masks of {split.name}"] += made
        report.notes[f"published pairs of {split.name}"] = PUBLISHED_PAIRS[name]
    report.write(out)
    return report


def _folder(pictures: Path, split: str) -> Path:
    for name in FOLDERS[split]:
        if (pictures / name).is_dir():
            return pictures / name
    raise GflaError(
        "invalid_data", f"{pictures} has no folder {' or '.join(FOLDERS[split])} of pictures"
    )
