"""Prepare DeepFashion In-shop for pose transfer: check it, resize it, write train and held-out.

PICTURES is the folder img_highres of the data set (or one that holds it, or a flat folder of
pictures under the names that the tables use). TABLES is a folder with the files that are published
with the paper's code: *annotation-train.csv, *pairs-train.csv, train.lst, and those of test. What
is missing or damaged is listed in OUT/report.txt; run it again to go on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from animator.cli.progress import counted
from gfla.data.prepare.fashion import SEEN, prepare_fashion
from gfla.errors import GflaError


def main() -> None:
    """Parse, prepare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("tables", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        default=SEEN,
        help="of the pictures written (default: 256 256, what the networks see)",
    )
    parser.add_argument("--keep-size", action="store_true", help="keep pictures as they are")
    parser.add_argument("--png", action="store_true", help="write PNG, without any loss")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    options = parser.parse_args()
    try:
        report = prepare_fashion(
            options.pictures,
            options.tables,
            options.out,
            size=None if options.keep_size else tuple(options.size),
            format="png" if options.png else "jpeg",
            workers=options.workers,
            display=counted,
        )
    except GflaError as error:
        sys.exit(f"error [{error.code}]: {error.message}")
    print(report.text())


if __name__ == "__main__":
    main()
