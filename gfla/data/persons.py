"""Clips of moving persons, to train person animation: folders of frames and a table of joints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gfla.data.faces import clip_indices
from gfla.data.moves import Move, check_strengths, moved_joints, turned
from gfla.data.pairs import ANNOTATION, IMAGES, read_picture
from gfla.data.pose_tables import read_annotations
from gfla.data.samples import Sample
from gfla.errors import GflaError
from gfla.guidance.pose import SIGMA
from gfla.guidance.skeleton import skeleton_structures
from gfla.joints import Joints, found, resized

FEWEST_JOINTS = 4
"""Frames with fewer joints than this are left out."""


@dataclass(frozen=True)
class ClipAugmentation:
    """How strongly clips are varied, all frames alike; the defaults are FashionVideo's."""

    rotation: float = 5.0
    """Largest rotation, degrees."""
    shift: tuple[float, float] = (20.0, 3.0)
    """Largest shift to the side and upwards or downwards, pixels of 256."""
    scale: tuple[float, float] = (0.98, 1.02)
    """Range of the zoom."""

    def __post_init__(self) -> None:
        sideways, upwards = self.shift
        check_strengths(self.scale, rotation=self.rotation, sideways=sideways, upwards=upwards)

    def draw(self, random: np.random.Generator, size: tuple[int, int], exact: bool = True) -> Move:
        """A map for a picture of this height and width, see ``gfla.data.moves``."""
        angle = random.uniform(-self.rotation, self.rotation)
        zoom = random.uniform(*self.scale)
        # Shifts are said of pictures of 256.
        move = random.uniform(-1, 1, 2) * self.shift * max(size) / 256
        return turned(angle, zoom, move, size, exact)


class PersonClips:
    """Endless random blocks of clips: a source frame and ``frames`` later ones.

    A block is a dict of ``images`` uint8 (1 + T) 3 H W and ``structures`` float32 (1 + T) 20 H W;
    index 0 is the source, a frame of the same clip. Every clip is equally likely.

    Args:
        folder: with ``annotation.csv`` (published layout) and ``images/CLIP/000012.jpg``, as
            ``scripts/prepare_poses.py`` writes it for videos; the frames of a clip are in the order
            of their names. Pictures whose names are no numbers are photos, and left alone.
        size: height and width of the samples.
        frames: T.
        augmentation: how clips are varied; None for not at all.
        seed: of the draw.
        sigma: of the heat maps in pixels.

    Attributes:
        clips: names of frames of each clip that has at least two.
        skipped: a sentence for every row and frame that is left out.

    Raises:
        GflaError: ``invalid_data`` if the table cannot be read or more than half of its frames are
            unusable, ``no_data`` if no clip is left, ``invalid_config`` for impossible sizes.
    """

    def __init__(
        self,
        folder: Path,
        size: tuple[int, int] = (256, 256),
        *,
        frames: int = 6,
        augmentation: ClipAugmentation | None = None,
        seed: int = 0,
        sigma: float = SIGMA,
    ) -> None:
        if min(*size, frames) < 1:
            message = f"size {size}, {frames} frames: each must be at least 1"
            raise GflaError("invalid_config", message)
        self.folder, self.size, self.frames = folder / IMAGES, size, frames
        self.augmentation, self.seed, self.sigma = augmentation, seed, sigma
        self.skipped: list[str] = []
        # Tables, and the frames of each clip that are there and show a person.
        rows = read_annotations(folder / ANNOTATION, self.skipped)
        self.joints: Mapping[str, Joints] = {row.name: row.joints for row in rows}
        clips: dict[str, list[str]] = {}
        for row in sorted(rows, key=lambda row: row.name):
            if not PurePosixPath(row.name).stem.isdigit():
                continue  # a photo: prepared folders may have both
            if not (self.folder / row.name).is_file():
                self.skipped.append(f"{row.name!r} is not there")
            elif found(row.joints).sum() < FEWEST_JOINTS:
                self.skipped.append(f"{row.name!r} has fewer than {FEWEST_JOINTS} joints")
            else:
                clips.setdefault(str(PurePosixPath(row.name).parent), []).append(row.name)
        self.clips = [names for names in clips.values() if len(names) > 1]
        # What is left must be what somebody meant.
        if len(self.skipped) > max(len(rows) // 2, 1):
            reasons = "; ".join(self.skipped[:3])
            message = f"{len(self.skipped)} of {len(rows)} frames of {folder} are unusable"
            raise GflaError("invalid_data", f"{message} ({reasons})")
        if not self.clips:
            raise GflaError("no_data", f"{folder} has no clip of two frames or more")
        # OpenCV's threads would not live on in forked loader workers.
        cv2.setNumThreads(1)

    def __getitem__(self, index: int, /) -> Sample:
        """The block of an index from 0.

        Raises:
            GflaError: ``invalid_sample`` naming the frame if its picture is damaged.
            IndexError: below 0.
        """
        if index < 0:
            raise IndexError(f"blocks have indices from 0, got {index}")
        random = np.random.default_rng([self.seed, index])
        clip = self.clips[random.integers(len(self.clips))]
        chosen = [clip[place] for place in clip_indices(random, len(clip), self.frames)]
        moved = self.augmentation.draw(random, self.size) if self.augmentation else None
        pictures, joints = zip(*(self._frame(name, moved) for name in chosen), strict=True)
        images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
        structures = skeleton_structures(np.stack(joints), self.size, sigma=self.sigma)
        return {"images": images, "structures": structures}

    def _frame(self, name: str, moved: Move | None) -> tuple[NDArray[np.uint8], Joints]:
        picture, joints = self._read(name)
        if moved is None:
            return picture, joints
        height, width = self.size
        # The same map for picture and joints: OpenCV, too, counts from the centres of pixels.
        warped = cv2.warpAffine(picture, moved, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, np.uint8), moved_joints(joints, moved)

    def _read(self, name: str) -> tuple[NDArray[np.uint8], Joints]:
        """A frame and its joints, at the size of the samples."""
        try:
            picture, old = read_picture(self.folder / name, self.size)
        except GflaError as error:
            raise GflaError("invalid_sample", error.message) from error
        return picture, resized(self.joints[name], old, self.size)
