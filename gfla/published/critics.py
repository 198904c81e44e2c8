"""Names in the published discriminators (``*_net_D.pth``, ``*_net_D_V.pth``)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from gfla.build import build_critic
from gfla.config import CriticConfig
from gfla.errors import GflaError
from gfla.models.discriminators import Critic
from gfla.published.files import without_prefix
from gfla.tensor_checks import check_tensors

_PARTS = {
    "bias": "bias",
    "parametrizations.weight.original": "weight_orig",
    "parametrizations.weight.0._u": "weight_u",
    "parametrizations.weight.0._v": "weight_v",
}
"""Ours and theirs: a spectrally normalised convolution and its running singular vectors."""


def infer_critic_config(state: Mapping[str, Tensor]) -> CriticConfig:
    """Read every width of a published discriminator off its tensors.

    Raises:
        GflaError: ``bad_checkpoint`` naming the tensor that is missing or misshapen.
    """
    inputs = _convolution_shape(state, "block0.model.1.weight_orig")[1]
    widths = [_convolution_shape(state, "block0.model.3.weight_orig")[0]]
    while (name := f"encoder{len(widths) - 1}.model.3.weight_orig") in state:
        widths.append(_convolution_shape(state, name)[0])
    return CriticConfig(inputs, tuple(widths))


def published_critic_name(key: str) -> str:
    """Under which name the published checkpoints hold one of our critic's tensors."""
    match = re.fullmatch(r"(?:downs\.(\d+)\.(body|shortcut)|head)\.(\d+)\.(.+)", key)
    if match and match[4] in _PARTS:
        if match[1] is None:
            return f"conv.{_PARTS[match[4]]}"
        # The published Downs: block0, encoder0, encoder1, ...
        block = f"encoder{int(match[1]) - 1}" if int(match[1]) else "block0"
        branch = "model" if match[2] == "body" else match[2]
        return f"{block}.{branch}.{match[3]}.{_PARTS[match[4]]}"
    raise GflaError("bad_checkpoint", f"{key} has no place in the published discriminator")


def critic_from_published(state: Mapping[str, Tensor]) -> Critic:
    """A critic with the weights of a published discriminator.

    Args:
        state: the file's state dict, with or without a ``module.`` prefix; widths are inferred.

    Returns:
        The loaded critic, in evaluation mode.

    Raises:
        GflaError: ``bad_checkpoint`` naming what is missing, left over or misshapen, or where
            only some names have the prefix.
    """
    state = without_prefix(state)
    critic = build_critic(infer_critic_config(state))
    names = {key: published_critic_name(key) for key in critic.state_dict()}
    check_tensors({names[key]: own.shape for key, own in critic.state_dict().items()}, state)
    critic.load_state_dict({key: state[name].float() for key, name in names.items()})
    return critic.eval()


def critic_to_published(critic: Critic) -> dict[str, Tensor]:
    """The critic's tensors under the published names; undoes ``critic_from_published``."""
    return {published_critic_name(key): tensor for key, tensor in critic.state_dict().items()}


def _convolution_shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise GflaError("bad_checkpoint", f"{name} is missing: not a published discriminator")
    shape = tuple(state[name].shape)
    if len(shape) != 4 or min(shape) < 1:
        raise GflaError("bad_checkpoint", f"{name} has shape {shape}; needs four dimensions")
    return shape
