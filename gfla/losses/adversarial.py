"""Generator against critic (paper, equation 12; the published models use least squares)."""

from __future__ import annotations

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from gfla.errors import GflaError

Kind = Literal["least-squares", "hinge", "non-saturating"]


def generator_loss(fake_logits: Tensor, kind: Kind = "least-squares") -> Tensor:
    """What a generator minimises so that its pictures look real to the critic.

    Args:
        fake_logits: the critic's, of rendered pictures; any shape, larger is more real.
        kind: ``least-squares`` wants 1, ``hinge`` wants large ones, ``non-saturating`` the
            logistic form of equation 12 whose gradient does not vanish for a sure critic.

    Returns:
        A scalar, mean over logits.

    Raises:
        GflaError: ``invalid_config`` for an unknown kind.
    """
    _check(kind)
    if kind == "least-squares":
        return (fake_logits - 1).square().mean()
    return -fake_logits.mean() if kind == "hinge" else F.softplus(-fake_logits).mean()


def critic_loss(real_logits: Tensor, fake_logits: Tensor, kind: Kind = "least-squares") -> Tensor:
    """What the critic minimises to tell real from rendered: mean of its two terms.

    Args:
        real_logits: of real pictures, any shape.
        fake_logits: of rendered ones that are cut from the generator's graph.
        kind: as for ``generator_loss``; ``least-squares`` wants 1 and 0, ``hinge`` beyond 1 and -1.

    Returns:
        A scalar.

    Raises:
        GflaError: ``invalid_config`` for an unknown kind.
    """
    _check(kind)
    if kind == "least-squares":
        real, fake = (real_logits - 1).square(), fake_logits.square()
    elif kind == "hinge":
        real, fake = F.relu(1 - real_logits), F.relu(1 + fake_logits)
    else:
        real, fake = F.softplus(-real_logits), F.softplus(fake_logits)
    return (real.mean() + fake.mean()) / 2


class AdversarialLoss(nn.Module):
    """Both sides of one kind of game; holds the kind only."""

    def __init__(self, kind: Kind = "least-squares") -> None:
        """Keep the kind.

        Raises:
            GflaError: ``invalid_config`` for an unknown one.
        """
        super().__init__()
        _check(kind)
        self.kind: Kind = kind

    def forward(self, fake_logits: Tensor) -> Tensor:
        """See ``generator_loss``."""
        return generator_loss(fake_logits, self.kind)

    def critic(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """See ``critic_loss``."""
        return critic_loss(real_logits, fake_logits, self.kind)


def _check(kind: str) -> None:
    if kind not in get_args(Kind):
        message = f"kind is {kind!r}; allowed: {', '.join(get_args(Kind))}"
        raise GflaError("invalid_config", message)
