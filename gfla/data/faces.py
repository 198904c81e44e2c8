"""Face clips and stills for training: random blocks of frames drawn from packs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gfla.arrays import Picture, Points, to_pixels
from gfla.data.degradations import Degradation, draw_worn, jittered
from gfla.data.packs import FacePack, data_of
from gfla.data.samples import Sample
from gfla.data.transforms import (
    Augmentation,
    Warp,
    colour_shift,
    random_still_warps,
)
from gfla.errors import GflaError
from gfla.guidance.face import face_structure

SHORTEST_CLIP = 4
"""Packs of fewer frames count as stills."""
LARGEST_STRIDE = 4
"""Frames of a block are at most this many frames of the clip apart."""


class FaceBlocks:
    """Endless random blocks: a source frame and ``frames`` later ones to render from it.

    Each block is a dict of ``images`` uint8 (1 + T) 3 S S, ``structures`` float32 (1 + T) 16 s s
    and ``landmarks`` float32 (1 + T) 68 2 in units of the picture; index 0 is the source. Stills
    take part through smooth random warps of picture and landmarks together. A block depends on
    the seed and its index alone.

    Attributes:
        skipped: a sentence for every broken pack that ``open`` left out.
    """

    skipped: tuple[str, ...] = ()

    def __init__(
        self,
        packs: Sequence[FacePack],
        *,
        frames: int,
        image_size: int,
        structure_size: int,
        still_share: float,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        """Set up the draw.

        Args:
            packs: clips and stills; at least one.
            frames: T, frames to render in a block. A clip that is too short for them is run
                through forwards and backwards.
            image_size: S, side of the pictures.
            structure_size: s, side of the structures.
            still_share: probability that a block is made from a still, if there are both.
            augmentation: how strongly blocks are varied.
            seed: of the draw.

        Raises:
            GflaError: ``no_data`` without packs, ``invalid_config`` for sizes below 1.
        """
        if not packs:
            raise GflaError("no_data", "no face packs to train on")
        if min(frames, image_size, structure_size) < 1:
            sizes = f"{frames} frames, pictures of {image_size}, structures of {structure_size}"
            raise GflaError("invalid_config", f"{sizes}: each must be at least 1")
        # OpenCV's threads would not live on in forked loader workers, which then wait for them for
        # ever; a worker is one thread anyway.
        cv2.setNumThreads(1)
        self.clips = [pack for pack in packs if len(pack) >= SHORTEST_CLIP]
        self.stills = [pack for pack in packs if len(pack) < SHORTEST_CLIP]
        self.frames = frames
        self.image_size = image_size
        self.structure_size = structure_size
        self.still_share = still_share if self.clips and self.stills else float(not self.clips)
        self.augmentation = augmentation
        self.seed = seed
        # Identities, not clips, are equally likely; long clips count a little more than short ones.
        # Square roots: of the length within an identity, and of the identity's total.
        weights = np.array([np.sqrt(len(clip)) for clip in self.clips])
        names = [str(clip.meta.get("identity")) for clip in self.clips]
        totals: dict[str, float] = {}
        for name, weight in zip(names, weights, strict=True):
            totals[name] = totals.get(name, 0.0) + weight
        fair = np.array([w / totals[n] ** 0.5 for n, w in zip(names, weights, strict=True)])
        self.odds = fair / fair.sum() if len(fair) else fair

    @classmethod
    def open(cls, folder: Path, **options: Any) -> FaceBlocks:
        """Blocks of a folder of packs; see ``gfla.data.packs.data_of``."""
        return data_of(cls, folder, options)

    def __getitem__(self, index: int, /) -> Sample:
        """The block of an index from 0.

        Raises:
            GflaError: ``invalid_sample`` if a frame of it is damaged.
            IndexError: below 0.
        """
        if index < 0:
            raise IndexError(f"blocks have indices from 0, got {index}")
        return self.draw(np.random.default_rng([self.seed, index]))

    def draw(self, random: np.random.Generator) -> Sample:
        """One block, from this generator's randomness alone; raises as ``__getitem__``."""
        strength = self.augmentation
        # What is shown: a still with a warp for every frame, or frames of a clip.
        if random.random() < self.still_share:
            pack = self.stills[random.integers(len(self.stills))]
            places = [0] * (self.frames + 1)
            warps: list[Warp | None] = [*random_still_warps(random, self.frames + 1)]
        else:
            pack = self.clips[random.choice(len(self.clips), p=self.odds)]
            places = clip_indices(random, len(pack), self.frames)
            reshaped = random.random() < strength.reshape_share
            warps = [None, *(random_still_warps(random, 1) * self.frames)]
            warps = warps if reshaped else [None] * (self.frames + 1)
        # What befalls all frames of the block alike.
        placed = Warp.similarity(random, strength, self.image_size)
        shift = colour_shift(random, strength)
        quality, worn = Degradation.draw(random, strength), draw_worn(random, strength)
        # Each frame: its own warp, the block's place, what is worn, colours and detail.
        images, landmarks = [], []
        decoded: dict[int, Picture] = {}
        for place, warp in zip(places, warps, strict=True):
            if place not in decoded:
                decoded[place] = pack.frame(place)
            picture, points = decoded[place], pack.landmarks[place]
            if warp is not None:
                picture, points = warp(picture, points)
            picture, points = placed(picture, points, self.image_size)
            for thing in worn:
                picture = thing(picture, points)
            images.append(quality.lose(shift(picture)))
            landmarks.append(points)
        # Noise on the source alone.
        images[0] = quality.add(images[0], random)
        return self._block(images, jittered(random, np.stack(landmarks), strength.jitter))

    def _block(self, images: Sequence[Picture], landmarks: Points) -> Sample:
        size = self.structure_size
        pixels = to_pixels(landmarks, size)
        structures = np.stack([face_structure(points, size) for points in pixels])
        return {
            "images": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(),
            "structures": torch.from_numpy(structures),
            "landmarks": torch.from_numpy(np.asarray(landmarks, np.float32)),
        }


def clip_indices(random: np.random.Generator, length: int, frames: int) -> list[int]:
    """A block of a clip: a source anywhere, and frames that are a few frames apart from each other.

    Args:
        random: draws them.
        length: of the clip, at least 2; a shorter one than the block is run through to and fro.
        frames: of the block, without its source.
    """
    # A stride that fits into the clip; at least 1, where the clip is then run to and fro.
    longest = min(LARGEST_STRIDE, (length - 1) // frames)
    stride = int(random.integers(1, max(longest, 1) + 1))
    span = min(stride * (frames - 1), length - 1)
    first = int(random.integers(0, length - span))
    targets = bounced(first + stride * np.arange(frames), length)
    # Motion backwards is motion, too.
    if random.random() < 0.5:
        targets = targets[::-1]
    return [int(random.integers(0, length)), *(int(place) for place in targets)]


def bounced(places: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Places beyond the ends of a clip of this length, turned back at them."""
    period = 2 * (length - 1)
    folded = places % period
    return np.minimum(folded, period - folded)
