"""What several tests of the networks share: tolerances and small models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import torch
from safetensors.torch import save_file

from gfla.build import Generator, build_generator, initialise
from gfla.config import AnimationConfig, GeneratorConfig
from gfla.losses.features import VGG_LAYERS, VggFeatures
from gfla.models.generators import AnimationGenerator
from tests.golden.faces import MEAN_FACE

TOLERANCE = {
    torch.float64: {"atol": 1e-10, "rtol": 1e-8},
    torch.float32: {"atol": 1e-5, "rtol": 1e-5},
    torch.bfloat16: {"atol": 5e-2, "rtol": 5e-2},
}
"""Largest difference from a reference, by arithmetic."""

NARROW = AnimationConfig(
    encoder_widths=(4, 6, 8),
    flow_widths=(4, 4, 6, 6, 8),
    attention=((3, 3), (2, 5)),
    attention_hidden=8,
)
"""The published layout, narrow enough for tests."""
COMPACT = AnimationConfig(
    encoder_widths=(4, 6, 8),
    flow_widths=(4, 4, 6, 6, 8),
    attention_hidden=8,
    image_fusion=True,
    flow_prior=True,
    mouth_head=(6, 8),
    eye_head=(4, 6),
)
"""The same with all extensions."""


@overload
def small_generator(config: AnimationConfig = ..., seed: int = ...) -> AnimationGenerator: ...
@overload
def small_generator(config: GeneratorConfig, seed: int = ...) -> Generator: ...
def small_generator(config: GeneratorConfig = NARROW, seed: int = 0) -> Generator:
    """An untrained generator whose outputs are far from constant."""
    torch.manual_seed(seed)
    generator = build_generator(config)
    initialise(generator, gain=1.0)
    for name, parameter in generator.named_parameters():
        if name.startswith("regions.") and ".leave." in name:  # heads begin as good as silent
            torch.nn.init.normal_(parameter, std=0.5)
        if name.endswith(".gate"):  # so does global attention
            torch.nn.init.ones_(parameter)
    return generator.eval()


def face_inputs(
    batch: int = 1, size: int = 64, image_size: int | None = None, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A picture, a structure and landmarks: noise, and a face that is nearly the mean one."""
    random = torch.Generator().manual_seed(seed)
    image_size = image_size or size
    face = torch.tensor(MEAN_FACE, dtype=torch.float32)
    return (
        torch.rand(batch, 3, image_size, image_size, generator=random) * 2 - 1,
        torch.rand(batch, 16, size, size, generator=random),
        face + 0.02 * torch.randn(batch, 68, 2, generator=random),
    )


def random_vgg(path: Path, layers: Sequence[str], network: str = "vgg16") -> VggFeatures:
    """A feature network of the right layout, but narrow and untrained; its file is at ``path``."""
    torch.manual_seed(0)
    state, channels = {}, 3
    for name, place in VGG_LAYERS[network].items():
        outputs = 4 + 2 * int(name[4])
        state[f"features.{place}.weight"] = torch.randn(outputs, channels, 3, 3) / channels**0.5 / 2
        state[f"features.{place}.bias"] = torch.zeros(outputs)
        channels = outputs
    save_file(state, path)
    return VggFeatures(layers, network, path)
