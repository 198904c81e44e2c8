"""Prepare ShapeNet's views for view synthesis: check the HDF5 file, index the complete objects.

FOLDER has data_CATEGORY.hdf5, id_CATEGORY_train.txt and id_CATEGORY_test.txt as they are published
for this task. Pictures are not copied: OUT/train and OUT/held-out name the file and the objects of
which every view is there. What is left out is listed in OUT/report.txt; stopped, it goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from animator.cli.progress import counted
from gfla.data.shapenet import prepare_shapenet
from gfla.errors import GflaError


def main() -> None:
    """Parse, prepare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--category", default="car", help="car (default) or chair")
    parser.add_argument("--thorough", action="store_true", help="read every picture")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    options = parser.parse_args()
    try:
        report = prepare_shapenet(
            options.folder,
            options.out,
            options.category,
            thorough=options.thorough,
            workers=options.workers,
            display=counted,
        )
    except GflaError as error:
        sys.exit(f"error [{error.code}]: {error.message}")
    print(report.text())


if __name__ == "__main__":
    main()
