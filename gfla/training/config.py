"""What a training run is made of: values in YAML, one line of documentation each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gfla.config import AnimationConfig
from gfla.errors import GflaError


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms."""

    reconstruction: float = 5.0
    """L1 of the picture."""
    expression: float = 4.0
    """How much more eyes and mouth count within it."""
    rendered: float = 2.5
    """L1 of the renderer's own picture, weighted alike; keeps it worth blending in."""
    perceptual: float = 1.0
    """Distance of pretrained features."""
    warped: float = 2.0
    """L1 of the references warped at the attention layers' sizes."""
    roughness: float = 0.05
    """Second differences of the estimated part of the flow."""


@dataclass(frozen=True)
class FaceTrainingConfig:
    """One run of the face animation trainer."""

    model: AnimationConfig = field(default_factory=AnimationConfig)
    """The network."""
    structure_size: int = 128
    """Side of the structures, which is what the networks see."""
    image_size: int = 128
    """Side of the pictures: a whole multiple of structure_size."""
    frames: int = 3
    """Frames rendered one after another in a block, gradients flowing through."""
    batch: int = 4
    """Blocks a step."""
    still_share: float = 0.35
    """Share of the blocks made from stills."""
    steps: int = 6000
    """Length of the run; the learning rate follows it."""
    learning_rate: float = 6e-4
    """Peak; cosine decay to a twentieth after a short rise."""
    warmup_steps: int = 100
    """Steps of that rise."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.998
    """Decay of the averaged weights, which are the ones that are shipped."""
    initial_gain: float = 0.5
    """Gain of the orthogonal initialisation."""
    losses: LossWeights = field(default_factory=LossWeights)
    """Weights of the loss terms."""
    features: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    """Layers of the perceptual loss."""
    feature_crop: int = 128
    """Side of the random window that the perceptual loss sees."""
    bfloat16: bool = True
    """Autocast the networks to bfloat16."""
    seed: int = 1
    """Of initialisation and data."""

    def __post_init__(self) -> None:
        if self.image_size % self.structure_size or self.structure_size % self.model.multiple:
            raise GflaError(
                "invalid_config",
                f"image_size {self.image_size} must be a multiple of structure_size "
                f"{self.structure_size}, and that one of {self.model.multiple}",
            )
        if min(self.frames, self.batch, self.steps) < 1:
            raise GflaError("invalid_config", "frames, batch and steps must be at least 1")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as YAML-ready values."""
        return dataclasses.asdict(self)


def load_config(path: Path, **overrides: Any) -> FaceTrainingConfig:
    """Read a YAML file of the fields above; missing fields keep their defaults.

    Raises:
        GflaError: ``invalid_config`` naming unknown fields or values that are not allowed.
    """
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise GflaError("invalid_config", f"cannot read {path}: {error}") from error
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        if isinstance(values.get("model"), dict):
            values["model"] = AnimationConfig.from_dict(values["model"])
        if isinstance(values.get("losses"), dict):
            values["losses"] = LossWeights(**values["losses"])
        if "features" in values:
            values["features"] = tuple(values["features"])
        return FaceTrainingConfig(**values)
    except TypeError as error:
        raise GflaError("invalid_config", f"{path}: {error}") from error
