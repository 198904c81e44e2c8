"""Measure region heads alone on region packs: the error that they leave inside lips and lids.

    python scripts/measure_heads.py regions/held-out --weights mine=runs/heads/average.safetensors \
        --groups groups.csv

In a minute, where `animator evaluate` takes an hour: no generator runs; heads draw over the source
along the landmark spline, as in training, and the L1 inside the opening is divided by that of the
spline alone. r and slope are those of the brightness that a head adds there against the one that it
should. Of each clip some pairs are drawn by a seed. Groups are a CSV with the columns identity and
group. Intervals (95 %) are drawn over people.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from gfla import checkpoint
from gfla.data.packs import read_pack
from gfla.data.region_packs import FEWEST_OF_CLIP
from gfla.data.region_pairs import STILL, RegionPairs
from gfla.errors import GflaError
from gfla.evaluation.regions import luminance
from gfla.evaluation.stats import bootstrap
from gfla.models.generators import AnimationGenerator
from gfla.models.regions import RegionHead, RegionHeads
from gfla.training.tasks.regions import Crops, crops_of, draw

LEAST = {"mouth": 12.0, "eye": 1.0}
"""Pixels that an opening has at least to count."""
THIRDS = ("least open third", "middle third", "most open third")


@dataclass(frozen=True)
class Pair:
    """What was measured on a pair.

    Attributes:
        identity: who is seen.
        ours: L1 inside the opening of the result.
        spline: of the spline alone.
        added: luminance that the head adds inside, -1 to 1.
        wanted: that it should add.
        area: pixels of the opening.
    """

    identity: str
    ours: float
    spline: float
    added: float
    wanted: float
    area: float


def main() -> None:
    """Read, draw, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packs", type=Path, help="a split of region packs")
    parser.add_argument("--weights", action="append", required=True, metavar="[LABEL=]FILE")
    parser.add_argument("--groups", type=Path, help="CSV with columns identity and group")
    parser.add_argument("--pairs", type=int, default=12, help="of each clip (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error(f"--pairs is {options.pairs}; allowed is 1 and more")
    try:
        groups = read_groups(options.groups)
        for text in options.weights:
            label, _, file = text.rpartition("=")
            heads, ridge = heads_of(Path(file))
            for kind in heads.regions:
                work = measured(
                    options.packs, heads.head(kind), kind, ridge, options.pairs, options.seed
                )
                pairs = list(work)
                print(f"\n{label or file}, {kind}\n\n" + markdown(pairs, groups))
    except (GflaError, OSError, ValueError) as error:
        sys.exit(f"measure_heads: {error}")


def read_groups(path: Path | None) -> dict[str, set[str]]:
    """Identities by group."""
    groups: dict[str, set[str]] = {}
    if path is not None:
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                if set(line) != {"identity", "group"}:
                    raise ValueError(f"{path}: the columns must be identity and group")
                groups.setdefault(line["group"], set()).add(line["identity"])
    return groups


def heads_of(path: Path) -> tuple[RegionHeads, float]:
    """The heads of a model, and the ridge of its landmark spline.

    Raises:
        ValueError: it has none.
    """
    network = checkpoint.load(path).generator
    if not isinstance(network, AnimationGenerator) or network.regions is None:
        raise ValueError(f"{path} has no region heads")
    return network.regions.eval(), network.config.prior_ridge


@torch.inference_mode()
def measured(
    folder: Path, head: RegionHead, kind: str, ridge: float, count: int, seed: int
) -> Iterator[Pair]:
    """Pairs of every clip of a folder.

    Raises:
        ValueError: there are no clips.
    """
    packs = [read_pack(path) for path in sorted(folder.glob("*.npz"))]
    clips = [pack for pack in packs if len(pack) >= FEWEST_OF_CLIP]
    if not clips:
        raise ValueError(f"there are no clips in {folder}")
    for clip in clips:
        drawn = RegionPairs(
            [clip], frames=1, augmentation=STILL, still_share=0, closed_share=0, seed=seed
        )
        crops = crops_of(default_collate([drawn[n] for n in range(count)]), kind, ridge)
        result, _ = draw(head, crops)
        yield from _pairs(str(clip.meta.get("identity")), crops, result, LEAST[kind])


def _pairs(identity: str, crops: Crops, result: Tensor, least: float) -> Iterator[Pair]:
    opening = crops.shape.opening
    area = opening.sum((1, 2, 3))

    def inside(values: Tensor) -> list[float]:
        found: list[float] = ((values * opening).sum((1, 2, 3)) / area.clamp(min=1)).tolist()
        return found

    errors = [inside((shown - crops.truth).abs().mean(1, True)) for shown in (result, crops.base)]
    tones = luminance(torch.stack([crops.base, result, crops.truth], 1)).split(1, 1)
    changes = [inside(tone - tones[0]) for tone in tones[1:]]
    for pair in zip(*errors, *changes, area.tolist(), strict=True):
        if pair[-1] >= least:
            yield Pair(identity, *pair)


def markdown(pairs: Sequence[Pair], groups: Mapping[str, set[str]]) -> str:
    """Rows for all pairs, for thirds by how far the target is open, and for groups."""
    ends = np.quantile([pair.area for pair in pairs], (1 / 3, 2 / 3))
    chosen = {"all": list(pairs)}
    for third, name in enumerate(THIRDS):
        chosen[name] = [pair for pair in pairs if np.searchsorted(ends, pair.area) == third]
    for name, people in groups.items():
        chosen[name] = [pair for pair in pairs if pair.identity in people]
    lines = ["| | people | pairs | L1 inside / spline's | r | slope |", "|---|---|---|---|---|---|"]
    lines += [row(name, found) for name, found in chosen.items() if found]
    return "\n".join(lines)


def row(name: str, pairs: Sequence[Pair]) -> str:
    """A line of the table."""
    people = [pair.identity for pair in pairs]
    ratio = bootstrap(
        [pair.ours for pair in pairs], people, divisors=[pair.spline for pair in pairs]
    )
    interval = "" if ratio.low is None else f" [{ratio.low:.2f}, {ratio.high:.2f}]"
    added, wanted = (np.array([getattr(p, side) for p in pairs]) for side in ("added", "wanted"))
    tones = ["–", "–"]
    if len(pairs) > 2 and added.std() > 0 and wanted.std() > 0:
        tones = [
            f"{np.corrcoef(wanted, added)[0, 1]:.2f}",
            f"{np.polyfit(wanted, added, 1)[0]:.2f}",
        ]
    cells = [name, str(len(set(people))), str(len(pairs)), f"{ratio.value:.2f}{interval}", *tones]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
