"""Pairs of pictures of one person, to train pose transfer: fashion, Market-1501, or one's own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from gfla.arrays import Picture
from gfla.data.moves import check_strengths, moved_joints, moved_picture, turned
from gfla.data.pose_tables import SHOWN_SIZE, Pair, read_annotations, read_pairs
from gfla.data.samples import Sample, epoch_order
from gfla.errors import GflaError, check_choice
from gfla.guidance.pose import SIGMA, pose_heatmaps
from gfla.joints import Joints, resized

IMAGES, ANNOTATION, PAIRS = "images", "annotation.csv", "pairs.csv"
"""What a prepared folder holds."""
FILL = (128, 128, 128)
"""Colour of what comes into the picture from outside; 0 in [-1, 1]."""
Resample = Literal["bicubic", "bilinear"]
RESAMPLING: dict[str, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
_TRIED = 20


@dataclass(frozen=True)
class PairAugmentation:
    """How strongly the pictures of a pair are varied; the defaults are Market-1501's."""

    rotation: float = 5.0
    """Largest rotation of the source, degrees."""
    shift: float = 5.0
    """Largest shift of the source, pixels."""
    scale: tuple[float, float] = (0.95, 1.05)
    """Range of the source's zoom."""
    target_rotation: float = 0.2
    """Part of the rotation that the target gets at most, by a draw of its own."""
    target_shift: float = 0.5
    """Part of the shift that the target gets at most, likewise; it is never zoomed."""
    exact: bool = False
    """Whether pictures are sampled bilinearly and joints move exactly with them; as published the
    nearest pixel is taken and joints are half a pixel off, see ``gfla.data.moves``."""

    def __post_init__(self) -> None:
        check_strengths(
            self.scale,
            rotation=self.rotation,
            shift=self.shift,
            target_rotation=self.target_rotation,
            target_shift=self.target_shift,
        )

    def draw(
        self, random: np.random.Generator, size: tuple[int, int]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Maps of source and target, 2 x 3 each, from pixels (x, y) to pixels."""
        source = self._one(random, size, 1.0, 1.0, self.scale)
        target = self._one(random, size, self.target_rotation, self.target_shift, (1.0, 1.0))
        return source, target

    def _one(
        self,
        random: np.random.Generator,
        size: tuple[int, int],
        rotation: float,
        shift: float,
        scale: tuple[float, float],
    ) -> npt.NDArray[np.float64]:
        angle = rotation * random.uniform(-self.rotation, self.rotation)
        zoom = random.uniform(*scale)
        move = shift * random.uniform(-self.shift, self.shift, 2)
        return turned(angle, zoom, move, size, self.exact)


class PersonPairs:
    """Endless samples of a prepared folder; see ``gfla.data.samples.Samples``.

    A sample holds ``source`` and ``target`` (uint8 3 H W) and ``source_structure`` and
    ``target_structure`` (float32 18 H W, heat maps). Every epoch visits each pair once, in an order
    of its own.

    Attributes:
        pairs: names of source and target.
        skipped: a sentence for every row and every pair that is left out.
    """

    def __init__(
        self,
        folder: str | Path,
        size: tuple[int, int] = (256, 256),
        *,
        annotated: tuple[int, int] | None = None,
        augmentation: PairAugmentation | None = None,
        resample: Resample = "bicubic",
        shuffled: bool = True,
        seed: int = 0,
        sigma: float = SIGMA,
    ) -> None:
        """Read the tables; pictures are read when they are asked for.

        Args:
            folder: with ``images/``, ``annotation.csv`` and ``pairs.csv``, as the scripts
                ``prepare_fashion.py``, ``prepare_market.py`` and ``prepare_poses.py`` write it.
            size: height and width of the samples; pictures of another size are resized.
            annotated: height and width that the annotation's coordinates are of; None if they are
                of the pictures as they are.
            augmentation: how source and target are varied; None for not at all.
            resample: how pictures are resized; the published model's bilinearly.
            shuffled: whether every epoch has an order of its own; else it is the file's.
            seed: of order and variation.
            sigma: of the heat maps, pixels.

        Raises:
            GflaError: ``invalid_data`` if a table cannot be read, or pictures or joints are missing
                for more than half of the pairs; ``invalid_config`` for a size that is not positive.
        """
        folder = Path(folder)
        if min(size) < 1 or seed < 0:
            raise GflaError("invalid_config", f"size {size}, seed {seed}; allowed: above 0, from 0")
        check_choice("resample", resample, RESAMPLING)
        self.folder, self.size, self.annotated = folder / IMAGES, size, annotated
        self.resample: Resample = resample
        self.augmentation, self.sigma = augmentation, sigma
        self.shuffled, self.seed = shuffled, seed
        self.skipped: list[str] = []
        # Tables; broken rows are left out and told.
        rows = read_annotations(folder / ANNOTATION, self.skipped)
        self.joints: Mapping[str, Joints] = {row.name: row.joints for row in rows}
        wanted = read_pairs(folder / PAIRS, self.skipped)
        self.pairs = self._usable(wanted)
        # Less than half: this is not the data set that somebody meant.
        if len(self.pairs) * 2 < max(len(wanted), 1):
            reasons = "; ".join(self.skipped[:3])
            message = f"{folder} has {len(wanted)} pairs, {len(self.pairs)} of them usable"
            raise GflaError("invalid_data", f"{message} ({reasons or 'the file is empty'})")

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the pictures as people see them.

        It is what the folder's preparation says, or the size of the first picture that is whole,
        which then stands for all.

        Raises:
            GflaError: ``invalid_data`` if all of the first are damaged.
        """
        with suppress(OSError, ValueError, TypeError, OverflowError):
            height, width = json.loads((self.folder.parent / SHOWN_SIZE).read_text("utf-8"))
            if min(int(height), int(width)) > 0:
                return int(height), int(width)
        tried = [source for source, _ in self.pairs[:_TRIED]]
        for name in tried[:-1]:
            with suppress(GflaError):
                return read_picture(self.folder / name, self.size)[1]
        return read_picture(self.folder / tried[-1], self.size)[1]

    def __len__(self) -> int:
        """How many pairs there are, the samples of an epoch."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """The sample of an index from 0, the same one every time.

        Raises:
            GflaError: ``invalid_data`` naming the picture if it is damaged.
        """
        source, target = self.pair(index)
        random = np.random.default_rng([self.seed, index])
        if self.augmentation is None:
            maps: tuple[npt.NDArray[np.float64] | None, ...] = (None, None)
        else:
            maps = self.augmentation.draw(random, self.size)
        image, structure = self.person(source, maps[0])
        target_image, target_structure = self.person(target, maps[1])
        return {
            "source": image,
            "source_structure": structure,
            "target": target_image,
            "target_structure": target_structure,
        }

    def pair(self, index: int) -> Pair:
        """Names of the pictures of a sample."""
        if index < 0:
            raise IndexError(f"samples are counted from 0, got {index}")
        # Endless: an index beyond the pairs is of a later epoch.
        epoch, place = divmod(index, len(self.pairs))
        order = epoch_order(self.seed, epoch, len(self.pairs)) if self.shuffled else None
        return self.pairs[place if order is None else order[place]]

    def person(
        self, name: str, moved: npt.NDArray[np.float64] | None = None
    ) -> tuple[Tensor, Tensor]:
        """One picture (uint8 3 H W) and its heat maps (18 H W), moved by a 2 x 3 map if given."""
        picture, old = read_picture(self.folder / name, self.size, self.resample)
        joints, annotated = self.joints[name], self.annotated or old
        if moved is not None:
            exact = self.augmentation is not None and self.augmentation.exact
            picture = moved_picture(picture, moved, exact, FILL)
            joints = moved_joints(resized(joints, annotated, self.size), moved)
            annotated = self.size
        # Heat maps are drawn at the sample's size, from coordinates of whichever size they are of.
        points = torch.from_numpy(joints)[None]
        structure = pose_heatmaps(points, self.size, annotated, self.sigma)[0].float()
        return torch.from_numpy(picture).permute(2, 0, 1).contiguous(), structure

    def _usable(self, wanted: list[Pair]) -> list[Pair]:
        # One listing, rather than a question for each of 100,000 files.
        there = _files(self.folder)
        usable, told = [], set()
        for pair in wanted:
            for name in pair:
                if name in self.joints and name in there:
                    continue
                if name not in told:
                    lacking = "has no joints" if name not in self.joints else "is not there"
                    self.skipped.append(f"{name!r} {lacking}")
                told.add(name)
            if not told.intersection(pair):
                usable.append(pair)
        return usable


def read_picture(
    path: Path, size: tuple[int, int], resample: Resample = "bicubic"
) -> tuple[Picture, tuple[int, int]]:
    """Read a whole picture, at another size.

    Returns:
        uint8 H W 3 RGB of the size that is asked for, and height and width that it had.

    Raises:
        GflaError: ``invalid_data`` naming the file if it is damaged, cut off, or none.
    """
    try:
        with Image.open(path) as image:
            old = (image.height, image.width)
            rgb = image.convert("RGB")
            if old != tuple(size):
                rgb = rgb.resize((size[1], size[0]), RESAMPLING[resample])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise GflaError("invalid_data", f"{path} is a damaged picture, or none: {error}") from error
    return np.array(rgb), old


def _files(folder: Path) -> set[str]:
    """Names of all files in a folder and below, with forward slashes."""
    names: set[str] = set()
    for parent, _, files in os.walk(folder):
        inside = os.path.relpath(parent, folder).replace(os.sep, "/")
        names.update(name if inside == "." else f"{inside}/{name}" for name in files)
    return names
