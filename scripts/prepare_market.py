"""Prepare Market-1501 for pose transfer: check it, write train and held-out, and masks of persons.

PICTURES is the folder with bounding_box_train and bounding_box_test. TABLES is a folder with the
files that are published with the paper's code: market-annotation-train.csv,
market-pairs-train.csv, and those of test. The masks, for mask-LPIPS, are drawn from the joints.
What is missing or damaged is listed in OUT/report.txt; run it again to go on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from animator.cli.progress import counted
from gfla.data.prepare.market import prepare_market
from gfla.errors import GflaError


def main() -> None:
    """Parse, prepare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("tables", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    options = parser.parse_args()
    try:
        report = prepare_market(
            options.pictures,
            options.tables,
            options.out,
            workers=options.workers,
            display=counted,
        )
    except GflaError as error:
        sys.exit(f"error [{error.code}]: {error.message}")
    print(report.text())


if __name__ == "__main__":
    main()
