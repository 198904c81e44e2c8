"""Pairs of mouths and of eyes for the region heads: drawn so that what matters occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gfla.arrays import Points
from gfla.data.degradations import Degradation, jittered
from gfla.data.openings import closed_lips, openness
from gfla.data.packs import FacePack, data_of
from gfla.data.region_packs import FEWEST_OF_CLIP, TILES, check_pack
from gfla.data.samples import Sample
from gfla.data.transforms import FLIPPED, Augmentation, colour_shift
from gfla.errors import GflaError

KINDS = ("mouth", "eye")
"""What a sample holds pairs of."""
_OPEN_STILL = 0.07
"""Opening of the lips, in sizes of the face, from which a photo serves with its lips closed."""


@dataclass(frozen=True)
class RegionAugmentation:
    """How strongly pairs are varied; colours and quality of source and target alike."""

    looks: Augmentation = field(
        default_factory=lambda: Augmentation(
            colour=0.2, gamma=0.25, saturation=0.3, coarse_share=0.25, blur_share=0.1
        )
    )
    """Colours and quality."""
    shift: float = 0.03
    """Standard deviation of a crop's place, in units of its sides."""
    zoom: float = 0.05
    """Of the logarithm of its size."""
    roll: float = 0.04
    """Of its angle, radians."""
    landmarks: float = 0.0015
    """Of the landmarks' noise, in units of the face."""


STILL = RegionAugmentation(
    Augmentation(
        colour=0, gamma=0, saturation=0, coarse_share=0, blur_share=0, noise_share=0, jpeg_share=0
    ),
    shift=0, zoom=0, roll=0, landmarks=0,
)  # fmt: skip
"""Pairs as they are, for sheets and for measuring."""


class RegionPairs:
    """Endless pairs: of a mouth, a right and a left eye, each perhaps of somebody else.

    A sample holds for ``mouth`` (N = 1 pair) and for ``eye`` (N = 2; left ones mirrored), each name
    after its kind: ``_source`` uint8 N 3 h w and ``_targets`` uint8 N T 3 h w as stored;
    ``_stored`` float32 N (1 + T) 68 2, the landmarks by which they were cut; ``_landmarks`` float32
    N (1 + T) 68 2, those that the networks shall see; ``_placed`` float32 N (1 + T) 4, by which the
    networks' crops shall differ from aligned ones: shift in x and y, logarithm of the zoom, roll.
    Index 0 of 1 + T is the source. A sample depends on the seed and its index alone.

    Attributes:
        skipped: a sentence for every broken pack that ``open`` left out.
    """

    skipped: tuple[str, ...] = ()

    def __init__(
        self,
        packs: Sequence[FacePack],
        *,
        frames: int,
        augmentation: RegionAugmentation,
        still_share: float,
        closed_share: float,
        seed: int,
        any_share: float = 0.4,
    ) -> None:
        """Set up the draw.

        Args:
            packs: region packs, clips and stills; at least one clip.
            frames: T, targets of a pair: neighbouring frames.
            augmentation: how strongly pairs are varied.
            still_share: probability that a mouth is a photo's, if there are any with open lips: the
                photo is the target, and the same with its lips drawn together the source.
            closed_share: probability that a clip's mouth is such a pair.
            seed: of the draw.
            any_share: probability that a frame of a pair is any of the clip's; else targets are
                rather open mouths and closed eyes, sources the contrary.

        Raises:
            GflaError: ``no_data`` without clips, ``invalid_data`` for packs of whole faces.
        """
        cv2.setNumThreads(1)  # see FaceBlocks
        for pack in packs[:1]:
            check_pack(pack)
        # Clips that hold a source and its targets; stills with open lips.
        self.clips = [pack for pack in packs if len(pack) >= max(FEWEST_OF_CLIP, frames + 1)]
        if not self.clips:
            raise GflaError("no_data", "no clips of faces among the packs")
        stills = [pack for pack in packs if len(pack) < FEWEST_OF_CLIP]
        self.stills = [
            pack for pack in stills if openness(pack.landmarks, "mouth")[0] > _OPEN_STILL
        ]
        self.frames = frames
        self.augmentation = augmentation
        self.still_share = still_share if self.stills else 0.0
        self.closed_share = closed_share
        self.any_share = any_share
        self.seed = seed
        # How open everything is in every frame, known before anything is drawn.
        self.openness = {
            name: [openness(clip.landmarks, name) for clip in self.clips] for name in TILES
        }
        names = [str(clip.meta.get("identity")) for clip in self.clips]
        self.odds = {name: _odds(names, self.openness[name]) for name in TILES}

    @classmethod
    def open(cls, folder: Path, **options: Any) -> RegionPairs:
        """Pairs of a folder of region packs; see ``gfla.data.packs.data_of``."""
        return data_of(cls, folder, options)

    def __getitem__(self, index: int, /) -> Sample:
        """The sample of an index from 0.

        Raises:
            GflaError: ``invalid_sample`` if a frame of it is damaged.
            IndexError: below 0.
        """
        if index < 0:
            raise IndexError(f"pairs have indices from 0, got {index}")
        random = np.random.default_rng([self.seed, index])
        mouth = {name: value[None] for name, value in self._pair(random, "mouth").items()}
        # Both eyes as two pairs of one kind.
        eyes = [self._pair(random, name) for name in ("right eye", "left eye")]
        eye = {name: torch.stack([pair[name] for pair in eyes]) for name in eyes[0]}
        pairs = zip(KINDS, (mouth, eye), strict=True)
        return {f"{kind}_{name}": value for kind, pair in pairs for name, value in pair.items()}

    def _pair(self, random: np.random.Generator, name: str) -> Sample:
        # Which: a mouth is mirrored at random, a left eye always.
        mouth = name == "mouth"
        mirrored = random.random() < 0.5 if mouth else name == "left eye"
        drawn = random.random()
        closes = mouth and drawn < self.still_share + self.closed_share
        if mouth and drawn < self.still_share:
            pack, places = self.stills[random.integers(len(self.stills))], [0] * (self.frames + 1)
        else:
            pack, places = self._frames(random, name)
        # The same frame as source and target, the source with its lips drawn together.
        if closes:
            places[0] = places[1]
        # Tiles as stored, with one change of colours and quality for all.
        tile, varied = TILES[name], self.augmentation
        change = self._change(random)
        pictures = {place: change(pack.frame(place)) for place in dict.fromkeys(places)}
        cut = [tile.of(pictures[place]) for place in places]
        stored = pack.landmarks[places]
        seen = stored.copy()
        if closes:
            cut[0], seen[0] = closed_lips(cut[0], stored[0])
        # Landmarks are those of the whole picture: mirrored about its middle.
        if mirrored:
            stored, seen = _mirrored(stored), _mirrored(seen)
        if mirrored and mouth:  # the left eye's tile is mirrored already
            cut = [picture[:, ::-1] for picture in cut]
        # What the networks shall see differs from what was cut by: noise, and another place.
        seen = jittered(random, seen, varied.landmarks)
        spread = np.array([2 * varied.shift, 2 * varied.shift, varied.zoom, varied.roll])
        placed = spread * random.standard_normal((2, 4))
        placed = placed[[0] + [1] * self.frames]  # neighbours are placed alike
        maps = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).contiguous()
        return {
            "source": maps[0],
            "targets": maps[1:],
            "stored": torch.from_numpy(stored),
            "landmarks": torch.from_numpy(seen),
            "placed": torch.from_numpy(placed.astype(np.float32)),
        }

    def _frames(self, random: np.random.Generator, name: str) -> tuple[FacePack, list[int]]:
        """A clip, and the places of a source and of neighbouring targets in it."""
        number = int(random.choice(len(self.clips), p=self.odds[name]))
        order = np.argsort(self.openness[name][number], kind="stable")
        if name != "mouth":
            order = order[::-1]
        # Ordered from shut to open for mouths, from open to shut for eyes: the end is what is rare.
        target = order[self._skewed(random, len(order))]
        source = order[len(order) - 1 - self._skewed(random, len(order))]
        # Neighbours after it, or the clip's last ones.
        first = min(int(target), len(order) - self.frames)
        return self.clips[number], [int(source), *range(first, first + self.frames)]

    def _skewed(self, random: np.random.Generator, count: int) -> int:
        """A place among ``count`` ordered ones: anywhere, or the later the likelier."""
        anywhere = random.random() < self.any_share
        return int(count * (random.random() if anywhere else random.random() ** 0.35))

    def _change(self, random: np.random.Generator) -> Any:
        """One change of colours and quality for all frames of a pair."""
        looks = self.augmentation.looks
        shift, quality = colour_shift(random, looks), Degradation.draw(random, looks)
        return lambda picture: quality.lose(shift(picture))


def _mirrored(landmarks: Points) -> Points:
    mirrored = landmarks[..., FLIPPED, :].copy()
    mirrored[..., 0] = 1 - mirrored[..., 0]
    return mirrored


def _odds(names: Sequence[str], values: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Odds of clips: identities alike, those with much motion up to five times as likely."""
    lengths = np.array([len(value) for value in values], np.float64)
    # Motion of a clip: how far its openness ranges, in units of the livelier clips.
    spread = np.array([np.subtract(*np.percentile(value, (95, 5))) for value in values])
    lively = 1 + 4 * np.clip(spread / max(float(np.percentile(spread, 90)), 1e-6), 0, 1)
    # Within an identity by length and motion; an identity counts as its liveliest clip.
    weights = np.sqrt(lengths) * lively
    totals: Mapping[str, float] = {
        name: float(sum(w for n, w in zip(names, weights, strict=True) if n == name))
        for name in set(names)
    }
    best: Mapping[str, float] = {
        name: float(max(one for n, one in zip(names, lively, strict=True) if n == name))
        for name in set(names)
    }
    fair = np.array([w / totals[n] * best[n] for n, w in zip(names, weights, strict=True)])
    return np.asarray(fair / fair.sum())
