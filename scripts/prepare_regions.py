"""Cut mouths and eyes out of face packs, for training region heads.

PACKS is what scripts/prepare_clips.py wrote, which does this, too, with --regions; crops of 512
pixels are worth their time here. OUT gets the same splits with a region pack for every face pack.
Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from animator.cli.progress import counted
from animator.footage.regions import MOST_FRAMES, prepare_regions
from gfla.errors import GflaError


def main() -> None:
    """Parse, cut, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--most-frames", type=int, default=MOST_FRAMES, help="of a clip's pack")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    options = parser.parse_args()
    try:
        counts = prepare_regions(
            options.packs,
            options.out,
            options.most_frames,
            workers=options.workers,
            display=counted,
        )
    except GflaError as error:
        sys.exit(f"error [{error.code}]: {error.message}")
    for split, (packs, frames) in counts.items():
        print(f"{split}: {packs} packs, {frames} frames")


if __name__ == "__main__":
    main()
