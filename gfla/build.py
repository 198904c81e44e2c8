"""The one place that turns a configuration into a network."""

from __future__ import annotations

from torch import nn

from gfla.config import AnimationConfig
from gfla.models.blocks import Encoder
from gfla.models.flow import FlowEstimator
from gfla.models.fusion import ImageFusion
from gfla.models.generators import AnimationGenerator
from gfla.models.renderer import Renderer

IMAGE_CHANNELS = 3
INITIAL_GAIN = 0.02


def build_generator(config: AnimationConfig) -> AnimationGenerator:
    """An untrained animation generator; see ``initialise`` and ``gfla.checkpoint.load``."""
    references = len(config.references)
    pictures = references * (IMAGE_CHANNELS + config.structure_channels)
    prior_channels = 2 * references if config.flow_prior else 0
    fusion = ImageFusion(references) if config.image_fusion else None
    return AnimationGenerator(
        config,
        encoders={
            kind: Encoder(IMAGE_CHANNELS, config.encoder_widths)
            for kind in ("previous", "reference")
        },
        flow_estimator=FlowEstimator(
            inputs=config.structure_channels + pictures + prior_channels,
            widths=config.flow_widths,
            layers=tuple(layer for layer, _ in config.attention),
            references=references,
        ),
        renderer=Renderer(
            structure_channels=config.structure_channels,
            widths=config.encoder_widths,
            attention=config.attention,
            attention_hidden=config.attention_hidden,
            kinds=("previous", "reference"),
            outputs=IMAGE_CHANNELS + (fusion.maps if fusion else 0),
        ),
        fusion=fusion,
    )


def initialise(network: nn.Module, gain: float = INITIAL_GAIN) -> None:
    """Initialise as published: orthogonal convolutions (gain 0.02), zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.orthogonal_(module.weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
