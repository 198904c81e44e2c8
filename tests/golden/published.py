"""Numbers recorded from the published networks: weights, inputs and outputs of small cases.

A case lies in ``published/NAME.safetensors.xz``; ``README.md`` says where the numbers come from.
"""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

FOLDER = Path(__file__).with_name("published")
SUFFIX = ".safetensors.xz"


def published_case(name: str) -> dict[str, Tensor]:
    """The tensors of one case, as ``state/NAME``, ``in/NAME`` and ``out/NAME``.

    Raises:
        ValueError: torch no longer draws from a seed what it drew when the case was recorded.
    """
    data = lzma.decompress((FOLDER / f"{name}{SUFFIX}").read_bytes())
    tensors = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    recipe = json.loads(header["__metadata__"]["recipe"])
    for sequence in recipe["sequences"]:
        tensors |= drawn(sequence)
    for alias, original in recipe["aliases"].items():
        tensors[alias] = tensors[original]
    return tensors


def drawn(sequence: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a seed gives, in order, after its first ``skip`` numbers."""
    draw = {"normal": torch.randn, "uniform": torch.rand}[sequence["law"]]
    generator = torch.Generator().manual_seed(sequence["seed"])
    torch.rand(sequence["skip"], generator=generator)
    tensors = {}
    for name, shape, factors, shift, energy in sequence["draws"]:
        tensor = draw(shape, generator=generator)
        for factor in factors:
            tensor = tensor * factor
        tensor = tensor + shift
        if not math.isclose(energy_of(tensor), energy, rel_tol=1e-6):
            raise ValueError(f"seed {sequence['seed']} no longer gives {name} as it was recorded")
        tensors[name] = tensor
    return tensors


def energy_of(tensor: Tensor) -> float:
    """The sum of the squares."""
    return float(tensor.double().square().sum())
