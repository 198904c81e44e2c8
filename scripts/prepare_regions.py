"""Cut mouths and eyes out of face packs, for training region heads.

PACKS is what scripts/prepare_clips.py wrote; crops of 512 pixels are worth their time here. OUT
gets the same splits with a region pack for every face pack. Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import torch

from animator.cli.progress import counted
from animator.footage.selection import SPLITS
from gfla.data.prepare.preparation import fix_options, in_parallel
from gfla.data.region_packs import pack_regions
from gfla.errors import GflaError


def main() -> None:
    """Parse, cut, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--most-frames", type=int, default=150, help="of a clip's pack")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    options = parser.parse_args()
    try:
        if not any(options.packs.glob("*/*.npz")):
            raise GflaError("no_data", f"there are no face packs (*.npz) in {options.packs}")
        fix_options(options.out, {"most_frames": options.most_frames})
        for split in SPLITS:
            sources = sorted((options.packs / split).glob("*.npz"))
            (options.out / split).mkdir(exist_ok=True)
            work = partial(_cut, out=options.out / split, most_frames=options.most_frames)
            title = f"cutting {split}"
            frames = list(in_parallel(work, sources, options.workers, title, counted))
            print(f"{split}: {len(frames)} packs, {sum(frames)} frames")
    except GflaError as error:
        sys.exit(f"error [{error.code}]: {error.message}")


def _cut(source: Path, out: Path, most_frames: int) -> int:
    torch.set_num_threads(1)  # the cores are the other processes'
    return pack_regions(source, out / source.name, most_frames)


if __name__ == "__main__":
    main()
