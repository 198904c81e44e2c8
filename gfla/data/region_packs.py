"""Region packs: mouth and eyes of every frame of a face pack, cut out once, as one small mosaic.

A region pack is a ``FacePack`` whose frames are mosaics: the mouth above, both eyes below, the left
one mirrored. Each is cut with a margin, so that training may move and turn it. The landmarks are
those of the whole picture, and say where each part of the mosaic lay in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gfla.data.packs import FacePack, read_pack, write_pack
from gfla.errors import GflaError
from gfla.ops.regions import LEFT_EYE, MOUTH, RIGHT_EYE, Alignment, Region, align, crop

MARGIN = 1.4
"""Sides of what is kept, in units of the region's crop."""
SIDE = 256
"""Side of a mosaic."""
FEWEST_OF_CLIP = 4
"""Packs of fewer frames are stills, all of whose frames are kept."""


@dataclass(frozen=True)
class RegionTile:
    """Where a mosaic has a region: pixels of its corner and sides."""

    region: Region
    top: int
    left: int
    height: int
    width: int

    def of(self, mosaic: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Its part of a mosaic S S 3."""
        return mosaic[self.top : self.top + self.height, self.left : self.left + self.width]


TILES = {
    "mouth": RegionTile(MOUTH, 0, 0, 160, 200),
    "right eye": RegionTile(RIGHT_EYE, 160, 0, 96, 116),
    "left eye": RegionTile(LEFT_EYE, 160, 128, 96, 116),
}


def stored_alignment(region: Region, landmarks: torch.Tensor) -> Alignment:
    """Where a tile lay in pictures with landmarks B 68 2."""
    return align(region, landmarks).wider(MARGIN)


def mosaic(picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The mosaic of a square picture with landmarks 68 2 in its units."""
    result = np.zeros((SIDE, SIDE, 3), np.uint8)
    image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    points = torch.from_numpy(np.asarray(landmarks, np.float32))[None]
    for tile in TILES.values():
        cut = crop(image, stored_alignment(tile.region, points), tile.height, tile.width)
        # Half a grey value, since casting cuts off; bilinear samples stay within 0..255.
        tile.of(result)[:] = (cut[0].permute(1, 2, 0) + 0.5).to(torch.uint8).numpy()
    return result


def pack_regions(source: Path, target: Path, most_frames: int) -> int:
    """Make a region pack of a face pack.

    Args:
        source: file of the face pack.
        target: file of the region pack; one that is there is kept.
        most_frames: of a clip; of a longer one they are taken evenly.

    Returns:
        Its frames.

    Raises:
        GflaError: ``invalid_pack`` or ``invalid_sample``.
    """
    if target.exists():
        return len(read_pack(target, on_disk=True))
    pack = read_pack(source)
    count = len(pack) if len(pack) < FEWEST_OF_CLIP else min(len(pack), most_frames)
    # Evenly, first and last included.
    places = np.unique(np.linspace(0, len(pack) - 1, count).round().astype(int))
    frames = [mosaic(pack.frame(place), pack.landmarks[place]) for place in places]
    write_pack(target, frames, pack.landmarks[places], pack.meta)
    return len(frames)


def check_pack(pack: FacePack) -> None:
    """Refuse a pack whose frames are no mosaics.

    Raises:
        GflaError: ``invalid_data``.
    """
    shape = pack.frame(0).shape
    if shape != (SIDE, SIDE, 3):
        raise GflaError(
            "invalid_data",
            f"frames are {shape}, not mosaics of {SIDE} x {SIDE}: prepare them by "
            "scripts/prepare_regions.py",
        )
