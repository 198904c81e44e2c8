"""Clips of faces as the published face model was trained on them.

A sample is a stretch of neighbouring frames, forwards, whose first frame is the source as well;
guidance is drawn the published way, with the edges of each frame's own background. Frames are as
they are, and stills take no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from gfla.arrays import Picture, to_pixels
from gfla.data.faces import SHORTEST_CLIP, bounced
from gfla.data.packs import FacePack, data_of
from gfla.data.samples import Sample, epoch_order
from gfla.errors import GflaError
from gfla.guidance.face import face_structure


class PublishedFaceClips:
    """Endless blocks as of ``gfla.data.faces.FaceBlocks``, drawn as published.

    Every epoch visits each clip once, in an order of its own; a clip that is too short is run
    through to and fro.

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
        shuffled: bool = True,
        seed: int = 0,
    ) -> None:
        """Set up the draw; arguments and errors are those of ``FaceBlocks``."""
        if min(frames, image_size, structure_size) < 1:
            sizes = f"{frames} frames, pictures of {image_size}, structures of {structure_size}"
            raise GflaError("invalid_config", f"{sizes}: each must be at least 1")
        self.clips = [pack for pack in packs if len(pack) >= SHORTEST_CLIP]
        if not self.clips:
            message = f"no clips of {SHORTEST_CLIP} frames or more among {len(packs)} face packs"
            raise GflaError("no_data", message)
        # OpenCV's threads would not live on in forked loader workers.
        cv2.setNumThreads(1)
        self.frames, self.image_size, self.structure_size = frames, image_size, structure_size
        self.shuffled, self.seed = shuffled, seed

    @classmethod
    def open(cls, folder: Path, **options: Any) -> PublishedFaceClips:
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
        epoch, place = divmod(index, len(self.clips))
        if self.shuffled:
            place = int(epoch_order(self.seed, epoch, len(self.clips))[place])
        pack = self.clips[place]
        random = np.random.default_rng([self.seed, index])
        first = int(random.integers(max(1, len(pack) - self.frames + 1)))
        places = [int(at) for at in bounced(first + np.arange(self.frames), len(pack))]
        # Each frame once, however often it is in the block.
        made = {at: self._frame(pack, at) for at in dict.fromkeys(places)}
        pictures, structures = zip(*(made[at] for at in (places[0], *places)), strict=True)
        return {
            "images": torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
            "structures": torch.from_numpy(np.stack(structures)),
            "landmarks": torch.from_numpy(pack.landmarks[[places[0], *places]].astype(np.float32)),
        }

    def _frame(self, pack: FacePack, at: int) -> tuple[Picture, np.ndarray[Any, Any]]:
        """A picture, and its structure with the edges of its own background."""
        size = self.structure_size
        frame, points = pack.frame(at), to_pixels(pack.landmarks[at], size)
        # As published, what edges are found in is resized by another filter.
        seen = _resized(frame, size, Image.Resampling.BILINEAR)
        picture = _resized(frame, self.image_size, Image.Resampling.BICUBIC)
        return picture, face_structure(points, size, seen, "published")


def _resized(picture: Picture, size: int, resample: Image.Resampling) -> Picture:
    if picture.shape[0] == size:
        return picture
    return np.array(Image.fromarray(picture).resize((size, size), resample))
