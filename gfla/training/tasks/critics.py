"""The critics of a run, and both sides of their game."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gfla.build import build_critic
from gfla.config import CriticConfig
from gfla.losses.adversarial import critic_loss, generator_loss, gradient_penalty
from gfla.training.config import TEMPORAL_FRAMES, CriticsConfig

IMAGE, TEMPORAL = "image", "temporal"


class Critics(nn.Module):
    """Critics by name, of what each of them is shown.

    Its forward pass is their own side of the game; ``judge`` is the generator's.
    """

    def __init__(self, critics: Mapping[str, nn.Module], config: CriticsConfig) -> None:
        """Keep the critics, and the rules of the game."""
        super().__init__()
        self.kind = config.kind
        self.gradient_penalty = config.gradient_penalty
        self.critics = nn.ModuleDict(dict(critics))

    def forward(self, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each critic minimises: scalars "critic_image" and, for R1, "penalty_image"."""
        losses = {}
        for name, critic in self.critics.items():
            # Together, so that spectral normalisation moves once a step.
            logits = critic(torch.cat([real[name], fake[name]]))
            with torch.autocast(logits.device.type, enabled=False):
                ours, theirs = logits.float().chunk(2)
                losses[f"critic_{name}"] = critic_loss(ours, theirs, self.kind)
            if self.gradient_penalty > 0:
                steepness = gradient_penalty(critic, real[name])
                losses[f"penalty_{name}"] = self.gradient_penalty * steepness
        return losses

    def judge(self, fake: Mapping[str, Tensor]) -> Tensor:
        """What the generator minimises, summed over critics; nothing of them changes."""
        with self._frozen():
            # Gradients flow through the critics to the pictures, not into the critics' weights.
            logits = [critic(fake[name]).float() for name, critic in self.critics.items()]
        return torch.stack([generator_loss(each, self.kind) for each in logits]).sum()

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        """No gradients to the critics, and no step of their spectral normalisation."""
        training = self.training
        self.eval().requires_grad_(False)
        try:
            yield
        finally:
            self.train(training).requires_grad_(True)


def picture_critics(config: CriticsConfig) -> dict[str, nn.Module]:
    """A critic of pictures, and one of frame differences for clips; untrained."""
    inputs = {IMAGE: 3, TEMPORAL: 3 * (TEMPORAL_FRAMES - 1)}
    widths = {IMAGE: config.image, TEMPORAL: config.temporal}
    return {
        name: build_critic(CriticConfig(inputs[name], widths[name], config.spectral_norm))
        for name in (IMAGE, TEMPORAL)
        if widths[name]
    }
