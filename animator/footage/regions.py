"""Preparation of region packs, mouths and eyes that are cut out of face packs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from animator.footage.selection import SPLITS
from gfla.data.prepare.preparation import ProgressDisplay, fix_options, in_parallel, no_display
from gfla.data.region_packs import pack_regions
from gfla.errors import GflaError
from gfla.files import writing

MOST_FRAMES = 150


def prepare_regions(
    packs: Path,
    out: Path,
    most_frames: int = MOST_FRAMES,
    *,
    workers: int = 0,
    display: ProgressDisplay = no_display,
) -> dict[str, tuple[int, int]]:
    """Cut a region pack out of every face pack; what is there already is kept.

    Args:
        packs: folder of face packs by split.
        out: gets the same splits.
        most_frames: that are taken of a longer pack, evenly.
        workers: processes; 0: one a core.
        display: shows progress.

    Returns:
        Packs and frames of each split.

    Raises:
        GflaError: ``no_data`` without packs; ``invalid_config`` if ``out`` was made with other
            options; ``invalid_pack``; ``disk_full`` or ``not_writable``.
    """
    if not any(packs.glob("*/*.npz")):
        raise GflaError("no_data", f"there are no face packs (*.npz) in {packs}")
    fix_options(out, {"most_frames": most_frames})
    counts: dict[str, tuple[int, int]] = {}
    for split in SPLITS:
        sources = sorted((packs / split).glob("*.npz"))
        with writing(out / split):
            (out / split).mkdir(exist_ok=True)
        work = partial(_cut, out=out / split, most_frames=most_frames)
        frames = list(in_parallel(work, sources, workers, f"cutting {split}", display))
        counts[split] = len(frames), sum(frames)
    return counts


def _cut(source: Path, out: Path, most_frames: int) -> int:
    torch.set_num_threads(1)  # the cores are the other processes'
    return pack_regions(source, out / source.name, most_frames)
