"""DeepFashion In-shop Clothes Retrieval for pose transfer (paper, section 4.1)."""

from __future__ import annotations

import json
from pathlib import Path

from gfla.data.pose_tables import SHOWN_SIZE
from gfla.data.prepare.person_sets import (
    SPLITS,
    Format,
    Size,
    Split,
    find_table,
    prepare_split,
    published_splits,
    read_list,
)
from gfla.data.prepare.preparation import (
    PreparationReport,
    ProgressDisplay,
    fix_options,
    no_display,
)
from gfla.errors import GflaError
from gfla.files import write_text

ANNOTATED: Size = (256, 176)
"""Height and width that the published coordinates are of."""
SEEN: Size = (256, 256)
"""Height and width that the published networks see; pictures are brought to it in one step."""
PUBLISHED_PAIRS = {"train": 101_966, "test": 8_570}
SUFFIXES = (".jpg", ".jpeg", ".png")


def flat_name(parts: tuple[str, ...]) -> str:
    """The name that lists and tables give a picture of the tree.

    ``MEN/Denim/id_00000080/01_1_front.jpg`` is ``fashionMENDenimid0000008001_1front.jpg``: the
    folders' names without separator, the identity without underscore, and of the file's own
    underscores the first.

    Args:
        parts: of the path below ``img_highres``: gender, category, identity, file.
    """
    *folders, identity, file = parts
    first, _, rest = file.partition("_")
    return "".join(
        ["fashion", *folders, identity.replace("_", ""), first, "_", rest.replace("_", "")]
    )


def find_pictures(folder: Path) -> dict[str, Path]:
    """Pictures by the name that the tables use.

    Args:
        folder: ``img_highres`` or a folder with it, or one that holds pictures under their flat
            names.

    Raises:
        GflaError: ``invalid_data`` if there is no picture.
    """
    root = folder / "img_highres" if (folder / "img_highres").is_dir() else folder
    found = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        parts = path.relative_to(root).parts
        found[flat_name(parts) if len(parts) == 4 else path.name] = path
    if not found:
        raise GflaError("invalid_data", f"there is no picture in {root}")
    return found


def prepare_fashion(
    pictures: Path,
    tables: Path,
    out: Path,
    *,
    size: Size | None = SEEN,
    format: Format = "jpeg",
    workers: int = 0,
    display: ProgressDisplay = no_display,
) -> PreparationReport:
    """Write a data set for pose transfer.

    Args:
        pictures: see ``find_pictures``.
        tables: folder with ``*annotation-train.csv``, ``*pairs-train.csv`` and their like for test,
            and, if at hand, ``train.lst`` and ``test.lst``.
        out: folder that gets ``train`` and ``held-out`` (the published test split).
        size: height and width of the pictures written (bilinear, as published); None to keep
            theirs. The default is what the networks see, so that nothing is resized a second time.
        format: of resized pictures.
        workers: processes; 0 for one a core.
        display: shows progress.

    Returns:
        What was done; it is in ``out`` as well.

    Raises:
        GflaError: ``invalid_data`` if tables or pictures are missing altogether, ``invalid_config``
            if ``out`` was begun with other options.
    """
    # Everything that can be wrong with tables and pictures, before anything is written.
    splits = published_splits(tables)
    available = find_pictures(pictures)
    fix_options(out, {"kind": "fashion", "size": size, "format": format, "resample": "bilinear"})
    report = PreparationReport("DeepFashion In-shop")
    for name in splits:
        # The lists name all pictures of the published split; the tables those with a person found.
        listed = tables / f"{name}.lst"
        split = Split(
            SPLITS[name],
            available,
            find_table(tables, f"annotation-{name}.csv"),
            find_table(tables, f"pairs-{name}.csv"),
            read_list(listed) if listed.is_file() else (),
        )
        prepare_split(
            split,
            out,
            report,
            annotated=ANNOTATED,
            size=size,
            format=format,
            workers=workers,
            display=display,
        )
        if size is not None:
            write_text(out / split.name / SHOWN_SIZE, json.dumps(ANNOTATED) + "\n")
        report.notes[f"published pairs of {SPLITS[name]}"] = PUBLISHED_PAIRS[name]
    report.write(out)
    return report
