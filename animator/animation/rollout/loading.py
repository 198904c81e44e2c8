"""Models as jobs use them: the networks, and the engine that steps their clips."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.engine import Engine, fitting_slots
from animator.animation.rollout.generator import Network, RolloutGenerator
from animator.settings import Settings
from animator.weights.library import describe_file, require_face
from animator.weights.loading import load_model
from animator.weights.subjects import kind_of


class Model:
    """A loaded model with its engine, so that one that is unloaded takes both along.

    Attributes:
        generator: the networks.
    """

    def __init__(self, generator: RolloutGenerator) -> None:
        self.generator = generator
        self._making = threading.Lock()
        self._engine: Engine | None = None

    @property
    def network(self) -> Network:
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


class PortraitModel(Model):
    """A loaded face model."""

    generator: PortraitGenerator


def load_animating(weights: str, device: str, precision: str, settings: Settings) -> Model:
    """The model for a job, whatever it animates; see `animator.weights.loading.load_model`.

    Raises:
        AnimatorError: weights_wrong_kind, and those of `load_model`.
    """
    return load_model(_opened, weights, device, precision, settings)


def load_portrait(weights: str, device: str, precision: str, settings: Settings) -> PortraitModel:
    """As `load_animating`, of a face model.

    Raises:
        AnimatorError: weights_wrong_kind for another one, and those of `load_model`.
    """
    model = load_model(_opened, weights, device, precision, settings)
    if not isinstance(model, PortraitModel):
        require_face(model.network.config, weights)
        raise AssertionError
    return model


def _opened(weights: Path, device: torch.device, precision: str) -> Model:
    kind = kind_of(describe_file(weights).config)
    if kind == "face":
        return PortraitModel(PortraitGenerator(weights, device, precision))
    # Most processes animate faces alone.
    if kind == "person":
        from animator.animation.persons.generator import PersonGenerator

        return Model(PersonGenerator(weights, device, precision))
    from animator.animation.objects.generator import ObjectGenerator

    return Model(ObjectGenerator(weights, device, precision))
