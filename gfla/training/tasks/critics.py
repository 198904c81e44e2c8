"""The critics of a run, and both sides of their game."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gfla.build import build_critic
from gfla.config import CriticConfig
from gfla.losses.adversarial import critic_loss, generator_loss
from gfla.training.config import TEMPORAL_FRAMES, CriticsConfig

IMAGE, TEMPORAL = "image", "temporal"


class Critics(nn.Module):
    """A critic of pictures, and one of frame differences for clips.

    Its forward pass is their own side of the game; ``judge`` is the generator's.
    """

    def __init__(self, config: CriticsConfig) -> None:
        """Build them, untrained."""
        super().__init__()
        self.kind = config.kind
        critics: dict[str, nn.Module] = {IMAGE: build_critic(CriticConfig(3, config.image))}
        if config.temporal:
            inputs = 3 * (TEMPORAL_FRAMES - 1)
            critics[TEMPORAL] = build_critic(CriticConfig(inputs, config.temporal))
        self.critics = nn.ModuleDict(critics)

    def forward(self, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each critic minimises: scalars named "critic_image", "critic_temporal"."""
        losses = {}
        for name, critic in self.critics.items():
            # Together, so that spectral normalisation moves once a step.
            logits = critic(torch.cat([real[name], fake[name]]))
            with torch.autocast(logits.device.type, enabled=False):
                ours, theirs = logits.float().chunk(2)
                losses[f"critic_{name}"] = critic_loss(ours, theirs, self.kind)
        return losses

    def judge(self, fake: Mapping[str, Tensor]) -> Tensor:
        """What the generator minimises, summed over critics; nothing of them changes."""
        with self._frozen():
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
