"""Draws ``generators.safetensors``: what the five generators give today for given weights.

Run ``python -m tests.golden.make_golden`` only to accept a change of the numbers on purpose: the
test that reads them is there to notice a change that nobody meant. Weights and inputs follow a
formula, so that neither a file of them nor a random generator's version matters.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from gfla.build import Generator, build_generator
from gfla.config import PUBLISHED, GeneratorConfig
from gfla.models.generators import AnimationGenerator

PATH = Path(__file__).with_name("generators.safetensors")
FRAMES = 2


def wave(*shape: int, seed: float) -> Tensor:
    """Values in [-1, 1] that look random."""
    numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(numbers * (12.9898 + seed) + (numbers * 0.0001).square()).float().view(shape)


def narrow(config: GeneratorConfig) -> GeneratorConfig:
    """The same layout with few channels."""
    return replace(
        config, encoder_widths=(4, 6, 8), flow_widths=(4, 4, 6, 6, 8), attention_hidden=8
    )


def frozen_generator(config: GeneratorConfig) -> Generator:
    """A generator whose weights follow the formula."""
    generator = build_generator(config).eval()
    for index, parameter in enumerate(generator.parameters()):
        scale = 0.3 if parameter.ndim == 1 else (3 / parameter[0].numel()) ** 0.5
        parameter.data = scale * wave(*parameter.shape, seed=index)
    return generator


def outputs(name: str) -> dict[str, Tensor]:
    """Picture, flows and masks of one generator, by name; of the last frame of an animation."""
    generator = frozen_generator(narrow(PUBLISHED[name]))
    width = 32 if name == "person-market" else 64
    channels = generator.config.structure_channels
    source = wave(1, 3, 64, width, seed=0.1)
    size = (1, 1) if name == "view" else (64, width)
    structures = [wave(1, channels, *size, seed=0.2 + t).abs() for t in range(FRAMES + 1)]
    with torch.no_grad():
        if isinstance(generator, AnimationGenerator):
            state = generator.start(source, structures[0])
            for structure in structures[1:]:
                state, prediction = generator.step(state, structure)
        else:
            prediction = generator(source, structures[0], structures[1])
    values = {f"{name}/image": prediction.image}
    for what, maps in (("flow", prediction.flows), ("mask", prediction.masks)):
        for (layer, reference), tensor in maps.items():
            values[f"{name}/{what}_{layer}_{reference}"] = tensor
    return values


if __name__ == "__main__":
    everything = {key: value for name in PUBLISHED for key, value in outputs(name).items()}
    save_file({key: value.contiguous() for key, value in everything.items()}, PATH)
