"""Region heads: small networks that draw the insides of mouths and eyes anew (ours).

A landmark warp can move a lip or a lid, but it has nothing to show where a closed mouth opens, and
squeezes an eye that closes. A head sees an aligned crop of the frame so far, the same crop of the
untouched source, and the geometry of both; it gives a picture of its own and a soft share of it,
which is zero outside the opening and its rim (``gfla.ops.regions``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.models.blocks import SLOPE
from gfla.ops.regions import (
    LEFT_EYE,
    MOUTH,
    RIGHT_EYE,
    Alignment,
    Geometry,
    Region,
    align,
    crop,
    geometry_of,
    novelty,
    paste,
    placed,
)

NETWORK_SIDE = 256
"""Pictures are looked at at about this size: a larger one is reduced to it, as far as a whole
factor leads, and gets the change enlarged."""
_PICTURE = 3
_FOLD = 2
"""Pixels on each side of a square that becomes channels."""
_START_SHARE = -1.0
"""Logit of the share before training."""

Features = tuple[Tensor, ...]
"""What a head keeps of a source: one map a level, finest first."""
SourceRegions = Mapping[str, Features]
"""The features of a source by head; each B E C h w with E the regions that the head draws."""


@dataclass(frozen=True)
class Drawn:
    """What a head drew into a crop.

    Attributes:
        picture: B 3 h w, the head's own picture; not clamped.
        share: B 1 h w, 0 to 1, of it in the result.
    """

    picture: Tensor
    share: Tensor

    def change(self, base: Tensor) -> Tensor:
        """What it adds to the crop ``base``: B 3 h w."""
        return self.share * (self.picture - base)


@dataclass(frozen=True)
class Finished:
    """A picture with its regions drawn; only those that there was something to draw in.

    Attributes:
        picture: B 3 S S in [-1, 1].
        shares: by the region's name, B 1 h w: the head's share in the crop.
        before: by the region's name, B 3 h w: the crop before.
        after: by the region's name, B 3 h w: the crop after; not clamped.
    """

    picture: Tensor
    shares: Mapping[str, Tensor]
    before: Mapping[str, Tensor]
    after: Mapping[str, Tensor]


class Residual(nn.Module):
    """Two convolutions beside a shortcut: B C h w -> B C h w."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """B C h w -> B C h w."""
        hidden = self.first(F.leaky_relu(features, SLOPE))
        return features + self.second(F.leaky_relu_(hidden, SLOPE))


class RegionHead(nn.Module):
    """A U-Net on crops of one kind of region, with an encoder of its own for the source.

    What depends on the source alone is added at every level of the way down, so that a clip pays
    for it once.
    """

    def __init__(self, maps: int, widths: tuple[int, ...]) -> None:
        """Put it together.

        Args:
            maps: channels of the geometry, M.
            widths: channels at 1/2, 1/4, ... of the crop's size.
        """
        super().__init__()
        # Squares of 2 x 2 pixels become channels: 4 (3 + M) of them at half the crop's size.
        seen = _FOLD**2 * (_PICTURE + maps)
        pairs = list(zip(widths, widths[1:], strict=False))
        # The source's own way down, without residual blocks.
        self.source_enter = nn.Conv2d(seen, widths[0], 3, padding=1)
        self.source_downs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairs)
        # The frame's way down, through the middle, and up again with skips.
        self.enter = nn.Conv2d(seen, widths[0], 3, padding=1)
        self.encode = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairs)
        self.middle = nn.Sequential(Residual(widths[-1]), Residual(widths[-1]))
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in reversed(pairs))
        self.decode = nn.ModuleList(Residual(width) for width in reversed(widths[:-1]))
        self.leave = nn.Conv2d(widths[0], _FOLD**2 * (_PICTURE + 1), 3, padding=1)

    def initialise(self) -> None:
        """Start as a head that changes next to nothing; convolutions keep PyTorch's own start."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
            if isinstance(module, Residual):
                nn.init.normal_(module.second.weight, std=1e-3)
                nn.init.zeros_(module.second.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.leave.weight, std=1e-3)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def source(self, base: Tensor, maps: Tensor) -> Features:
        """What is kept of a source's crop B 3 h w and its geometry B M h w."""
        features = [self.source_enter(F.pixel_unshuffle(torch.cat([base, maps], 1), _FOLD))]
        for down in self.source_downs:
            features.append(down(F.leaky_relu(features[-1], SLOPE)))
        return tuple(features)

    def forward(self, base: Tensor, shape: Geometry, source: Features) -> Drawn:
        """Draw.

        Args:
            base: B 3 h w in [-1, 1], the crop so far.
            shape: of the frame to render.
            source: of ``source``.
        """
        features = self.enter(F.pixel_unshuffle(torch.cat([base, shape.maps], 1), _FOLD))
        # What is known of the source joins at every level of the way down.
        features = features + source[0]
        skips = []
        for level, (encode, down) in enumerate(zip(self.encode, self.downs, strict=True), 1):
            features = encode(features)
            skips.append(features)
            features = down(F.leaky_relu(features, SLOPE)) + source[level]
        features = self.middle(features)
        # Up: bilinear and a convolution, which leaves no checkerboard as a transposed one would.
        for up, decode, skip in zip(self.ups, self.decode, reversed(skips), strict=True):
            coarse = up(F.leaky_relu(features, SLOPE))
            larger = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
            features = decode(larger + skip)
        # A change of the crop in -2..2 rather than a picture from nothing, and its share.
        output = F.pixel_shuffle(self.leave(F.leaky_relu(features, SLOPE)), _FOLD).float()
        picture = base + 2 * torch.tanh(output[:, :_PICTURE] / 2)
        share = torch.sigmoid(output[:, _PICTURE:] + _START_SHARE) * shape.gate
        return Drawn(picture, share)


class RegionHeads(nn.Module):
    """The heads of a generator: one for mouths, one for both eyes."""

    def __init__(self, mouth: RegionHead | None, eye: RegionHead | None) -> None:
        """Keep the heads.

        Args:
            mouth: None draws no mouths.
            eye: None draws no eyes; sees left ones mirrored.
        """
        super().__init__()
        heads = {"mouth": (mouth, (MOUTH,)), "eye": (eye, (RIGHT_EYE, LEFT_EYE))}
        self.heads = nn.ModuleDict({k: head for k, (head, _) in heads.items() if head})
        self.regions = {name: heads[name][1] for name in self.heads}

    def initialise(self) -> None:
        """See ``RegionHead.initialise``."""
        for name in self.regions:
            self.head(name).initialise()

    def head(self, name: str) -> RegionHead:
        """The head of mouths, "mouth", or of eyes, "eye"."""
        head = self.heads[name]
        assert isinstance(head, RegionHead)
        return head

    def source(self, image: Tensor, landmarks: Tensor) -> dict[str, Features]:
        """What is kept of a clip's source: picture B 3 S S and landmarks B 68 2."""
        picture, kept = _reduced(image), {}
        for name, regions in self.regions.items():
            _, crops, shapes = _cut(picture, landmarks, regions)
            features = self.head(name).source(crops, shapes.maps)
            kept[name] = tuple(level.unflatten(0, (-1, len(regions))) for level in features)
        return kept

    def forward(
        self,
        picture: Tensor,
        landmarks: Tensor,
        source: SourceRegions,
        known: Tensor,
        every: bool = True,
    ) -> Finished:
        """Draw all regions of frames, each as far as it is open otherwise than in the source.

        Args:
            picture: B 3 S S in [-1, 1].
            landmarks: B 68 2 of the frames.
            source: of ``source``, for the same clips.
            known: B 68 2, landmarks of the sources.
            every: also run heads that have nothing to draw; the picture is the same.
        """
        reduced = _reduced(picture)
        shares, before, after = {}, {}, {}
        changes = []
        for name, regions in self.regions.items():
            # What is open as in the source is left alone: its share would be 0.
            novel = torch.stack([novelty(region, landmarks, known) for region in regions], 1)
            if not every and not _fixed(novel) and not novel.any():
                continue
            # E regions of one head as one batch B E: region by region within a picture.
            alignments, crops, shapes = _cut(reduced, landmarks, regions)
            features = tuple(level.flatten(0, 1) for level in source[name])
            drawn: Drawn = self.head(name)(crops, shapes, features)
            drawn = Drawn(drawn.picture, drawn.share * novel.view(-1, 1, 1, 1))
            # Each region back to its own place; every E-th of the batch is one region's.
            change = drawn.change(crops)
            for index, (region, alignment) in enumerate(zip(regions, alignments, strict=True)):
                own = slice(index, None, len(regions))
                changes.append((change[own], alignment))
                shares[region.name] = drawn.share[own]
                before[region.name] = crops[own]
                after[region.name] = crops[own] + change[own]
        # The change is enlarged, not the crop: the picture keeps its own detail.
        return Finished(paste(picture, changes).clamp(-1, 1), shares, before, after)


def build_head(region: Region, widths: tuple[int, ...]) -> RegionHead | None:
    """The head of a region; None without widths."""
    return RegionHead(region.maps, widths) if widths else None


def _fixed(tensor: Tensor) -> bool:
    """Whether a step does the same whatever it is of, as CUDA graphs and compilers need it."""
    return tensor.is_cuda or torch.compiler.is_compiling()


def _reduced(picture: Tensor) -> Tensor:
    factor = picture.shape[-1] // NETWORK_SIDE
    return F.avg_pool2d(picture, factor) if factor > 1 else picture


def _cut(
    picture: Tensor, landmarks: Tensor, regions: Sequence[Region]
) -> tuple[list[Alignment], Tensor, Geometry]:
    """Where E regions lie, and their crops and geometry as one batch of B E, by picture."""
    alignments = [align(region, landmarks) for region in regions]
    places = list(zip(regions, alignments, strict=True))
    crops = [crop(picture, place, region.height, region.width) for region, place in places]
    points = [placed(region, landmarks, place) for region, place in places]
    shapes = geometry_of(regions[0], torch.stack(points, 1).flatten(0, 1))
    return alignments, torch.stack(crops, 1).flatten(0, 1), shapes
