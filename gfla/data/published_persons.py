"""Clips of moving persons as the published dance model was trained on them.

A sample is a stretch of neighbouring frames, forwards, with one of the clip's first frames as its
source. Frames are drawn with Human3.6M's joints and sources with COCO's (``gfla.guidance.skeleton``
has both), pictures are moved to the nearest pixel, and there may be masks of the foreground. iPER's
clips have those, turn with their background and take the source along; FashionVideo's have none,
are white around, and their sources move by themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gfla.data.faces import bounced
from gfla.data.moves import Move, moved_joints, moved_picture
from gfla.data.persons import ClipAugmentation, PersonClips
from gfla.data.samples import Sample, epoch_order
from gfla.errors import GflaError, check_choice
from gfla.guidance.pose import SIGMA
from gfla.guidance.skeleton import Role, skeleton_structures
from gfla.joints import Joints

MASKS = "masks"
"""Folder beside the pictures', with a grey picture of the same name (.png) for each of them."""
SOURCES = 20
"""Sources are one of so many frames at a clip's begin."""
Fill = Literal["black", "white"]
FILLS: dict[str, tuple[int, int, int]] = {"black": (0, 0, 0), "white": (255, 255, 255)}


class PublishedClips(PersonClips):
    """Endless blocks of clips: a source frame and ``frames`` neighbouring ones.

    A block is a dict as of ``PersonClips``, with ``masks`` float32 T 1 H W in 0..1 of the frames to
    render. Every epoch visits each clip once, in an order of its own; a clip that is too short is
    run through to and fro.

    Args:
        folder: as for ``PersonClips``, with ``masks/CLIP/000012.png`` if asked for.
        size: height and width of the samples.
        frames: T.
        augmentation: how clips are varied, to the nearest pixel; None for not at all.
        masks: whether to give the masks.
        own_source: whether the source is moved by a draw of its own, or as the frames are.
        fill: colour of what comes in from outside of a picture.
        shuffled: whether every epoch has an order of its own; else it is that of the names.
        seed: of the draw.
        sigma: of the heat maps in pixels.

    Raises:
        GflaError: as ``PersonClips``; ``no_data`` where there are no masks.
    """

    def __init__(
        self,
        folder: Path,
        size: tuple[int, int] = (256, 256),
        *,
        frames: int = 30,
        augmentation: ClipAugmentation | None = None,
        masks: bool = False,
        own_source: bool = False,
        fill: Fill = "black",
        shuffled: bool = True,
        seed: int = 0,
        sigma: float = SIGMA,
    ) -> None:
        super().__init__(
            folder, size, frames=frames, augmentation=augmentation, seed=seed, sigma=sigma
        )
        check_choice("fill", fill, FILLS)
        self.masks = folder / MASKS if masks else None
        self.own_source, self.fill, self.shuffled = own_source, FILLS[fill], shuffled
        if self.masks is not None and not self.masks.is_dir():
            raise GflaError(
                "no_data",
                f"there is no folder {self.masks} with masks of the foreground; "
                "data.options.masks=false and losses.correctness=5 do without",
            )

    def __getitem__(self, index: int, /) -> Sample:
        """The block of an index from 0; raises as ``PersonClips`` does."""
        if index < 0:
            raise IndexError(f"blocks have indices from 0, got {index}")
        random = np.random.default_rng([self.seed, index])
        epoch, place = divmod(index, len(self.clips))
        if self.shuffled:
            place = int(epoch_order(self.seed, epoch, len(self.clips))[place])
        clip = self.clips[place]
        # Neighbours, forwards, from anywhere; a source from the begin.
        first = int(random.integers(max(1, len(clip) - self.frames + 1)))
        names = [clip[at] for at in bounced(first + np.arange(self.frames), len(clip))]
        source = clip[int(random.integers(min(SOURCES, len(clip))))]
        moved = self._draw(random)
        pictures, structures = self._drawn(names, moved, "frame")
        source_moved = self._draw(random) if self.own_source else moved
        of_source, source_structure = self._drawn([source], source_moved, "source")
        block = {
            "images": torch.cat([of_source, pictures]),
            "structures": torch.cat([source_structure, structures]),
        }
        if self.masks is None:
            return block
        masks = np.stack([self._mask(self.masks, name, moved) for name in names])
        return block | {"masks": torch.from_numpy(masks)[:, None].float() / 255}

    def _draw(self, random: np.random.Generator) -> Move | None:
        if self.augmentation is None:
            return None
        return self.augmentation.draw(random, self.size, exact=False)

    def _drawn(self, names: list[str], moved: Move | None, role: Role) -> tuple[Tensor, Tensor]:
        """Pictures uint8 N 3 H W and structures N 20 H W of frames."""
        pictures, joints = list[NDArray[np.uint8]](), list[Joints]()
        for name in names:
            picture, points = self._read(name)
            if moved is not None:
                picture = moved_picture(picture, moved, False, self.fill)
                points = moved_joints(points, moved)
            pictures.append(picture)
            joints.append(points)
        # Joints that were moved are cut to whole pixels, others are not.
        structures = skeleton_structures(
            np.stack(joints), self.size, sigma=self.sigma, style="published", role=role,
            whole=moved is not None,
        )  # fmt: skip
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(), structures

    def _mask(self, folder: Path, name: str, moved: Move | None) -> NDArray[np.uint8]:
        path = (folder / name).with_suffix(".png")
        try:
            with Image.open(path) as image:
                grey = image.convert("L")
                if grey.size != self.size[::-1]:
                    grey = grey.resize(self.size[::-1], Image.Resampling.BICUBIC)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise GflaError("invalid_sample", f"{path} is a damaged mask, or none") from error
        mask = np.array(grey)
        return mask if moved is None else moved_picture(mask, moved, False, FILLS["black"])
