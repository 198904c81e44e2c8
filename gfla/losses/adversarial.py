"""Losses of generator and critic (paper, equation 12; the published models use least squares)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.errors import check_choice
from gfla.ops.warp import at_least_float32

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
    check_choice("kind", kind, get_args(Kind))
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
    check_choice("kind", kind, get_args(Kind))
    if kind == "least-squares":
        real, fake = (real_logits - 1).square(), fake_logits.square()
    elif kind == "hinge":
        real, fake = F.relu(1 - real_logits), F.relu(1 + fake_logits)
    else:
        real, fake = F.softplus(-real_logits), F.softplus(fake_logits)
    return (real.mean() + fake.mean()) / 2


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """How steep a critic is at real pictures: R1 (Mescheder et al. 2018, equation 9).

    Args:
        critic: what it says of a picture depends on that one alone, and is summed up.
        real: B C H W, what it sees of real pictures.

    Returns:
        A scalar: half the squared norm of a picture's gradient, mean over pictures. Its own
        gradients go to the critic.
    """
    real = at_least_float32(real.detach()).requires_grad_(True)
    with torch.autocast(real.device.type, enabled=False):  # its gradients are those of gradients
        (slope,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean() / 2
