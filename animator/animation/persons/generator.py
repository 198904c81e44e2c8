"""Persons by the networks: uint8 pictures and joints in, uint8 frames out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from animator.animation.rollout.generator import Guidance, RolloutGenerator
from animator.errors import AnimatorError
from animator.weights.library import PUBLISHED_SIZE, purpose, structure_size
from animator.weights.subjects import kind_of
from gfla.checkpoint import Checkpoint
from gfla.config import GeneratorConfig
from gfla.guidance.pose import pose_heatmaps
from gfla.guidance.skeleton import Role, Style, skeleton_structures, skeleton_style
from gfla.models.frames import FrameByFrame
from gfla.models.generators import AnimationGenerator
from gfla.models.transfer import TransferGenerator

FASHION = (256, 176)
"""Height and width of DeepFashion's pictures, which its model sees at 256 x 256."""
MARKET = (128, 64)
MARKET_ATTENTION = ((2, 3),)
"""By which a model for Market-1501 is told from others where its file does not say."""
MAX_SIDE = 1024
"""Largest side that networks may see."""
MAX_PICTURE = 100_000


class PersonGenerator(RolloutGenerator):
    """A loaded model for person animation, or for pose transfer, on a device.

    Attributes:
        size: height and width of the guidance, and of what the networks see.
        picture_size: height and width of the pictures that it was trained on, before they were
            resized to that; their aspect is that of results.
        skeleton: of a model for person animation, how skeletons are drawn for it.
    """

    skeleton: Style = "coco"
    subject = "person"

    def _open(self, loaded: Checkpoint, name: str) -> AnimationGenerator | FrameByFrame:
        config, info = loaded.generator.config, loaded.info
        if kind_of(config) != "person":
            raise AnimatorError(
                "weights_wrong_kind",
                f"The weights {name!r} are for {purpose(config)} ({config.kind}); a person needs "
                "weights for person animation or person pose transfer, which none of the shipped "
                "ones are: `animator weights import` brings them in.",
            )
        if isinstance(loaded.generator, TransferGenerator):
            # Published models see pictures, and give them, as the code that trained them does.
            self.truncates = "image_size" not in info
            if self.truncates or info.get("resample") == "bilinear":
                self.resample = "bilinear"
            self.size, self.picture_size = _sizes(config, info, name)
            return FrameByFrame(loaded.generator)
        assert isinstance(loaded.generator, AnimationGenerator)
        self.skeleton = skeleton_style(info)
        side = structure_size(config, info, name)
        self.size = self.picture_size = (side, side)
        return loaded.generator

    @property
    def aspect(self) -> float:
        """Width of pictures in units of their height."""
        return self.picture_size[1] / self.picture_size[0]

    def inner_size(self, size: int) -> int:
        """Height of the pictures that the networks handle for results of ``size`` pixels."""
        return self.size[0]

    def _drawn(self, points: NDArray[np.floating], picture: NDArray[np.uint8] | None) -> Guidance:
        joints = np.asarray(points, np.float64)[None]
        if isinstance(self.network, FrameByFrame):
            structure = pose_heatmaps(torch.from_numpy(joints).float(), self.size)
        else:
            role: Role = "frame" if picture is None else "source"
            structure = skeleton_structures(joints, self.size, style=self.skeleton, role=role)
        return structure.to(self.device), None


def _sizes(
    config: GeneratorConfig, info: dict[str, Any], name: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """What the networks see, and what the pictures were before.

    A file that does not say is a published one: DeepFashion's or Market-1501's.
    """
    if "image_size" not in info:
        if config.attention == MARKET_ATTENTION:
            return MARKET, MARKET
        return (PUBLISHED_SIZE, PUBLISHED_SIZE), FASHION
    seen = _size(info["image_size"])
    before = _size(info.get("picture_size", info["image_size"]), MAX_PICTURE)
    if seen is None or before is None or any(side % config.multiple for side in seen):
        raise AnimatorError(
            "weights_unreadable",
            f"The weights {name!r} name {info['image_size']!r} as size of their pictures; allowed "
            f"are two multiples of {config.multiple} up to {MAX_SIDE}.",
        )
    return seen, before


def _size(value: Any, most: int = MAX_SIDE) -> tuple[int, int] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    if not all(type(side) is int and 0 < side <= most for side in value):
        return None
    return value[0], value[1]
