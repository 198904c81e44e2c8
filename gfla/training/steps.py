"""One training step of the face animation model: roll out a block, sum up its losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.losses.correctness import warped_distance
from gfla.losses.features import VggFeatures
from gfla.losses.perceptual import feature_distance
from gfla.losses.reconstruction import reconstruction_loss
from gfla.losses.regions import expression_weights
from gfla.losses.regularity import roughness
from gfla.models.generators import AnimationGenerator
from gfla.models.rollout import Prediction, RolloutState
from gfla.training.config import FaceTrainingConfig


def to_unit(images: Tensor) -> Tensor:
    """uint8 pictures as floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def rollout_losses(
    generator: AnimationGenerator,
    features: VggFeatures,
    block: Mapping[str, Tensor],
    config: FaceTrainingConfig,
    random: torch.Generator,
) -> tuple[dict[str, Tensor], Tensor]:
    """Render a block frame by frame, each from the frames rendered before it.

    Args:
        generator: the network.
        features: of the perceptual loss.
        block: ``images`` uint8 B (1 + T) 3 S S, ``structures`` B (1 + T) 16 s s and ``landmarks``
            B (1 + T) 68 2; index 0 is the source.
        config: weights and sizes.
        random: draws the windows of the perceptual loss.

    Returns:
        The unweighted loss terms, means over frames, and the rendered frames B T 3 S S.
    """
    images, structures = to_unit(block["images"]), block["structures"]
    landmarks = block["landmarks"]
    device = images.device.type
    sums: dict[str, Tensor] = {}
    rendered = []
    with torch.autocast(device, torch.bfloat16, enabled=config.bfloat16):
        state = generator.start(images[:, 0], structures[:, 0], landmarks[:, 0])
    for t in range(1, images.shape[1]):
        with torch.autocast(device, torch.bfloat16, enabled=config.bfloat16):
            after, prediction = generator.step(state, structures[:, t], landmarks[:, t])
        terms = frame_losses(prediction, state, images[:, t], structures[:, t], config)
        with torch.autocast(device, torch.bfloat16, enabled=config.bfloat16):
            ours, truth = _window(prediction.image, images[:, t], config.feature_crop, random)
            with torch.no_grad():
                wanted = features(truth)
            terms["perceptual"] = feature_distance(features(ours), wanted)
        for name, value in terms.items():
            sums[name] = sums.get(name, value.new_zeros(())) + value / (images.shape[1] - 1)
        rendered.append(prediction.image)
        state = after
    return sums, torch.stack(rendered, 1)


def frame_losses(
    prediction: Prediction,
    before: RolloutState,
    target: Tensor,
    structure: Tensor,
    config: FaceTrainingConfig,
) -> dict[str, Tensor]:
    """The loss terms of one frame that need no feature network."""
    height, width = target.shape[-2:]
    weights = expression_weights(structure, (height, width), config.losses.expression)
    reconstruction = reconstruction_loss(prediction.image, target, weights)
    warped, rough = [], []
    small = F.avg_pool2d(target, target.shape[-1] // structure.shape[-1])
    height, width = small.shape[-2:]
    small_weights = expression_weights(structure, (height, width), config.losses.expression)
    for (_, name), flow in prediction.flows.items():
        reference = before.source if name == "reference" else before.previous[0]
        warped.append(warped_distance(reference.small.detach(), small, flow))
    for flow in prediction.residuals.values():
        rough.append(roughness(flow))
    return {
        "reconstruction": reconstruction,
        "rendered": reconstruction_loss(prediction.rendered, small, small_weights),
        "warped": torch.stack(warped).mean(),
        "roughness": torch.stack(rough).mean(),
    }


def weighted_sum(terms: Mapping[str, Tensor], config: FaceTrainingConfig) -> Tensor:
    """The scalar that is minimised."""
    weights = config.losses
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def _window(
    ours: Tensor, truth: Tensor, size: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The same random window of both, more often near the middle."""
    height, width = ours.shape[-2:]
    if size >= height:
        return ours, truth
    # Means of two draws: the face is in the middle, so windows there are likelier.
    share = torch.rand(2, 2, generator=random).mean(0)
    top, left = round(float(share[0]) * (height - size)), round(float(share[1]) * (width - size))
    place = (..., slice(top, top + size), slice(left, left + size))
    return ours[place], truth[place]
