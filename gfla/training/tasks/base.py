"""The base of all tasks: the outcome of a batch, and the terms that need no rollout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gfla.build import Generator
from gfla.losses.correctness import CORRECTNESS_LAYERS, SamplingCorrectness, warped_distance
from gfla.losses.expression import expression_weights
from gfla.losses.perceptual import feature_distance, perceptual_loss, style_loss
from gfla.losses.reconstruction import reconstruction_loss
from gfla.losses.regularity import AffineRegularity, roughness
from gfla.models.rollout import Prediction
from gfla.pictures import to_picture, warped_picture
from gfla.training.config import TrainingConfig
from gfla.training.tasks.critics import Critics, Move

Batch = Mapping[str, Tensor]


class BatchOutcome(TypedDict):
    """What a generator made of a batch. A dict, as DDP looks for tensors in dicts."""

    loss: Tensor
    """Weighted sum of the terms, with the graph."""
    terms: dict[str, Tensor]
    """The terms themselves, unweighted, cut from the graph."""
    carried: list[Tensor]
    """What the next block of the same clips begins with, cut from the graph."""
    real: dict[str, Tensor]
    """For the critics, by their names."""
    fake: dict[str, Tensor]
    """Likewise, cut from the graph."""


class Looks:
    """Features of pictures, each computed once while this object lives."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._known: dict[int, tuple[Tensor, dict[str, Tensor]]] = {}

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """Of B 3 H W; with a graph if the picture has one."""
        if id(picture) not in self._known:  # the picture is kept, so its id stays its own
            self._known[id(picture)] = picture, self._network(picture)
        return self._known[id(picture)][1]


class TrainingTask(nn.Module, ABC):
    """A generator with its losses. Its forward pass is one step's: batch in, loss out."""

    def __init__(
        self, config: TrainingConfig, generator: Generator, features: nn.Module | None
    ) -> None:
        """Put it together; a stage that trains one part alone freezes all others.

        Args:
            config: of the run.
            generator: to train.
            features: a ``VggFeatures`` with the layers of ``feature_layers``; None where those
                are none.
        """
        super().__init__()
        self.config = config
        self.generator = generator
        self.features = features
        self.correctness = SamplingCorrectness()
        self.regularity = AffineRegularity(dict(config.model.attention))
        # A stage's own part; frozen parts get no gradients and are not in the optimizer.
        alone = {"flow": "flow_estimator", "regions": "regions"}.get(config.stage)
        if alone is not None:
            generator.requires_grad_(False)
            generator.get_submodule(alone).requires_grad_(True)

    @abstractmethod
    def forward(
        self,
        batch: Batch,
        block: int,
        carried: list[Tensor],
        seed: Sequence[int],
        critics: Critics | None,
        move: Move | None = None,
    ) -> BatchOutcome:
        """Render a block of a batch and judge it.

        Args:
            batch: as ``gfla.data.samples`` says, with a batch dimension.
            block: which block of the clips, counted from 0; pairs have one.
            carried: of the block before; empty for the first.
            seed: of everything drawn: windows and frames; processes that share a step share it.
            critics: None where there are none yet.
            move: a step of the critics, made before they judge; None where they step later.
        """

    @abstractmethod
    def sheet(self, generator: Generator, batch: Batch) -> NDArray[np.uint8]:
        """A picture of every sample, as a generator makes it, beside the truth."""

    def weights(self) -> dict[str, float]:
        """The weight of every term that counts."""
        losses = self.config.losses
        # Stage 1 has weights of its own.
        if self.config.stage == "flow":
            found = {"correctness": losses.flow_correctness, "regularity": losses.flow_regularity}
        else:
            names = (
                "reconstruction", "adversarial", "perceptual", "style", "correctness",
                "regularity", "rendered", "warped", "roughness", "feature_distance", "detail",
                "tone", "spread", "rim", "flicker", "anchor",
            )  # fmt: skip
            found = {name: getattr(losses, name) for name in names}
        return {name: weight for name, weight in found.items() if weight > 0}

    def pixel_terms(
        self, prediction: Prediction, truth: Tensor, small: Tensor, structure: Tensor
    ) -> dict[str, Tensor]:
        """Terms of the pictures themselves; ``small`` is the truth as the networks see it."""
        wanted = self.weights()
        terms = {
            "reconstruction": reconstruction_loss(
                prediction.image, truth, self._expression(structure, truth)
            )
        }
        if "rendered" in wanted:
            terms["rendered"] = reconstruction_loss(
                prediction.rendered, small, self._expression(structure, small)
            )
        return {name: term for name, term in terms.items() if name in wanted}

    def flow_terms(
        self,
        flows: Mapping[tuple[int, str], Tensor],
        pictures: Mapping[str, Tensor],
        small: Tensor,
        looks: Looks | None,
        mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Terms of the flows.

        Args:
            flows: by (layer, reference).
            pictures: the references as the networks see them.
            small: the truth likewise.
            looks: features.
            mask: B 1 H W in 0..1, where correctness counts; None for everywhere.
        """
        wanted, terms = self.weights(), {}
        if not flows:
            return {}
        # Equations 2 and 3; the references' features need no graph.
        if "correctness" in wanted and looks is not None:
            with torch.no_grad():
                seen = {name: looks(picture) for name, picture in pictures.items()}
            terms["correctness"] = self.correctness(flows, seen, looks(small), mask)
        # Equations 4 to 6.
        if "regularity" in wanted:
            terms["regularity"] = self.regularity(flows)
        # The references themselves, moved: the flow alone is judged, so they carry no graph.
        if "warped" in wanted:
            warped = [
                warped_distance(pictures[name].detach(), small, flow)
                for (_, name), flow in flows.items()
            ]
            terms["warped"] = torch.stack(warped).mean()
        return terms

    def roughness_term(self, prediction: Prediction) -> dict[str, Tensor]:
        """Of the estimated part of the flows."""
        if "roughness" not in self.weights() or not prediction.residuals:
            return {}
        return {
            "roughness": torch.stack([roughness(f) for f in prediction.residuals.values()]).mean()
        }

    def feature_terms(
        self, result: Tensor, truth: Tensor, looks: Looks | None, draw: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of features of the pictures, or of a random window of them."""
        wanted = self.weights()
        if looks is None or wanted.keys().isdisjoint({"perceptual", "style", "feature_distance"}):
            return {}
        layers = self.config.features
        # The same window of both.
        ours, theirs = (looks(picture) for picture in window(result, truth, layers.crop, draw))
        terms = {}
        with exact(result):
            if "perceptual" in wanted:
                terms["perceptual"] = perceptual_loss(ours, theirs, layers.perceptual)
            if "style" in wanted:
                terms["style"] = style_loss(ours, theirs, layers.style)
            if "feature_distance" in wanted:
                terms["feature_distance"] = self.distance(ours, theirs)
        return terms

    def distance(self, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Tensor:
        """Feature distance in the layers that the run names."""
        layers = self.config.features.distance
        return feature_distance(*({name: each[name] for name in layers} for each in (ours, theirs)))

    def outcome(
        self,
        terms: dict[str, Tensor],
        carried: list[Tensor],
        real: dict[str, Tensor],
        fake: dict[str, Tensor],
    ) -> BatchOutcome:
        """Weigh the terms and cut what shall not carry a graph."""
        weights = self.weights()
        return BatchOutcome(
            loss=torch.stack([weights[name] * term for name, term in terms.items()]).sum(),
            terms={name: term.detach() for name, term in terms.items()},
            carried=[picture.detach() for picture in carried],
            real=real,
            fake={name: picture.detach() for name, picture in fake.items()},
        )

    def looks(self) -> Looks | None:
        """New memory for one batch's features."""
        return None if self.features is None else Looks(self.features)

    def reduced(self, picture: Tensor) -> Tensor:
        """The picture at the size that the networks see."""
        scale = self.config.data.image_size[0] // self.config.data.seen_size[0]
        return picture if scale == 1 else F.avg_pool2d(picture, scale)

    def _expression(self, structure: Tensor, picture: Tensor) -> Tensor | None:
        weight = self.config.losses.expression
        if weight == 1:
            return None
        height, width = picture.shape[-2:]
        return expression_weights(structure, (height, width), weight)


class RenderingTask(TrainingTask):
    """A task whose generator renders whole pictures."""

    @abstractmethod
    def predict(self, generator: Generator, batch: Batch) -> tuple[Tensor, Tensor, Prediction]:
        """Source pictures, truth, and what a generator renders (the last frame of clips)."""

    def sheet(self, generator: Generator, batch: Batch) -> NDArray[np.uint8]:
        """Source, truth, result, and source along the finest flow, of every sample."""
        with torch.no_grad():
            source, truth, prediction = self.predict(generator, batch)
        flows = [flow for (_, name), flow in prediction.flows.items() if name == "reference"]
        # Of all layers' flows to the source the one with most pixels.
        finest = max(flows, key=lambda flow: flow.shape[-1], default=None)
        rows = []
        for index in range(len(source)):
            shown = [to_picture(p[index]) for p in (source, truth, prediction.image)]
            if finest is not None:
                shown.append(warped_picture(source[index], finest[index]))
            rows.append(np.hstack(shown))
        # Two columns of samples; an odd one out is padded with black.
        half = (len(rows) + 1) // 2
        rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
        return np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])


def feature_layers(config: TrainingConfig) -> tuple[str, ...]:
    """The layers of the feature network that a run needs; none if it needs no features."""
    losses, features = config.losses, config.features
    whole = config.stage != "flow"
    # Correctness needs the layer of each flow's size; the other terms name their layers.
    layers: list[str] = []
    if losses.correctness > 0 if whole else losses.flow_correctness > 0:
        layers += [CORRECTNESS_LAYERS[layer] for layer, _ in config.model.attention]
    for weight, names in (
        (losses.perceptual, features.perceptual),
        (losses.style, features.style),
        (losses.feature_distance + losses.detail, features.distance),
    ):
        layers += names if weight > 0 and whole else ()
    return tuple(dict.fromkeys(layers))


def exact(tensor: Tensor) -> Any:
    """A context without autocast: losses are summed at full precision."""
    return torch.autocast(tensor.device.type, enabled=False)


def generator_of(seed: Sequence[int]) -> torch.Generator:
    """Randomness that depends on these numbers alone."""
    # 63 bits: PyTorch's seeds are signed.
    number = np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(number) >> 1)


def window(ours: Tensor, truth: Tensor, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """The same random window of both, more often near the middle; all of it for size 0."""
    height, width = ours.shape[-2:]
    if size == 0 or size >= min(height, width):
        return ours, truth
    # Means of two draws: what matters is in the middle, so windows there are likelier.
    share = torch.rand(2, 2, generator=draw).mean(0)
    top, left = round(float(share[0]) * (height - size)), round(float(share[1]) * (width - size))
    place = (..., slice(top, top + size), slice(left, left + size))
    return ours[place], truth[place]
