"""Face models as jobs use them: the networks, and the engine that steps their clips."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from animator.animation.engine import Engine, fitting_slots
from animator.animation.portrait import PortraitGenerator
from animator.settings import Settings
from animator.weights.loading import load_model
from gfla.models.generators import AnimationGenerator


class PortraitModel:
    """A loaded face model with its engine, so that one that is unloaded takes both along.

    Attributes:
        generator: the networks.
    """

    def __init__(self, generator: PortraitGenerator) -> None:
        self.generator = generator
        self._making = threading.Lock()
        self._engine: Engine | None = None

    @property
    def network(self) -> AnimationGenerator:
        """The networks alone."""
        return self.generator.network

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights' file."""
        return self.generator.sha256

    def engine(self, slots: int | None = None) -> Engine:
        """The engine that steps all clips of this model.

        Args:
            slots: most clips that it steps at the same moment, None for as many as fit the device;
                of effect when it is first asked for.
        """
        with self._making:
            if self._engine is None:
                most = fitting_slots(self.generator.device) if slots is None else slots
                self._engine = Engine(self.generator, most)
            return self._engine


def load_portrait(weights: str, device: str, precision: str, settings: Settings) -> PortraitModel:
    """The face model for a job; see `animator.weights.loading.load_model`.

    Raises:
        AnimatorError: weights_wrong_kind, and those of `load_model`.
    """
    return load_model(_opened, weights, device, precision, settings)


def _opened(weights: Path, device: torch.device, precision: str) -> PortraitModel:
    return PortraitModel(PortraitGenerator(weights, device, precision))
