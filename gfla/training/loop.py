"""The training loop: explicit arguments in, a run folder out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gfla import checkpoint
from gfla.errors import GflaError
from gfla.losses.features import VggFeatures
from gfla.models.generators import AnimationGenerator
from gfla.training.config import FaceTrainingConfig
from gfla.training.steps import rollout_losses, to_unit, weighted_sum

LOG_EVERY = 20
SAMPLE_EVERY = 250


class Trainer:
    """What a run's checkpoints keep: weights, averages, optimizer, step count, randomness."""

    def __init__(
        self, generator: AnimationGenerator, config: FaceTrainingConfig, folder: Path
    ) -> None:
        self.generator = generator
        self.config = config
        self.folder = folder
        self.average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
        self.optimizer = torch.optim.Adam(
            generator.parameters(), lr=config.learning_rate, betas=(0.5, 0.999)
        )
        self.step = 0
        self.random = torch.Generator().manual_seed(config.seed)

    @property
    def averaged(self) -> AnimationGenerator:
        """The generator with averaged weights: the one that is shown and shipped."""
        module = self.average.module
        assert isinstance(module, AnimationGenerator)
        return module

    def learning_rate(self) -> float:
        """Of the step to come: a linear rise, then half a cosine down to a twentieth."""
        config = self.config
        rise = min(1.0, (self.step + 1) / config.warmup_steps)
        progress = min(1.0, self.step / config.steps)
        decay = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress))
        return config.learning_rate * rise * decay

    def update(self, features: VggFeatures, block: Mapping[str, Tensor]) -> dict[str, float]:
        """One optimizer step; returns the terms of the loss.

        Raises:
            GflaError: ``diverged`` if the loss is not finite; weights are left as they were.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        terms, _ = rollout_losses(self.generator, features, block, self.config, self.random)
        loss = weighted_sum(terms, self.config)
        values = {name: float(value.detach()) for name, value in terms.items()}
        if not math.isfinite(float(loss.detach())):
            raise GflaError("diverged", f"the loss of step {self.step} is not finite: {values}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            self.generator.parameters(), self.config.gradient_clip, error_if_nonfinite=False
        )
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.generator)
        self.step += 1
        return values | {"gradient_norm": float(norm), "loss": float(loss.detach())}

    def save(self) -> None:
        """Write the run's state, and the averaged weights as a checkpoint of their own."""
        state = {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "random": self.random.get_state(),
        }
        partial = self.folder / "state.pt.part"
        torch.save(state, partial)
        partial.rename(self.folder / "state.pt")
        info = {"step": self.step, "structure_size": self.config.structure_size}
        checkpoint.save(self.folder / "average.safetensors", self.averaged, info)

    def resume(self) -> bool:
        """Continue from the folder's state, if it has one."""
        path = self.folder / "state.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.random.set_state(state["random"])
        return True


def train(
    trainer: Trainer,
    features: VggFeatures,
    blocks: Iterable[Mapping[str, Tensor]],
    samples: Sequence[Mapping[str, Tensor]],
    *,
    max_minutes: float | None = None,
    save_minutes: float = 5.0,
) -> None:
    """Train until the run's last step or the time limit; either way ends with a checkpoint.

    Args:
        trainer: what is trained; its folder gets ``metrics.jsonl``, ``samples/`` and checkpoints.
        features: of the perceptual loss.
        blocks: batches for ``rollout_losses``, endless.
        samples: batches that sample sheets are drawn of, never trained on.
        max_minutes: time limit of this call.
        save_minutes: between checkpoints.
    """
    (trainer.folder / "samples").mkdir(parents=True, exist_ok=True)
    started = saved = time.monotonic()
    batches: Iterator[Mapping[str, Tensor]] = iter(blocks)
    sums: dict[str, float] = {}
    with (trainer.folder / "metrics.jsonl").open("a", buffering=1) as log:
        while trainer.step < trainer.config.steps:
            values = trainer.update(features, next(batches))
            sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
            now = time.monotonic()
            if trainer.step % LOG_EVERY == 0:
                means = {name: total / LOG_EVERY for name, total in sums.items()}
                log.write(json.dumps(_log_line(trainer, means, now - started)) + "\n")
                sums = {}
            if trainer.step % SAMPLE_EVERY == 0:
                draw_samples(trainer, samples)
            if now - saved > 60 * save_minutes:
                trainer.save()
                saved = now
            if max_minutes is not None and now - started > 60 * max_minutes:
                break
    trainer.save()
    draw_samples(trainer, samples)


def draw_samples(trainer: Trainer, samples: Sequence[Mapping[str, Tensor]]) -> None:
    """Write a sheet of source, truth and result of every sample clip's last frame."""
    rows = []
    generator = trainer.averaged.eval()
    for block in samples:
        with torch.no_grad():
            images, landmarks = to_unit(block["images"]), block["landmarks"]
            state = generator.start(images[:, 0], block["structures"][:, 0], landmarks[:, 0])
            for t in range(1, images.shape[1]):
                state, prediction = generator.step(
                    state, block["structures"][:, t], landmarks[:, t]
                )
        for index in range(len(images)):
            shown = [images[index, 0], images[index, -1], prediction.image[index]]
            rows.append(np.hstack([_to_picture(picture) for picture in shown]))
    if rows:
        half = (len(rows) + 1) // 2
        rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
        sheet = np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])
        cv2.imwrite(str(trainer.folder / "samples" / f"{trainer.step:06d}.png"), sheet[..., ::-1])


def _log_line(trainer: Trainer, means: Mapping[str, float], seconds: float) -> dict[str, Any]:
    rounded = {name: float(f"{value:.5g}") for name, value in means.items()}
    rate = trainer.learning_rate()
    return {"step": trainer.step, "seconds": round(seconds, 1), "learning_rate": rate} | rounded


def _to_picture(image: Tensor) -> np.ndarray[Any, Any]:
    return ((image + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
