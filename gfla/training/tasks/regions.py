"""The region heads' task: crops of mouths and eyes, over a landmark warp of the source alone.

What a generator makes of a frame lies near the source warped by the landmark spline, so heads that
are trained over that serve the generator as well, and no generator runs in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gfla.build import Generator, build_critic
from gfla.config import AnimationConfig, CriticConfig
from gfla.data.region_packs import stored_alignment
from gfla.losses.openings import rim, spread, tone
from gfla.models.discriminators import GatedCritic
from gfla.models.generators import AnimationGenerator
from gfla.models.regions import Drawn, RegionHead
from gfla.ops.ranges import from_bytes
from gfla.ops.regions import (
    MOUTH,
    RIGHT_EYE,
    Alignment,
    Geometry,
    Region,
    align,
    geometry,
    grid_of,
    look_up,
)
from gfla.ops.spline import landmark_moves
from gfla.pictures import to_picture
from gfla.training.config import TrainingConfig
from gfla.training.tasks.base import Batch, BatchOutcome, TrainingTask, exact, generator_of
from gfla.training.tasks.critics import Critics, Move

_REGIONS = {"mouth": MOUTH, "eye": RIGHT_EYE}
_NEAR, _INSIDE = 2.0, 4.0
"""How much more a pixel counts that may be drawn, and one inside the opening."""
_SEEN = 4
"""One in so many crops is seen by the feature network, which takes longer than a head."""
_ENLARGED = 2


@dataclass(frozen=True)
class Crops:
    """Crops of one kind of region; B counts targets, T of each source one after another.

    Attributes:
        region: of the crops.
        source: B 3 h w in [-1, 1].
        base: B 3 h w, the source along the landmark spline.
        truth: B 3 h w.
        known: geometry of the source.
        shape: geometry of the target.
    """

    region: Region
    source: Tensor
    base: Tensor
    truth: Tensor
    known: Geometry
    shape: Geometry


class RegionsTask(TrainingTask):
    """A batch is of ``gfla.data.region_pairs.RegionPairs``."""

    def __init__(
        self, config: TrainingConfig, generator: Generator, features: nn.Module | None
    ) -> None:
        """See ``TrainingTask``."""
        super().__init__(config, generator, features)
        for module in (generator.get_submodule("regions"), features):
            if module is not None:  # a fifth less time on a CPU
                module.to(memory_format=torch.channels_last)

    def forward(
        self,
        batch: Batch,
        block: int,
        carried: list[Tensor],
        seed: Sequence[int],
        critics: Critics | None,
        move: Move | None = None,
    ) -> BatchOutcome:
        """See ``TrainingTask``. Terms are means over the kinds of regions; critics add up."""
        sums: dict[str, Tensor] = {}
        real: dict[str, Tensor] = {}
        fake: dict[str, Tensor] = {}
        drawn = {kind: crops_of(batch, kind, self._ridge) for kind in self._heads(self.generator)}
        # Each kind by itself; the loss is their mean, the metrics have each.
        for kind, crops in drawn.items():
            result, made = draw(self._heads(self.generator)[kind], crops)
            terms = self._terms(result, made, crops, generator_of(seed))
            for name, term in terms.items():
                sums[name] = sums.get(name, term.new_zeros(())) + term / len(drawn)
                sums[f"{kind}_{name}"] = term.detach()
            if critics is not None:
                real[kind], fake[kind] = (_shown(p, crops.shape) for p in (crops.truth, result))
        if move is not None:
            move(real, {kind: shown.detach() for kind, shown in fake.items()})
        if critics is not None:
            sums["adversarial"] = critics.judge(fake)
        # Terms without a weight of their own are shown, not minimised.
        named = self.weights()
        outcome = self.outcome({k: v for k, v in sums.items() if k in named}, [], real, fake)
        outcome["terms"] |= {k: v for k, v in sums.items() if k not in named}
        return outcome

    def sheet(self, generator: Generator, batch: Batch) -> NDArray[np.uint8]:
        """Source, warped source, result and truth of every pair; mouths left, eyes right."""
        columns = []
        for kind, head in self._heads(generator).items():
            with torch.no_grad():
                crops = crops_of(batch, kind, self._ridge)
                result, _ = draw(head, crops)
            # One row a pair, enlarged so that a person sees what there is.
            shown = torch.cat([crops.source, crops.base, result, crops.truth], 3)
            rows = np.vstack([to_picture(row) for row in shown])
            columns.append(rows.repeat(_ENLARGED, 0).repeat(_ENLARGED, 1))
        height = max(len(column) for column in columns)
        padded = [np.pad(c, ((0, height - len(c)), (0, 0), (0, 0))) for c in columns]
        return np.hstack(padded)

    def _terms(
        self, result: Tensor, drawn: Drawn, crops: Crops, random: torch.Generator
    ) -> dict[str, Tensor]:
        wanted, gate, opening = self.weights(), crops.shape.gate, crops.shape.opening
        terms = {}
        with exact(result):
            error = result - crops.truth
            # L1, most where it matters: of the result, and of the head's own picture.
            weight = 1 + _NEAR * gate + _INSIDE * opening
            terms["reconstruction"] = (weight * error.abs()).mean() / weight.mean()
            own = (gate * (drawn.picture - crops.truth).abs()).mean() / gate.mean().clamp(min=1e-3)
            terms["rendered"] = own
            # Brightness of openings, tone of the skin around, steadiness.
            if "tone" in wanted:
                terms["tone"] = tone(error, opening)
            if "spread" in wanted:
                terms["spread"] = spread(result - crops.base, crops.truth - crops.base, opening)
            if "rim" in wanted:
                terms["rim"] = rim(result - crops.base, gate)
            if "flicker" in wanted and self.config.frames > 1:
                successive = (gate * error).unflatten(0, (-1, self.config.frames))
                terms["flicker"] = successive.diff(dim=1).abs().mean() / gate.mean().clamp(min=1e-3)
        if "feature_distance" in wanted and self.features is not None:
            # A quarter of the crops, rounded up.
            some = torch.randperm(len(result), generator=random)[: -(-len(result) // _SEEN)]
            with torch.no_grad():
                theirs = self.features(crops.truth[some])
            terms["feature_distance"] = self.distance(self.features(result[some]), theirs)
        return terms

    @property
    def _ridge(self) -> float:
        model = self.generator
        assert isinstance(model, AnimationGenerator)
        return model.config.prior_ridge

    @staticmethod
    def _heads(generator: Generator) -> Mapping[str, RegionHead]:
        assert isinstance(generator, AnimationGenerator) and generator.regions is not None
        regions = generator.regions
        return {kind: regions.head(kind) for kind in regions.regions}


def region_critics(config: TrainingConfig) -> dict[str, nn.Module]:
    """A critic for each kind of region that is drawn, untrained; see ``GatedCritic``."""
    model, rules = config.model, config.critics
    assert isinstance(model, AnimationConfig)
    widths = {"mouth": model.mouth_head, "eye": model.eye_head}
    return {
        kind: GatedCritic(
            build_critic(CriticConfig(3 + region.maps, rules.image, rules.spectral_norm))
        )
        for kind, region in _REGIONS.items()
        if widths[kind]
    }


def draw(head: RegionHead, crops: Crops) -> tuple[Tensor, Drawn]:
    """What a head makes of crops: the result B 3 h w, and what it drew."""
    drawn: Drawn = head(crops.base, crops.shape, head.source(crops.source, crops.known.maps))
    return crops.base + drawn.change(crops.base), drawn


def _shown(picture: Tensor, shape: Geometry) -> Tensor:
    """What a ``GatedCritic`` sees of crops B 3 h w."""
    return torch.cat([picture, shape.maps, shape.gate], 1)


def crops_of(batch: Batch, kind: str, ridge: float) -> Crops:
    """The crops that the networks see of a batch's pairs."""
    region = _REGIONS[kind]
    # Batch and pairs as one dimension: right and left eyes are alike from here on.
    values = {
        name: batch[f"{kind}_{name}"].flatten(0, 1)
        for name in ("source", "targets", "stored", "landmarks", "placed")
    }
    frames = values["targets"].shape[1]

    def split(name: str) -> tuple[Tensor, Tensor]:
        """The source's, once for each of its targets, and the targets'."""
        source = values[name][:, :1].expand(-1, frames, *values[name].shape[2:])
        return source.flatten(0, 1), values[name][:, 1:].flatten(0, 1)

    (stored_source, stored_target), (known, wanted) = split("stored"), split("landmarks")
    moved_source, moved_target = split("placed")
    # Tiles as stored, and where they lay; crops as the networks see them, moved a little.
    tile = from_bytes(values["source"]).repeat_interleave(frames, 0)
    targets = from_bytes(values["targets"]).flatten(0, 1)
    from_alignment = align(region, known).moved(moved_source)
    to_alignment = align(region, wanted).moved(moved_target)
    kept = stored_alignment(region, stored_source)
    source_places = from_alignment.outwards(_fine(region, known))
    target_places = to_alignment.outwards(_fine(region, known))
    # As coarse as a generator's prior, which is at half of its picture's size.
    coarse = (region.height // 2, region.width // 2)
    moves = landmark_moves(
        wanted, known[:, None], to_alignment.outwards(grid_of(*coarse, known)), ridge
    )
    # From half the crop's size to the fine grid's twofold one.
    maps = moves[:, 0].transpose(1, 2).unflatten(2, coarse)
    moved = F.interpolate(maps, scale_factor=4, mode="bilinear", align_corners=False)
    # The base is the source's tile, looked up where the spline leads from the target's places.
    return Crops(
        region,
        _seen(tile, kept, source_places, region),
        _seen(tile, kept, target_places + moved.flatten(2).transpose(1, 2), region),
        _seen(targets, stored_alignment(region, stored_target), target_places, region),
        geometry(region, known, from_alignment),
        geometry(region, wanted, to_alignment),
    )


def _fine(region: Region, like: Tensor) -> Tensor:
    """Places of four samples a pixel: tiles are finer than the crops."""
    return grid_of(2 * region.height, 2 * region.width, like)


def _seen(tiles: Tensor, kept: Alignment, places: Tensor, region: Region) -> Tensor:
    found = look_up(tiles, kept.inwards(places), 2 * region.height, 2 * region.width)
    # Four samples a pixel, averaged: no aliasing of the finer tile.
    return F.avg_pool2d(found, 2)
