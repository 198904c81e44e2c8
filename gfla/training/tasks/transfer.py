"""The task of pose transfer and view synthesis: one picture from another."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gfla.build import Generator
from gfla.models.rollout import Prediction
from gfla.models.transfer import REFERENCE, TransferGenerator
from gfla.ops.ranges import from_bytes
from gfla.training.tasks.base import (
    Batch,
    BatchOutcome,
    RenderingTask,
    exact,
    generator_of,
)
from gfla.training.tasks.critics import IMAGE, Critics, Move


class TransferTask(RenderingTask):
    """A batch holds ``source`` and ``target`` (uint8 B 3 H W), and a structure of each."""

    @property
    def network(self) -> TransferGenerator:
        """The generator."""
        assert isinstance(self.generator, TransferGenerator)
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
        """See ``TrainingTask``."""
        source, truth = from_bytes(batch["source"]), from_bytes(batch["target"])
        structures = batch["source_structure"], batch["target_structure"]
        looks, pictures = self.looks(), {REFERENCE: source}
        # Stage 1: flows alone.
        if self.config.stage == "flow":
            flows = self.network.estimate(source, *structures)
            return self.outcome(self.flow_terms(flows, pictures, truth, looks), [], {}, {})
        prediction = self.network(source, *structures)
        result = prediction.image
        # Pictures are compared at full precision; the networks may run in half.
        with exact(result):
            terms = self.pixel_terms(prediction, truth, truth, structures[1])
            terms |= self.roughness_term(prediction)
        terms |= self.flow_terms(prediction.flows, pictures, truth, looks)
        terms |= self.feature_terms(result, truth, looks, generator_of(seed))
        # The critics' say.
        if critics is None:
            return self.outcome(terms, [], {}, {})
        if move is not None:
            move({IMAGE: truth}, {IMAGE: result.detach()})
        terms["adversarial"] = critics.judge({IMAGE: result})
        return self.outcome(terms, [], {IMAGE: truth}, {IMAGE: result})

    def predict(self, generator: Generator, batch: Batch) -> tuple[Tensor, Tensor, Prediction]:
        """See ``RenderingTask``."""
        source = from_bytes(batch["source"])
        prediction = generator(source, batch["source_structure"], batch["target_structure"])
        return source, from_bytes(batch["target"]), prediction
