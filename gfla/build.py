"""Builders of networks: the one place that turns a configuration into one."""

from __future__ import annotations

from typing import overload

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from gfla.config import (
    AnimationConfig,
    CriticConfig,
    GeneratorConfig,
    PoseTransferConfig,
    ViewSynthesisConfig,
)
from gfla.errors import GflaError
from gfla.models.ablations import BilinearSampling, GlobalAttention
from gfla.models.attention import LocalAttention
from gfla.models.blocks import Encoder
from gfla.models.discriminators import ClipCritic, Critic
from gfla.models.flow import FlowEstimator
from gfla.models.fusion import ImageFusion
from gfla.models.generators import AnimationGenerator
from gfla.models.regions import RegionHeads, build_head
from gfla.models.renderer import Renderer, Sampler, ViewEncoder
from gfla.models.transfer import REFERENCE, TransferGenerator
from gfla.ops.regions import MOUTH, RIGHT_EYE

IMAGE_CHANNELS = 3
INITIAL_GAIN = 0.02
POWER_ITERATIONS = 15
"""As many as PyTorch's spectral normalisation begins with."""
ANIMATION_KINDS = ("previous", "reference")

Generator = AnimationGenerator | TransferGenerator


@overload
def build_generator(config: AnimationConfig) -> AnimationGenerator: ...
@overload
def build_generator(config: PoseTransferConfig | ViewSynthesisConfig) -> TransferGenerator: ...
@overload
def build_generator(config: GeneratorConfig) -> Generator: ...
def build_generator(config: GeneratorConfig) -> Generator:
    """An untrained generator; see ``initialise`` and ``gfla.checkpoint.load``."""
    match config:
        case AnimationConfig():
            return _animation(config)
        case PoseTransferConfig():
            return _pose_transfer(config)
        case ViewSynthesisConfig():
            return _view_synthesis(config)
    raise GflaError("invalid_config", f"no generator is built from a {type(config).__name__}")


def _animation(config: AnimationConfig) -> AnimationGenerator:
    references = len(config.references)
    # What an estimator sees of a reference: picture, structure, and the landmark flow to it.
    one_picture = IMAGE_CHANNELS + config.structure_channels
    prior_channels = 2 if config.flow_prior else 0
    seen_of_one = one_picture + prior_channels
    # One that sees all references at once, or one for each kind that sees one at a time.
    estimator: nn.Module
    if config.flow_estimators == "joint":
        estimator = _flow_estimator(
            config, config.structure_channels + references * seen_of_one, references
        )
    else:
        estimator = nn.ModuleDict(
            {
                kind: _flow_estimator(config, config.structure_channels + seen_of_one)
                for kind in ANIMATION_KINDS
            }
        )
    # Extensions: the blend at the picture's size, and heads for mouths and eyes.
    fusion = None
    if config.image_fusion:
        fusion = ImageFusion(
            references, config.structure_channels, config.fusion_hidden, config.fusion_detail
        )
    mouth, eye = (
        build_head(region, widths)
        for region, widths in ((MOUTH, config.mouth_head), (RIGHT_EYE, config.eye_head))
    )
    return AnimationGenerator(
        config,
        encoders={kind: Encoder(IMAGE_CHANNELS, config.encoder_widths) for kind in ANIMATION_KINDS},
        flow_estimator=estimator,
        renderer=Renderer(
            Encoder(config.structure_channels, config.encoder_widths),
            _local_attention(config, ANIMATION_KINDS),
            config.encoder_widths,
            IMAGE_CHANNELS + (fusion.maps if fusion else 0),
        ),
        fusion=fusion,
        regions=RegionHeads(mouth, eye) if config.has_heads else None,
    )


def _pose_transfer(config: PoseTransferConfig) -> TransferGenerator:
    widths = config.encoder_widths
    # Table 2: what brings the source's features to the target.
    samplers: dict[int, dict[str, Sampler]] = {}
    if config.sampling == "local":
        samplers = _local_attention(config, (REFERENCE,))
    elif config.sampling == "bilinear":
        samplers = {layer: {REFERENCE: BilinearSampling()} for layer, _ in config.attention}
    elif config.sampling == "global":
        samplers = {
            layer: {REFERENCE: GlobalAttention(widths[layer - 1])} for layer, _ in config.attention
        }
    # Without a sampler the renderer itself sees source picture, source pose and target pose.
    everything = IMAGE_CHANNELS + 2 * config.structure_channels
    has_flow = config.sampling in ("local", "bilinear")
    return TransferGenerator(
        config,
        encoder=Encoder(IMAGE_CHANNELS, widths) if samplers else None,
        flow_estimator=_flow_estimator(config, everything) if has_flow else None,
        renderer=Renderer(
            Encoder(config.structure_channels if samplers else everything, widths),
            samplers,
            widths,
            IMAGE_CHANNELS,
        ),
    )


def _view_synthesis(config: ViewSynthesisConfig) -> TransferGenerator:
    widths = config.encoder_widths
    return TransferGenerator(
        config,
        encoder=Encoder(IMAGE_CHANNELS, widths),
        flow_estimator=_flow_estimator(config, IMAGE_CHANNELS, condition=config.structure_channels),
        renderer=Renderer(
            ViewEncoder(config.structure_channels, widths[0], widths[-1]),
            _local_attention(config, (REFERENCE,)),
            widths,
            IMAGE_CHANNELS,
        ),
    )


def _flow_estimator(
    config: GeneratorConfig, inputs: int, references: int = 1, condition: int = 0
) -> FlowEstimator:
    layers = tuple(layer for layer, _ in config.attention)
    # Every attention block has a flow of its own layer.
    return FlowEstimator(inputs, config.flow_widths, layers, references, condition)


def _local_attention(
    config: GeneratorConfig, kinds: tuple[str, ...]
) -> dict[int, dict[str, Sampler]]:
    widths, hidden = config.encoder_widths, config.attention_hidden
    return {
        # The features of layer k have the width of the k-th Down.
        layer: {kind: LocalAttention(widths[layer - 1], kernel, hidden) for kind in kinds}
        for layer, kernel in config.attention
    }


def build_critic(config: CriticConfig) -> Critic:
    """An untrained critic of pictures, or of frame differences."""
    return Critic(config.inputs, config.widths, config.spectral_norm)


def build_clip_critic(frames: int, widths: tuple[int, ...], spectral_norm: bool) -> ClipCritic:
    """An untrained critic of short clips, see there."""
    return ClipCritic(frames, widths, spectral_norm)


def initialise(network: nn.Module, gain: float = INITIAL_GAIN) -> None:
    """Initialise as published: orthogonal convolutions (gain 0.02), zero biases; heads alone."""
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
            continue
        for name, parameter in module.named_parameters():
            if name == "bias":
                nn.init.zeros_(parameter)
            else:  # the weight itself, or the one behind its spectral normalisation
                nn.init.orthogonal_(parameter, gain)
        if is_parametrized(module, "weight"):
            _find_singular_vectors(module)
    for module in network.modules():
        if isinstance(module, RegionHeads):  # without norms, a gain of 0.02 would mute them
            module.initialise()


def _find_singular_vectors(module: nn.Module) -> None:
    """Let spectral normalisation follow new weights: it moves with every look at them."""
    training = module.training
    module.train()
    with torch.no_grad():
        for _ in range(POWER_ITERATIONS):
            module.weight  # noqa: B018
    module.train(training)
