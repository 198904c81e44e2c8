"""Measurement of pose transfer and view synthesis: one picture rendered from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as TypingProtocol

import torch
from torch import Tensor

from gfla.arrays import Picture
from gfla.config import PoseTransferConfig
from gfla.evaluation.files import (
    as_batch,
    as_picture,
    encoded,
    read_picture,
    resized,
    stored,
    suffix,
)
from gfla.evaluation.inception import (
    InceptionFeatures,
    KidOptions,
    SetDistances,
    SeveralDistances,
    TorchvisionFeatures,
)
from gfla.evaluation.metrics import MetricFiles, PictureMetric, picture_metric
from gfla.evaluation.pairs import EvaluationPairs
from gfla.evaluation.protocol import SETS, Protocol
from gfla.evaluation.report import SampleFigures, Table
from gfla.evaluation.stats import Figure, bootstrap
from gfla.files import write_bytes
from gfla.models.transfer import TransferGenerator
from gfla.ops.ranges import from_bytes, to_bytes

COPY = "copy of the source"
Announce = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many pictures are; may raise to stop."""


class PoseRenderer(TypingProtocol):
    """What renders a batch of pairs: uint8 B 3 H W."""

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The pictures."""
        ...


@dataclass(eq=False)
class Measures:
    """The metrics of a protocol, loaded.

    Attributes:
        pictures: of pairs of pictures, by name.
        sets: of sets of pictures, if any is wanted.
        networks: SHA-256 of what they are made of, by metric.
    """

    pictures: dict[str, PictureMetric]
    sets: SetDistances | SeveralDistances | None
    networks: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(
        cls, protocol: Protocol, files: MetricFiles, device: torch.device | str = "cpu"
    ) -> Measures:
        """Load them onto a device.

        Raises:
            GflaError: for a network that cannot be had.
        """
        names = [name for name in protocol.metrics if name not in SETS]
        pictures = {name: picture_metric(name, files, device) for name in names}
        networks = {name: metric.sha256 for name, metric in pictures.items() if metric.sha256}
        # Sets, by the one network, the other or both; each is only loaded where it is asked for.
        wanted = [name for name in SETS if name in protocol.metrics]
        sets: dict[str, SetDistances] = {}
        if {"fid", "kid"} & set(wanted):
            options = protocol.sets
            features = InceptionFeatures(files.inception, options.inception_resize).to(device)
            kid = KidOptions(options.kid_subsets, options.kid_size) if "kid" in wanted else None
            sets[""] = SetDistances(features, fid="fid" in wanted, kid=kid, seed=protocol.seed)
            networks |= {name: features.sha256 for name in ("fid", "kid") if name in wanted}
        if "fid-torchvision" in wanted:
            published = TorchvisionFeatures(files.torchvision).to(device)
            sets["-torchvision"] = SetDistances(published)
            networks["fid-torchvision"] = published.sha256
        return cls(pictures, SeveralDistances(sets) if sets else None, networks)


def copy_renderer(batch: Mapping[str, Tensor]) -> Tensor:
    """The baseline: the source picture as it is."""
    return batch["source"]


def model_renderer(
    generator: TransferGenerator,
    device: torch.device,
    bfloat16: bool = False,
    truncated: bool = False,
) -> PoseRenderer:
    """A network as a renderer, in float32 or by autocast in bfloat16; bytes as ``to_bytes``."""

    @torch.inference_mode()
    def render(batch: Mapping[str, Tensor]) -> Tensor:
        structures = (batch[name].to(device) for name in ("source_structure", "target_structure"))
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            image = generator(from_bytes(batch["source"].to(device)), *structures).image
        return to_bytes(image, truncated).cpu()

    return render


def model_properties(generator: TransferGenerator) -> dict[str, str]:
    """What table 2 says of a model beside its figures."""
    count = sum(weights.numel() for weights in generator.parameters())
    cells = {"parameters": f"{count / 1e6:.3g} M"}
    if isinstance(generator.config, PoseTransferConfig):
        sampling = generator.config.sampling
        cells["flow-based"] = "Y" if sampling in ("local", "bilinear") else "N"
        cells["content-aware sampling"] = {"local": "Y", "bilinear": "N"}.get(sampling, "-")
    return cells


def add_reference(
    measures: Measures,
    pairs: EvaluationPairs,
    protocol: Protocol,
    report: Announce,
    batch: int = 16,
) -> None:
    """Take the real pictures into the set metrics, once for all rows."""
    if measures.sets is None:
        return
    if protocol.sets.reference == "targets":
        done = 0
        for places, samples in pairs.batches(batch):
            measures.sets.add(samples["target"], real=True)
            report("real pictures", done := done + len(places), len(pairs))
        return
    files = pairs.reference
    for first in range(0, len(files), batch):
        pictures = [
            resized(read_picture(path), protocol.pictures) for path in files[first:][:batch]
        ]
        measures.sets.add(as_batch(pictures), real=True)
        report("real pictures", min(first + batch, len(files)), len(files))


def measure_row(
    name: str,
    render: PoseRenderer,
    pairs: EvaluationPairs,
    measures: Measures,
    protocol: Protocol,
    report: Announce,
    save: Path | None = None,
    batch: int = 8,
) -> tuple[list[SampleFigures], dict[str, float]]:
    """Measure one method on all pairs.

    Args:
        name: of the row.
        render: the method.
        pairs: to render.
        measures: loaded metrics; the real pictures are in the sets already.
        protocol: that is followed.
        report: of pictures.
        save: folder for the rendered pictures, in the protocol's file format.
        batch: pictures at once.

    Returns:
        Figures of each pair, and those of the whole set.
    """
    samples: list[SampleFigures] = []
    # The real pictures stay: they are the same for every row.
    if measures.sets is not None:
        measures.sets.forget_generated()
    for places, truth in pairs.batches(batch):
        # Rendered, and stored as the protocol says: what a file format loses counts.
        pictures = [as_picture(picture) for picture in render(truth)]
        if save is not None:
            _save(save, places, pictures, pairs, protocol)
        results = as_batch([stored(picture, protocol.pictures) for picture in pictures])
        # Measured pair by pair, and taken into the set.
        figures = _picture_figures(results, truth, measures)
        if measures.sets is not None:
            measures.sets.add(results, real=False)
        samples += [
            SampleFigures(
                name,
                pairs.names[place],
                pairs.identities[place],
                {metric: float(values[row]) for metric, values in figures.items()},
            )
            for row, place in enumerate(places)
        ]
        report(name, places[-1] + 1, len(pairs))
    return samples, {} if measures.sets is None else measures.sets.compute()


def pairs_table(
    title: str,
    rows: Mapping[str, tuple[Sequence[SampleFigures], Mapping[str, float]]],
    properties: Mapping[str, Mapping[str, str]],
    protocol: Protocol,
) -> Table:
    """The table of rows as ``measure_row`` gives them."""
    figures: dict[str, dict[str, Figure]] = {}
    for name, (samples, of_set) in rows.items():
        people = [sample.identity for sample in samples]
        count = len(set(people))
        figures[name] = {
            metric: Figure(of_set[metric], None, None, len(samples), count)
            if metric in of_set
            else bootstrap(
                [sample.figures[metric] for sample in samples],
                people,
                level=protocol.confidence.level,
                resamples=protocol.confidence.resamples,
                seed=protocol.seed,
            )
            for metric in protocol.metrics
        }
    samples = [sample for found, _ in rows.values() for sample in found]
    return Table(title, protocol.metrics, figures, properties, samples)


def _picture_figures(
    results: Tensor, truth: Mapping[str, Tensor], measures: Measures
) -> dict[str, Tensor]:
    ours, target, mask = from_bytes(results), from_bytes(truth["target"]), truth.get("mask")
    with torch.inference_mode():
        return {
            name: metric.distance(ours, target, mask) for name, metric in measures.pictures.items()
        }


def _save(
    folder: Path,
    places: Sequence[int],
    pictures: Sequence[Picture],
    pairs: EvaluationPairs,
    protocol: Protocol,
) -> None:
    for place, picture in zip(places, pictures, strict=True):
        stems = (Path(part).stem for part in pairs.names[place].split(" -> "))
        file = folder / f"{place:05d}_{'__'.join(stems)}{suffix(protocol.pictures)}"
        write_bytes(file, encoded(picture, protocol.pictures))
