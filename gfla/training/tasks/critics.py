"""The critics of a run, and both sides of their game."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gfla.build import build_clip_critic, build_critic
from gfla.config import CriticConfig
from gfla.losses.adversarial import critic_loss, generator_loss, gradient_penalty
from gfla.models.discriminators import frame_differences
from gfla.training.config import CriticsConfig

IMAGE, TEMPORAL = "image", "temporal"
Move = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], None]
"""A step of the critics, which are shown real and rendered pictures by their names."""


class Critics(nn.Module):
    """Critics by name, of what each of them is shown.

    Its forward pass is their own side of the game; ``judge`` is the generator's. Where they move
    first, as published, spectral normalisation moves with every look: at real pictures, at rendered
    ones, and when the generator is judged. Otherwise it moves once a step.
    """

    def __init__(self, critics: Mapping[str, nn.Module], config: CriticsConfig) -> None:
        """Keep the critics, and the rules of the game."""
        super().__init__()
        self.kind = config.kind
        self.gradient_penalty = config.gradient_penalty
        self.first = config.first
        self.critics = nn.ModuleDict(dict(critics))

    def forward(self, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each critic minimises: scalars "critic_image" and, for R1, "penalty_image"."""
        losses = {}
        for name, critic in self.critics.items():
            # Together, spectral normalisation moves once.
            if self.first:
                ours, theirs = critic(real[name]), critic(fake[name])
            else:
                ours, theirs = critic(torch.cat([real[name], fake[name]])).chunk(2)
            with torch.autocast(ours.device.type, enabled=False):
                ours, theirs = ours.float(), theirs.float()
                losses[f"critic_{name}"] = critic_loss(ours, theirs, self.kind)
            if self.gradient_penalty > 0:
                steepness = gradient_penalty(critic, real[name])
                losses[f"penalty_{name}"] = self.gradient_penalty * steepness
        return losses

    def judge(self, fake: Mapping[str, Tensor]) -> Tensor:
        """What the generator minimises, summed over critics, whose weights do not change."""
        with self._frozen():
            # Gradients flow through the critics to the pictures, not into the critics' weights.
            logits = [critic(fake[name]).float() for name, critic in self.critics.items()]
        return torch.stack([generator_loss(each, self.kind) for each in logits]).sum()

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        """No gradients to the critics, and no step of their normalisation unless they are first."""
        training = self.training
        self.train(self.first and training).requires_grad_(False)
        try:
            yield
        finally:
            self.train(training).requires_grad_(True)


def picture_critics(config: CriticsConfig) -> dict[str, nn.Module]:
    """A critic of pictures, and one of neighbouring frames for clips; untrained."""
    critics: dict[str, nn.Module] = {
        IMAGE: build_critic(CriticConfig(3, config.image, config.spectral_norm))
    }
    frames, widths = config.temporal_frames, config.temporal
    if widths and config.temporal_kind == "clip":
        critics[TEMPORAL] = build_clip_critic(frames, widths, config.spectral_norm)
    elif widths:
        differences = CriticConfig(3 * (frames - 1), widths, config.spectral_norm)
        critics[TEMPORAL] = build_critic(differences)
    return critics


def shown_frames(
    truth: Tensor, result: Tensor, config: CriticsConfig, draw: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A random frame for the critic of pictures, and a random window for the temporal one.

    Args:
        truth: B T 3 H W, a block of frames.
        result: the same frames, rendered.
        config: of the critics.
        draw: decides where; real and rendered frames are the same ones.
    """
    frames = truth.shape[1]
    at = int(torch.randint(frames, (), generator=draw))
    real, fake = {IMAGE: truth[:, at]}, {IMAGE: result[:, at]}
    if config.temporal:
        # Anywhere in the block where so many neighbours fit.
        length = config.temporal_frames
        begin = int(torch.randint(frames - length + 1, (), generator=draw))
        look = frame_differences if config.temporal_kind == "differences" else Tensor.clone
        for shown, block in ((real, truth), (fake, result)):
            shown[TEMPORAL] = look(block[:, begin : begin + length])
    return real, fake
