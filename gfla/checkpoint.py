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
from safetensors.torch import save as serialise
from torch import Tensor

from gfla.build import Generator, build_generator, initialise
from gfla.checkpoint_header import FORMAT, parse_metadata
from gfla.config import GeneratorConfig
from gfla.errors import GflaError
from gfla.published.files import without_prefix
from gfla.published.generators import (
    infer_config,
    infer_flow_config,
    is_flow_alone,
    published_names,
)
from gfla.tensor_checks import check_tensors


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
    Path(path).write_bytes(serialise(tensors, metadata))


def load(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Read what ``save`` wrote.

    Raises:
        GflaError: ``bad_checkpoint`` if the file is missing, is no safetensors file of this format,
            or its tensors are not exactly those that its configuration asks for.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise GflaError("bad_checkpoint", f"cannot read weights from {path}: {error}") from error
    config, info = parse_metadata(path, metadata)
    generator = _build_for(config, tensors)
    return Checkpoint(generator.to(device).eval(), info)


def from_published(state: Mapping[str, Tensor]) -> Generator:
    """A generator with the weights of a published ``*_net_G.pth``.

    Args:
        state: the file's state dict, with or without a ``module.`` prefix; every width is inferred.

    Returns:
        The loaded generator, in evaluation mode.

    Raises:
        GflaError: ``bad_checkpoint`` naming what is missing, left over or misshapen, or where
            only some names have the prefix.
    """
    state = without_prefix(state)
    config = infer_config(state)
    return _build_for(config, _ours(config, state, "")).eval()


def flow_from_published(state: Mapping[str, Tensor]) -> Generator | None:
    """A generator with the flow estimator of a published stage-1 checkpoint, to train stage 2 from.

    Encoder and renderer are initialised as training does it, always alike; nobody has trained them.

    Args:
        state: as in ``from_published``.

    Returns:
        The generator, in evaluation mode; None if the file holds more than a flow estimator.

    Raises:
        GflaError: as ``from_published``.
    """
    state = without_prefix(state)
    if not is_flow_alone(state):
        return None
    config = infer_flow_config(state)
    flow = _ours(config, state, "flow_estimator.")
    # Checked before memory is taken for the widths that the file claims.
    generator = build_generator(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        initialise(generator)
    generator.load_state_dict(generator.state_dict() | flow)
    return generator.eval()


def _ours(config: GeneratorConfig, state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Published tensors, all of a network or of a part of it, under our names."""
    every = _shapes(_without_weights(config))
    shapes = {key: shape for key, shape in every.items() if key.startswith(part)}
    # Names on both sides: a reflect-padded layer of ours has two of theirs.
    names = {key: published_names(key, config) for key in shapes}
    check_tensors({name: shapes[key] for key, group in names.items() for name in group}, state)
    for key, group in names.items():
        # Two names of one layer must hold the same weights.
        if any(not torch.equal(state[group[0]], state[name]) for name in group[1:]):
            raise GflaError(
                "bad_checkpoint", f"{' and '.join(group)} differ, but are one layer ({key})"
            )
    return {key: state[group[0]].float() for key, group in names.items()}


def to_published(generator: Generator) -> dict[str, Tensor]:
    """The generator's weights under the published names; undoes ``from_published``."""
    return {
        name: tensor
        for key, tensor in generator.state_dict().items()
        for name in published_names(key, generator.config)
    }


def _build_for(config: GeneratorConfig, tensors: Mapping[str, Tensor]) -> Generator:
    """The network of a configuration, with exactly these weights as float32.

    Shapes are compared first: a file may claim any width, and memory is only taken for widths
    that its tensors have.
    """
    generator = _without_weights(config)
    check_tensors(_shapes(generator), tensors)
    # They take the place of parameters that were never filled. Copies: tensors may lie in the file.
    weights = {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}
    generator.load_state_dict(weights, assign=True)
    return generator


def _without_weights(config: GeneratorConfig) -> Generator:
    """A network that has no memory for its weights yet."""
    try:
        with torch.device("meta"):
            return build_generator(config)
    except (TypeError, RuntimeError) as error:  # widths that are no whole numbers, or beyond them
        raise GflaError("bad_checkpoint", f"no network has such widths: {error}") from error


def _shapes(generator: Generator) -> dict[str, torch.Size]:
    """Names and shapes of a network's weights."""
    return {name: tensor.shape for name, tensor in generator.state_dict().items()}
