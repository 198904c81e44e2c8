"""Face clips and stills for training: packed files, and random blocks of frames drawn from them.

A pack is one ``.npz`` of arrays only (never pickled objects): ``jpeg`` (all frames' JPEG bytes in
a row), ``offsets`` (frame i is ``jpeg[offsets[i]:offsets[i + 1]]``), ``landmarks`` (T x 68 x 2 in
units of the picture) and ``meta`` (JSON as UTF-8 bytes: identity, licence, source, kind).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from gfla.data.transforms import Augmentation, Warp, colour_shift, random_still_warps
from gfla.errors import GflaError
from gfla.guidance.face import face_structure

JPEG_QUALITY = 93


@dataclass(frozen=True)
class FacePack:
    """One clip or still of one person.

    Attributes:
        jpeg: all frames' JPEG bytes.
        offsets: T + 1 places in ``jpeg``.
        landmarks: float32 T 68 2, in units of the picture.
        meta: identity, licence, source, kind.
    """

    jpeg: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    landmarks: NDArray[np.float32]
    meta: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.landmarks)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Frame ``index``: H x W x 3 RGB."""
        data = self.jpeg[self.offsets[index] : self.offsets[index + 1]]
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if picture is None:
            raise GflaError("invalid_pack", f"frame {index} of {self.meta.get('path')} is damaged")
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def write_pack(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    landmarks: NDArray[np.float32],
    meta: Mapping[str, Any],
) -> None:
    """Write square RGB frames and their landmarks (T x 68 x 2, units of the picture)."""
    if len(frames) != len(landmarks):
        raise GflaError("invalid_pack", f"{len(frames)} frames, {len(landmarks)} landmark sets")
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    coded = [cv2.imencode(".jpg", f[..., ::-1], options)[1].ravel() for f in frames]
    np.savez(
        path,
        jpeg=np.concatenate(coded),
        offsets=np.cumsum([0, *map(len, coded)]).astype(np.int64),
        landmarks=np.asarray(landmarks, np.float32),
        meta=np.frombuffer(json.dumps(dict(meta)).encode(), np.uint8),
    )


def read_pack(path: Path) -> FacePack:
    """Read what ``write_pack`` wrote.

    Raises:
        GflaError: ``invalid_pack`` if the file is none or its parts do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            jpeg, offsets, landmarks = file["jpeg"], file["offsets"], file["landmarks"]
            meta = json.loads(file["meta"].tobytes())
    except (OSError, EOFError, KeyError, ValueError) as error:
        raise GflaError("invalid_pack", f"{path} is no face pack: {error}") from error
    whole = len(offsets) == len(landmarks) + 1 and len(landmarks) and offsets[-1] == len(jpeg)
    if not whole or landmarks.shape[1:] != (68, 2) or not np.isfinite(landmarks).all():
        raise GflaError("invalid_pack", f"{path}: its frames and landmarks do not fit together")
    return FacePack(jpeg, offsets, landmarks, meta)


class FaceBlocks(IterableDataset[dict[str, Tensor]]):
    """Endless random blocks: a source frame and ``frames`` later ones to render from it.

    Each block is a dict of ``images`` uint8 (1 + T) 3 S S, ``structures`` float32 (1 + T) 16 s s
    and ``landmarks`` float32 (1 + T) 68 2 in units of the picture; index 0 is the source. Stills
    take part through smooth random warps of picture and landmarks together.
    """

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
            frames: T, frames to render in a block.
            image_size: S, side of the pictures.
            structure_size: s, side of the structures.
            still_share: probability that a block is made from a still, if there are both.
            augmentation: how strongly blocks are varied.
            seed: of the draw; workers derive their own.

        Raises:
            GflaError: ``no_data`` without packs.
        """
        super().__init__()
        self.clips = [pack for pack in packs if len(pack) > frames]
        self.stills = [pack for pack in packs if len(pack) <= frames]
        if not packs:
            raise GflaError("no_data", "no face packs to train on")
        self.frames = frames
        self.image_size = image_size
        self.structure_size = structure_size
        self.still_share = still_share if self.clips and self.stills else float(not self.clips)
        self.augmentation = augmentation
        self.seed = seed
        # Identities, not clips, are equally likely; long clips count a little more than short ones.
        weights = np.array([np.sqrt(len(clip)) for clip in self.clips])
        names = [str(clip.meta.get("identity")) for clip in self.clips]
        totals: dict[str, float] = {}
        for name, weight in zip(names, weights, strict=True):
            totals[name] = totals.get(name, 0.0) + weight
        fair = np.array([w / totals[n] ** 0.5 for n, w in zip(names, weights, strict=True)])
        self.odds = fair / fair.sum() if len(fair) else fair

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        random = np.random.default_rng([self.seed, worker.id if worker else 0])
        cv2.setNumThreads(1)
        while True:
            yield self.draw(random)

    def draw(self, random: np.random.Generator) -> dict[str, Tensor]:
        """One block, from this generator's randomness alone."""
        if random.random() < self.still_share:
            pack = self.stills[random.integers(len(self.stills))]
            picture, landmarks = pack.frame(0), pack.landmarks[0]
            warps = random_still_warps(random, self.frames + 1)
            frames = [warp(picture, landmarks) for warp in warps]
        else:
            clip = self.clips[random.choice(len(self.clips), p=self.odds)]
            indices = self._clip_indices(random, len(clip))
            frames = [(clip.frame(i), clip.landmarks[i]) for i in indices]
        placed = Warp.similarity(random, self.augmentation, self.image_size)
        shift = colour_shift(random, self.augmentation)
        pairs = [placed(*pair, size=self.image_size) for pair in frames]
        images = np.stack([shift(picture) for picture, _ in pairs])
        landmarks = np.stack([points for _, points in pairs]).astype(np.float32)
        size = self.structure_size
        structures = np.stack([face_structure(points * size - 0.5, size) for points in landmarks])
        return {
            "images": torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
            "structures": torch.from_numpy(structures),
            "landmarks": torch.from_numpy(landmarks),
        }

    def _clip_indices(self, random: np.random.Generator, length: int) -> list[int]:
        """A source anywhere, and T frames a few frames apart from each other."""
        stride = int(random.integers(1, max(2, min(5, (length - 1) // self.frames + 1))))
        span = stride * (self.frames - 1)
        first = int(random.integers(0, length - span))
        targets = [first + stride * step for step in range(self.frames)]
        if random.random() < 0.5:
            targets.reverse()
        return [int(random.integers(0, length)), *targets]
