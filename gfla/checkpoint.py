"""Checkpoints that describe themselves: safetensors with the configuration inside.

Loading is strict: a file that lacks a tensor, or holds one too many, is refused by name, and no
network ever runs on weights that nobody trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gfla.build import Generator, build_generator
from gfla.config import (
    AnimationConfig,
    GeneratorConfig,
    PoseTransferConfig,
    ViewSynthesisConfig,
)
from gfla.errors import GflaError
from gfla.published.generators import infer_config, published_names

FORMAT = "gfla-1"
KINDS: dict[str, type[GeneratorConfig]] = {
    config.kind: config for config in (AnimationConfig, PoseTransferConfig, ViewSynthesisConfig)
}


@dataclass(frozen=True)
class Checkpoint:
    """A loaded generator and what its file says of it.

    Attributes:
        generator: in evaluation mode, float32.
        info: free JSON values, such as name, steps and the size it was trained at.
    """

    generator: Generator
    info: dict[str, Any]


def save(
    path: str | Path,
    generator: Generator,
    info: Mapping[str, Any],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write weights with their configuration; ``dtype`` is that of the stored tensors."""
    tensors = {
        k: v.detach().to("cpu", dtype).contiguous() for k, v in generator.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "kind": generator.config.kind,
        "config": json.dumps(generator.config.to_dict()),
        "info": json.dumps(dict(info)),
    }
    save_file(tensors, str(path), metadata)


def load(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Read what ``save`` wrote.

    Raises:
        GflaError: ``bad_checkpoint`` if the file is missing, is no safetensors file of this format,
            or its tensors are not exactly those that its configuration asks for.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise GflaError("bad_checkpoint", f"cannot read weights from {path}: {error}") from error
    kind = KINDS.get(metadata.get("kind", ""))
    if metadata.get("format") != FORMAT or kind is None:
        raise GflaError("bad_checkpoint", f"{path} does not describe itself as {FORMAT} weights")
    try:
        config = kind.from_dict(json.loads(metadata["config"]))
        info = json.loads(metadata.get("info", "{}"))
    except (KeyError, ValueError, AttributeError) as error:
        raise GflaError("bad_checkpoint", f"{path} has broken metadata: {error}") from error
    generator = build_generator(config)
    _load_strictly(generator, tensors)
    return Checkpoint(generator.to(device).eval(), info)


def read_published(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a published ``*_net_G.pth``; nothing in the file is ever executed.

    Raises:
        GflaError: ``bad_checkpoint`` if the file is missing, broken, or holds anything but named
            tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise GflaError("bad_checkpoint", f"cannot read {path}: {error}") from error
    except Exception as error:  # whatever a hostile or broken file makes the reader raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"{path} holds no tensors that can be read safely: {reason}"
        raise GflaError("bad_checkpoint", message) from error
    if not isinstance(state, dict) or not state:
        raise GflaError("bad_checkpoint", f"{path} holds no named tensors")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            message = f"{path} holds {name!r}, a {type(value).__name__}; needs tensors by name"
            raise GflaError("bad_checkpoint", message)
    return state


def from_published(state: Mapping[str, Tensor]) -> Generator:
    """A generator with the weights of a published ``*_net_G.pth``.

    Args:
        state: the file's state dict, with or without a ``module.`` prefix; every width is inferred.

    Returns:
        The loaded generator, in evaluation mode.

    Raises:
        GflaError: ``bad_checkpoint`` naming what is missing, left over or misshapen.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    config = infer_config(state)
    generator = build_generator(config)
    names = {key: published_names(key, config) for key in generator.state_dict()}
    expected = {name for group in names.values() for name in group}
    _refuse_difference(expected, set(state))
    for key, group in names.items():
        if any(not torch.equal(state[group[0]], state[name]) for name in group[1:]):
            raise GflaError(
                "bad_checkpoint", f"{' and '.join(group)} differ, but are one layer ({key})"
            )
    _load_strictly(generator, {key: state[group[0]].float() for key, group in names.items()})
    return generator.eval()


def to_published(generator: Generator) -> dict[str, Tensor]:
    """The generator's weights under the published names; undoes ``from_published``."""
    return {
        name: tensor
        for key, tensor in generator.state_dict().items()
        for name in published_names(key, generator.config)
    }


def _load_strictly(generator: Generator, tensors: Mapping[str, Tensor]) -> None:
    own = generator.state_dict()
    _refuse_difference(set(own), set(tensors))
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            got, wanted = tuple(tensor.shape), tuple(own[name].shape)
            raise GflaError("bad_checkpoint", f"{name} has shape {got}; needs {wanted}")
        if not torch.isfinite(tensor).all():
            raise GflaError("bad_checkpoint", f"{name} holds values that are not finite")
    generator.load_state_dict(dict(tensors))


def _refuse_difference(expected: set[str], found: set[str]) -> None:
    complaints = []
    for title, names in (("missing", expected - found), ("left over", found - expected)):
        if names:
            shown = ", ".join(sorted(names)[:8])
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            complaints.append(f"{title}: {shown}{more}")
    if complaints:
        raise GflaError("bad_checkpoint", "; ".join(complaints))
