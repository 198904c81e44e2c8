"""The animation task: clips frame by frame, in blocks that gradients flow through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gfla.build import Generator
from gfla.losses.anchors import anchor_distance
from gfla.losses.expression import expressive_windows
from gfla.models.generators import AnimationGenerator
from gfla.models.rollout import Prediction, Reference, RolloutState
from gfla.ops.ranges import from_bytes
from gfla.training.tasks.base import (
    Batch,
    BatchOutcome,
    Looks,
    RenderingTask,
    exact,
    generator_of,
)
from gfla.training.tasks.critics import Critics, Move, shown_frames


class AnimationTask(RenderingTask):
    """A batch holds ``images`` (uint8 B (1 + T) 3 S S, the source first) and ``structures``.

    A landmark flow prior needs ``landmarks``, too; with ``masks`` (B T 1 S S, of the frames to
    render) correctness counts where they are 1.
    """

    @property
    def network(self) -> AnimationGenerator:
        """The generator."""
        assert isinstance(self.generator, AnimationGenerator)
        return self.generator

    def forward(
        self,
        batch: Batch,
        block: int,
        carried: list[Tensor],
        seed: Sequence[int],
        critics: Critics | None,
        move: Move | None = None,
    ) -> BatchOutcome:
        """See ``TrainingTask``. The frames before the block are ``carried``, newest first."""
        # Frame 0 is the source; blocks of frames to render follow.
        first = 1 + block * self.config.block
        frames = range(first, first + self.config.block)
        images, draw, looks = from_bytes(batch["images"]), generator_of(seed), self.looks()
        if self.config.stage == "flow":
            return self.outcome(self._flow_stage(batch, images, frames, looks), [], {}, {})
        # Render and judge frame by frame; each is a reference of the next.
        state = self._begin(batch, images, first, carried)
        sums: dict[str, Tensor] = {}
        rendered = []
        for t in frames:
            structure, landmarks = batch["structures"][:, t], _landmarks(batch, t)
            after, prediction = self.network.step(state, structure, landmarks)
            terms = self._frame_terms(prediction, images[:, t], structure, looks, draw)
            pictures = self._pictures(state, images, t)
            small, mask = self.reduced(images[:, t]), _mask(batch, t)
            terms |= self.flow_terms(prediction.flows, pictures, small, looks, mask)
            terms |= self._detail_term(prediction, images[:, t], landmarks, looks)
            terms |= self._anchor_term(prediction, landmarks)
            self._add(sums, terms)
            rendered.append(prediction.image)
            state = after
        # Newest first, for the block after this one.
        carried = [reference.image for reference in state.previous]
        if critics is None:
            return self.outcome(sums, carried, {}, {})
        # Critics see frames of this block only.
        result, truth = torch.stack(rendered, 1), images[:, first : first + len(frames)]
        rules = self.config.critics
        if move is not None:
            move(*shown_frames(truth, result.detach(), rules, draw))
        real, fake = shown_frames(truth, result, rules, draw)
        sums["adversarial"] = critics.judge(fake)
        return self.outcome(sums, carried, real, fake)

    def predict(self, generator: Generator, batch: Batch) -> tuple[Tensor, Tensor, Prediction]:
        """See ``RenderingTask``."""
        assert isinstance(generator, AnimationGenerator)
        images, structures = from_bytes(batch["images"]), batch["structures"]
        state = generator.start(images[:, 0], structures[:, 0], _landmarks(batch, 0))
        for t in range(1, images.shape[1]):
            state, prediction = generator.step(state, structures[:, t], _landmarks(batch, t))
        return images[:, 0], images[:, -1], prediction

    def _begin(
        self, batch: Batch, images: Tensor, first: int, carried: list[Tensor]
    ) -> RolloutState:
        """The state before frame ``first``: all references seen by the weights of now."""
        structures, start = batch["structures"], _landmarks(batch, 0)
        # The first block: the source stands in for the frames before.
        if not carried:
            return self.network.start(images[:, 0], structures[:, 0], start)
        source = self.network.reference("reference", images[:, 0], structures[:, 0], start)
        previous = []
        for age, image in enumerate(carried, 1):
            # Before the first frame there is the source again.
            t = max(0, first - age)
            previous.append(
                self.network.reference("previous", image, structures[:, t], _landmarks(batch, t))
            )
        return RolloutState(source, tuple(previous))

    def _frame_terms(
        self,
        prediction: Prediction,
        truth: Tensor,
        structure: Tensor,
        looks: Looks | None,
        draw: torch.Generator,
    ) -> dict[str, Tensor]:
        with exact(truth):
            terms = self.pixel_terms(prediction, truth, self.reduced(truth), structure)
            terms |= self.roughness_term(prediction)
        return terms | self.feature_terms(prediction.image, truth, looks, draw)

    def _add(self, sums: dict[str, Tensor], terms: dict[str, Tensor]) -> None:
        """Add the terms of a frame to those of its block, or its share of their mean."""
        share = 1 if self.config.block_sum else self.config.block
        for name, term in terms.items():
            sums[name] = sums.get(name, term.new_zeros(())) + term / share

    def _detail_term(
        self,
        prediction: Prediction,
        truth: Tensor,
        landmarks: Tensor | None,
        looks: Looks | None,
    ) -> dict[str, Tensor]:
        """Of the renderer's own picture around the eyes and the mouth."""
        if "detail" not in self.weights() or looks is None or landmarks is None:
            return {}
        ours, theirs = (
            expressive_windows(picture, landmarks, self.config.features.detail)
            for picture in (prediction.rendered, self.reduced(truth))
        )
        # Windows around eyes and mouth have features of their own; the truth's need no graph.
        with torch.no_grad():
            wanted = looks(theirs)
        seen = looks(ours)
        with exact(truth):
            return {"detail": self.distance(seen, wanted)}

    def _anchor_term(self, prediction: Prediction, landmarks: Tensor | None) -> dict[str, Tensor]:
        """Of the estimated part of the flows at the landmarks."""
        if "anchor" not in self.weights() or landmarks is None:
            return {}
        with exact(landmarks):
            distances = [anchor_distance(f, landmarks) for f in prediction.residuals.values()]
        return {"anchor": torch.stack(distances).mean()}

    def _pictures(self, state: RolloutState, images: Tensor, t: int) -> dict[str, Tensor]:
        """What the references of frame ``t`` show, by name, to whom judges the flows to them."""
        if self.config.true_previous:
            previous = [
                self.reduced(images[:, max(0, t - age)])
                for age in range(1, len(state.previous) + 1)
            ]
        else:
            previous = [reference.small for reference in state.previous]
        names = self.network.config.references
        return dict(zip(names, (*previous, state.source.small), strict=True))

    def _flow_stage(
        self, batch: Batch, images: Tensor, frames: range, looks: Looks | None
    ) -> dict[str, Tensor]:
        """Terms of the flows alone; the frames before are the real ones, as none is rendered."""
        sums: dict[str, Tensor] = {}
        ages = range(1, self.network.config.previous_frames + 1)
        seen = {t: self.reduced(images[:, t]) for t in range(images.shape[1])}

        def real(t: int) -> Reference:
            structure, landmarks = batch["structures"][:, t], _landmarks(batch, t)
            return Reference(images[:, t], seen[t], structure, landmarks, {})

        for t in frames:
            state = RolloutState(real(0), tuple(real(max(0, t - age)) for age in ages))
            structure, landmarks = batch["structures"][:, t], _landmarks(batch, t)
            flows = self.network.estimate(state, structure, landmarks)
            pictures, mask = self._pictures(state, images, t), _mask(batch, t)
            self._add(sums, self.flow_terms(flows, pictures, seen[t], looks, mask))
        return sums


def _landmarks(batch: Mapping[str, Tensor], t: int) -> Tensor | None:
    return batch["landmarks"][:, t] if "landmarks" in batch else None


def _mask(batch: Mapping[str, Tensor], t: int) -> Tensor | None:
    """Of frame ``t``; the source, frame 0, has none."""
    return batch["masks"][:, t - 1] if "masks" in batch else None
