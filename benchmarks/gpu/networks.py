"""The networks that the parts measure, untrained in the published layouts, and their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.generator import Guidance
from animator.faces.detectors.mean_face import MEAN_FACE
from gfla import checkpoint
from gfla.build import Generator, build_generator, initialise
from gfla.config import PUBLISHED, AnimationConfig, GeneratorConfig
from gfla.models.generators import AnimationGenerator
from gfla.models.rollout import RolloutState
from gfla.training.config_files import load_config
from gpu.parts import Setting
from gpu.sheet import Sheet

SIDE, SMALL_SIDE = 256, 64
DEFAULT_WEIGHTS = Path(checkpoint.__file__).parents[1] / "animator/weights/default.safetensors"


def fitting(config: GeneratorConfig, setting: Setting) -> GeneratorConfig:
    """The configuration, or the same layout with few channels where all is small."""
    if not setting.small:
        return config
    return replace(
        config, encoder_widths=(4, 6, 8), flow_widths=(4, 4, 6, 6, 8), attention_hidden=8
    )


def side(setting: Setting) -> int:
    """Of what networks without fusion see, in pixels."""
    return SMALL_SIDE if setting.small else SIDE


def untrained(config: GeneratorConfig) -> Generator:
    """Random weights, the same every time, under which results are far from constant."""
    torch.manual_seed(0)
    generator = build_generator(config).eval().requires_grad_(False)
    initialise(generator, gain=0.5)
    return generator


def untrained_face(setting: Setting) -> AnimationGenerator:
    """The published face model with such weights."""
    generator = untrained(fitting(PUBLISHED["face"], setting))
    assert isinstance(generator, AnimationGenerator)
    return generator


def inputs(config: GeneratorConfig, batch: int, side: int) -> tuple[Tensor, Tensor]:
    """Noise: pictures B 3 H W in [-1, 1] and structures; the first is the same in every batch."""
    random = torch.Generator().manual_seed(1)
    # A turn of an object is told by numbers, all else by pictures.
    within = 1 if config.kind == "view-synthesis" else side
    drawn = [
        (torch.rand(3, side, side, generator=random) * 2 - 1,
         torch.rand(config.structure_channels, within, within, generator=random))
        for _ in range(batch)
    ]  # fmt: skip
    pictures, structures = zip(*drawn, strict=True)
    return torch.stack(pictures), torch.stack(structures)


def rendered(generator: Generator, picture: Tensor, structure: Tensor) -> Tensor:
    """What a generator makes of them: of a clip the second frame, where references differ."""
    with torch.no_grad():
        if not isinstance(generator, AnimationGenerator):
            image: Tensor = generator(picture, structure, structure.flip(-1)).image
            return image
        face = torch.tensor(MEAN_FACE, dtype=torch.float32, device=picture.device)
        face = face.expand(len(picture), -1, -1)
        known = face if generator.config.flow_prior else None
        moved = face + 0.01 if generator.config.flow_prior else None
        state = generator.start(picture, structure, known)
        state, _ = generator.step(state, structure.flip(-1), moved)
        return generator.step(state, structure, moved)[1].image


def face_animation(setting: Setting, name: str, precision: str) -> PortraitGenerator:
    """A face model as jobs use it: the "published" one untrained, or the "default" weights."""
    device = torch.device(setting.device)
    if name == "default":
        return PortraitGenerator(default_weights(setting), device, precision)
    path = setting.folder / f"{name}.safetensors"
    network = untrained(fitting(PUBLISHED["face"], setting))
    checkpoint.save(path, network, {"structure_size": side(setting)})
    return PortraitGenerator(path, device, precision)


def default_weights(setting: Setting, sheet: Sheet | None = None) -> Path:
    """The default weights, or random ones of the same shape where they are missing.

    Args:
        setting: where sizes are small, few channels are enough.
        sheet: is told that they are random.
    """
    if DEFAULT_WEIGHTS.is_file() and not setting.small:
        return DEFAULT_WEIGHTS
    if sheet is not None and not setting.small:
        sheet.note("The default weights are missing: random ones take as long.")
    path = setting.folder / "default.safetensors"
    if not path.exists():
        config, size = load_config("face-regions").model, SIDE // 2
        assert isinstance(config, AnimationConfig)
        if setting.small:
            config = replace(PUBLISHED["face"], image_fusion=True, flow_prior=True)
            size = SMALL_SIDE
        checkpoint.save(path, untrained(fitting(config, setting)), {"structure_size": size})
    return path


def clips(
    generator: PortraitGenerator, count: int, size: int
) -> tuple[list[RolloutState], list[Guidance]]:
    """Clips before their first frame, and the guidance of a frame of each."""
    random = np.random.default_rng(0)
    states, drawn = [], []
    inner = generator.inner_size(size)
    for _ in range(count):
        face = np.asarray(MEAN_FACE, np.float32) + random.normal(0, 0.01, (68, 2)).astype("f4")
        picture = random.integers(0, 256, (inner, inner, 3), np.uint8)
        states.append(generator.begin(picture, face))
        drawn.append(generator.guidance(face + np.float32(0.01), states[-1]))
    return states, drawn


@contextmanager
def tensor_float(wanted: bool) -> Iterator[None]:
    """Float32 that is rounded to ten bits for multiplication (TF32) on CUDA, or not."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = wanted
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
