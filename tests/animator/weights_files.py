"""Small weights of every kind, as their authors would publish them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gfla.checkpoint import to_published
from gfla.config import GeneratorConfig, PoseTransferConfig, ViewSynthesisConfig
from tests.helpers import NARROW, small_generator

_WIDTHS = {"encoder_widths": (4, 6, 8), "flow_widths": (4, 4, 6, 6, 8), "attention_hidden": 8}
KINDS: dict[str, tuple[GeneratorConfig, str]] = {
    "face": (NARROW, "face animation"),
    "dance": (
        replace(NARROW, structure_channels=20, flow_estimators="separate"),
        "person animation",
    ),
    "fashion": (PoseTransferConfig(**_WIDTHS), "person pose transfer"),
    "market": (PoseTransferConfig(**_WIDTHS, attention=((2, 3),)), "person pose transfer"),
    "shapenet": (ViewSynthesisConfig(**_WIDTHS), "view synthesis"),
}
"""Configuration of each published model, narrow, and what the library says that it is for."""


def published_state(kind: str = "face", prefix: str = "", seed: int = 0) -> dict[str, torch.Tensor]:
    state = to_published(small_generator(KINDS[kind][0], seed))
    return {prefix + name: tensor for name, tensor in state.items()}


def write_published(
    folder: Path, name: str, kind: str = "face", prefix: str = "", archive: bool = True
) -> Path:
    path = folder / f"{name}_net_G.pth"
    state = published_state(kind, prefix)
    torch.save(state, path, _use_new_zipfile_serialization=archive)
    return path
