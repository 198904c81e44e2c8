"""Pose transfer by the networks: uint8 pictures and joints in, a uint8 picture out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.files.local import check_input
from animator.persons.windows import Resample
from animator.settings import Settings
from animator.weights.library import (
    PUBLISHED_SIZE,
    describe_file,
    for_spec,
    list_weights,
    purpose,
    resolve,
)
from animator.weights.loading import load_checkpoint, load_model
from gfla.config import GeneratorConfig, PoseTransferConfig
from gfla.guidance.pose import pose_heatmaps
from gfla.joints import Joints
from gfla.models.transfer import TransferGenerator
from gfla.ops.ranges import from_bytes
from gfla.pictures import to_picture

FASHION = (256, 176)
"""Height and width of DeepFashion's pictures, which its model sees at 256 x 256."""
MARKET = (128, 64)
MARKET_ATTENTION = ((2, 3),)
"""By which a model for Market-1501 is told from others where its file does not say."""
MAX_SIDE = 1024
"""Largest side that networks may see."""
MAX_PICTURE = 100_000


class PersonGenerator:
    """A loaded model for pose transfer on a device.

    Attributes:
        name: of the weights, with the start of their SHA-256.
        sha256: of the weights' file.
        size: height and width that the networks see.
        picture_size: height and width of the pictures that it was trained on, before they were
            resized to that; their aspect is that of results.
        resample: by which filter pictures come to ``size``, as those it was trained on did.
        published: whether it is of a file of the paper's authors, whose code cuts results to
            whole levels where others round.
    """

    def __init__(self, weights: Path, device: torch.device, precision: str) -> None:
        """Load the weights.

        Args:
            weights: checkpoint of ``gfla.checkpoint``.
            device: where the networks run.
            precision: "float32" or "bfloat16" (autocast).

        Raises:
            AnimatorError: weights_unreadable, weights_wrong_kind.
        """
        require_pose_transfer(describe_file(weights).config, str(weights))
        loaded, self.sha256, self.name = load_checkpoint(weights, device)
        assert isinstance(loaded.generator, TransferGenerator)
        self.network = loaded.generator.requires_grad_(False)
        self.device = device
        self.size, self.picture_size = _sizes(self.network.config, loaded.info, str(weights))
        self.published = "image_size" not in loaded.info
        bilinear = self.published or loaded.info.get("resample") == "bilinear"
        self.resample: Resample = "bilinear" if bilinear else "bicubic"
        self._bfloat16 = precision == "bfloat16"

    @property
    def aspect(self) -> float:
        """Width of pictures in units of their height."""
        return self.picture_size[1] / self.picture_size[0]

    def render(
        self, source: NDArray[np.uint8], source_joints: Joints, target_joints: Joints
    ) -> NDArray[np.uint8]:
        """The source person in another pose.

        Args:
            source: uint8 H W 3 RGB of ``size``.
            source_joints: 18 x 2 pixels of it.
            target_joints: 18 x 2 pixels of the result.

        Returns:
            uint8 H W 3 RGB of ``size``.
        """
        image = torch.from_numpy(np.ascontiguousarray(source)).to(self.device)
        image = from_bytes(image.permute(2, 0, 1)[None])
        joints = torch.from_numpy(np.stack([source_joints, target_joints])).to(self.device)
        # The source's pose and the target's, in one batch of two.
        maps = pose_heatmaps(joints.float(), self.size)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)
        with torch.inference_mode(), autocast:
            prediction = self.network(image, maps[:1], maps[1:])
        return to_picture(prediction.image[0], truncated=self.published)


def load_person_generator(
    weights: str | None, device: str, precision: str, settings: Settings
) -> PersonGenerator:
    """The model that a user names; see `animator.weights.loading.load_model`.

    Args:
        weights: a name in the library, or a file; None is an error that says what there is.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" (float32 on CPU, bfloat16 on CUDA), "float32" or "bfloat16".
        settings: where the library is.

    Raises:
        AnimatorError: no_such_weights, no_such_file, weights_unreadable, weights_changed,
            weights_wrong_kind, device_unavailable.
    """
    resolve_person_weights(weights, settings)
    assert weights is not None
    return load_model(PersonGenerator, for_spec(weights, settings), device, precision, settings)


def resolve_person_weights(weights: str | None, settings: Settings) -> Path:
    """The file that a user means, if it is of a model for pose transfer; loads nothing.

    Raises:
        AnimatorError: as ``load_person_generator``.
    """
    if weights is None:
        there = [w.name for w in list_weights(settings) if w.kind == PoseTransferConfig.kind]
        known = f"the library has {', '.join(there)}" if there else "the library has none"
        raise AnimatorError(
            "no_such_weights",
            "Pose transfer needs weights, and none are shipped: name some with --weights "
            f"({known}). `animator weights import FILE` brings in a published model "
            "(*_net_G.pth) or one that was trained with `animator train`.",
        )
    path = resolve(weights, settings)
    check_input(str(path))
    require_pose_transfer(describe_file(path).config, weights)
    return path


def require_pose_transfer(config: GeneratorConfig, name: str) -> None:
    """Refuse a model that does something else.

    Raises:
        AnimatorError: weights_wrong_kind.
    """
    if not isinstance(config, PoseTransferConfig):
        raise AnimatorError(
            "weights_wrong_kind",
            f"The weights {name!r} are for {purpose(config)} ({config.kind}); `animator pose` "
            "needs weights for person pose transfer, which none of the shipped ones are: "
            "`animator weights import` brings them in, `animator weights list` shows them.",
        )


def _sizes(
    config: GeneratorConfig, info: dict[str, Any], name: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """What the networks see, and what the pictures were before.

    A file that does not say is a published one: DeepFashion's or Market-1501's.
    """
    if "image_size" not in info:
        attention = getattr(config, "attention", None)
        if attention == MARKET_ATTENTION:
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
