"""The state of a run between two steps, and its way to disk and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gfla import checkpoint
from gfla.build import Generator, build_generator, initialise
from gfla.errors import GflaError
from gfla.files import replacing
from gfla.losses.features import VggFeatures
from gfla.training.config import TrainingConfig
from gfla.training.config_files import config_from
from gfla.training.tasks.base import feature_layers
from gfla.training.tasks.build import TrainingTask, build_critics, build_task

FORMAT = "gfla-run-1"
STATE, AVERAGE = "state.pt", "average.safetensors"


class Run:
    """Weights, averages, optimizers, counters and randomness.

    Attributes:
        config: of the run.
        step_size: pairs or clips of a step, of all processes together.
        task: the generator with its losses.
        average: of the generator's weights: what is shown and shipped.
        critics: None without an adversarial loss.
        optimizer: of the generator.
        critic_optimizer: None without critics.
        step: steps made.
        position: samples used, of all processes together; where the data goes on.
        failed: samples that could not be used.
        sums: of the metrics since the last line of them.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        devices: int = 1,
        fresh: bool = True,
        drawn_features: bool = False,
    ) -> None:
        """Begin a run: with ``start_from``'s weights if there are any, else random ones.

        Args:
            config: of the run.
            devices: processes that share a step.
            fresh: false for a run that gets a state next, which needs no weights to begin with.
            drawn_features: whether the features are random, for a run that only is measured.

        Raises:
            GflaError: ``bad_checkpoint`` for those weights, or what ``VggFeatures`` raises.
        """
        # Weights to begin with; what is drawn here is the same in every process.
        torch.manual_seed(config.seed)
        self.config = config
        self.step_size = config.batch * config.accumulate * devices
        generator = build_generator(config.model)
        initialise(generator, config.initial_gain)
        if fresh and config.start_from is not None:
            _start_from(generator, Path(config.start_from))
        # Judges: critics, and the features of a pretrained network.
        self.critics = build_critics(config) if config.has_critics else None
        layers, wanted = feature_layers(config), config.features
        features = None
        if layers:
            features = VggFeatures(
                layers, wanted.network, wanted.path, wanted.normalise, drawn=drawn_features
            )
        # What is trained, and its mean over time.
        self.task: TrainingTask = build_task(config, generator, features)
        self.average = AveragedModel(generator, multi_avg_fn=_averaging(config.ema))
        self.average.requires_grad_(False).eval()
        # Optimizers; after the task, which froze what its stage leaves alone.
        self.optimizer = _adam(self.task, config, 1.0)
        self.critic_optimizer = (
            None
            if self.critics is None
            else _adam(self.critics, config, config.optimizer.critic_ratio)
        )
        # Counters.
        self.step = 0
        self.position = 0
        self.failed = 0
        self.sums: dict[str, float] = {}

    @property
    def generator(self) -> Generator:
        """What is trained."""
        return self.task.generator

    @property
    def averaged(self) -> Generator:
        """The generator with averaged weights."""
        module = self.average.module
        assert isinstance(module, Generator)
        return module

    def learning_rate(self) -> float:
        """The generator's, in the step to come."""
        return learning_rate(self.config, self.step)

    def set_rates(self) -> None:
        """Give the optimizers the learning rates of the step to come."""
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.critic_optimizer is not None:
            for group in self.critic_optimizer.param_groups:
                group["lr"] = rate * self.config.optimizer.critic_ratio

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and text only, so that reading it executes nothing."""
        return {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "step_size": self.step_size,
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "critics": None if self.critics is None else self.critics.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "critic_optimizer": (
                None if self.critic_optimizer is None else self.critic_optimizer.state_dict()
            ),
            "step": self.step,
            "position": self.position,
            "failed": self.failed,
            "sums": self.sums,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        # Weights, then the optimizers' means of them.
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.critics is not None and self.critic_optimizer is not None:
            self.critics.load_state_dict(state["critics"])
            self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.step, self.position = state["step"], state["position"]
        self.failed, self.sums = state["failed"], dict(state["sums"])
        # Randomness of devices only where there are as many of them as before.
        torch.set_rng_state(state["random"])
        if len(state["random_cuda"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all(state["random_cuda"])

    def save(self, folder: Path, info: dict[str, Any]) -> None:
        """Write the state, and the averaged weights as a checkpoint of their own.

        Each file is replaced as a whole: a machine that stops here leaves the old one.

        Raises:
            GflaError: ``disk_full``, ``not_writable``.
        """
        with replacing(folder / STATE) as partial, partial.open("wb") as file:
            torch.save(self.state_dict(), file)
        with replacing(folder / AVERAGE) as partial:
            checkpoint.save(partial, self.averaged, info | {"step": self.step})


def read_state(folder: Path) -> tuple[TrainingConfig, dict[str, Any]] | None:
    """The configuration and state of a run folder; None if it holds no run.

    Raises:
        GflaError: ``bad_checkpoint`` if its file is damaged or none of this trainer's.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways
        raise GflaError("bad_checkpoint", f"cannot read {path}: {error}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise GflaError(
            "bad_checkpoint",
            f"{path} is no state of this trainer; train into another folder, with "
            f"start_from={folder / AVERAGE} to take its weights",
        )
    return config_from(state["config"]), state


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Of the step after ``step`` others: a linear rise, then the schedule."""
    optimizer = config.optimizer
    # The first step has a rate above 0.
    rise = min(1.0, (step + 1) / max(1, optimizer.warmup_steps))
    decay = 1.0
    if optimizer.schedule == "cosine":
        progress = min(1.0, step / config.steps)
        half = 0.5 * (1 + math.cos(math.pi * progress))
        decay = optimizer.floor + (1 - optimizer.floor) * half
    return optimizer.learning_rate * rise * decay


def _adam(module: nn.Module, config: TrainingConfig, ratio: float) -> torch.optim.Adam:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    rate = config.optimizer.learning_rate * ratio
    return torch.optim.Adam(trained, lr=rate, betas=config.optimizer.betas)


def _start_from(generator: Generator, path: Path) -> None:
    """Take a file's weights; region heads that it lacks stay as they are."""
    loaded = checkpoint.load(path).generator
    ours, theirs = generator.state_dict(), loaded.state_dict()
    # Every tensor must fit, but heads may be added to a model that was trained without.
    lacking = [n for n in ours if n not in theirs and not n.startswith("regions.")]
    strange = [n for n, t in theirs.items() if n not in ours or ours[n].shape != t.shape]
    if lacking or strange:
        raise GflaError(
            "bad_checkpoint",
            f"the weights of {path} are of another model: {loaded.config}, not {generator.config}",
        )
    generator.load_state_dict(ours | theirs)


def _averaging(decay: float) -> Callable[..., None]:
    """Exponential means that forget faster at first, so that a short run's are not of its begin."""

    @torch.no_grad()
    def average(means: list[Tensor], latest: list[Tensor], count: Tensor | int) -> None:
        steps = int(count)
        # The mean reaches back about a ninth of the steps made, until ``decay`` is reached.
        share = 1 - min(decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(means, latest, share)

    return average
