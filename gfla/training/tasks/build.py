"""Builders of a run's task and of its critics."""

from __future__ import annotations

from torch import nn

from gfla.build import INITIAL_GAIN, Generator, initialise
from gfla.models.generators import AnimationGenerator
from gfla.training.config import TrainingConfig
from gfla.training.tasks.animation import AnimationTask
from gfla.training.tasks.base import TrainingTask
from gfla.training.tasks.critics import Critics, picture_critics
from gfla.training.tasks.regions import RegionsTask, region_critics
from gfla.training.tasks.transfer import TransferTask


def build_task(
    config: TrainingConfig, generator: Generator, features: nn.Module | None = None
) -> TrainingTask:
    """The task of a generator; ``features`` as for ``gfla.training.tasks.base.TrainingTask``."""
    if config.stage == "regions":
        return RegionsTask(config, generator, features)
    if isinstance(generator, AnimationGenerator):
        return AnimationTask(config, generator, features)
    return TransferTask(config, generator, features)


def build_critics(config: TrainingConfig) -> Critics:
    """The critics of a run, untrained."""
    regions = config.stage == "regions"
    critics = Critics(
        region_critics(config) if regions else picture_critics(config.critics), config.critics
    )
    # Spectral norm takes the gain away again; without it, the published one would mute a critic.
    initialise(critics, INITIAL_GAIN if config.critics.spectral_norm else 1.0)
    return critics
