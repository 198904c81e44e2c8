"""Body detectors by name, and Keypoint R-CNN, the one among them that comes with torchvision."""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.models.catalogue import BLAZEPOSE
from animator.persons.body import (
    Body,
    BodyDetector,
    largest_body,
)
from animator.weights.loading import choose_device
from gfla.joints import found, from_coco17
from gfla.pretrained import fetch, weights_folder

__all__ = [
    "Body",
    "BodyDetector",
    "KeypointRcnn",
    "body_detector_version",
    "largest_body",
    "make_body_detector",
    "resolve_body_detector",
]

log = logging.getLogger(__name__)


KEYPOINT_RCNN_URL = (
    "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth"
)
"""Trained on COCO; its name ends in the first digits of the file's SHA-256."""
MIN_PERSON = 0.7
"""Least certainty of a person, 0 to 1."""
MIN_JOINT = 2.0
"""Least height of a joint's peak, in the network's own unit; torchvision's examples draw no lower
ones."""
_LONG_SIDE = 1333
_SHORT_SIDE = 800
_MOST_PERSONS = 20


@dataclass(frozen=True)
class BodyDetectorStatus:
    """Whether a body detector can be used on this machine.

    Attributes:
        name: the detector.
        usable: whether it works without fetching or installing anything.
        reason: why not, or what will be used.
    """

    name: str
    usable: bool
    reason: str


def make_body_detector(
    name: str = "auto",
    device: str = "auto",
    state_dir: Path | None = None,
    *,
    weights: str | Path | None = None,
) -> BodyDetector:
    """Load a body detector.

    Args:
        name: which one; "auto" takes blazepose where it is installed, else keypoint-rcnn, and
            keypoint-rcnn for a file of its weights.
        device: where it computes: "auto", "cpu", "cuda" or "cuda:N".
        state_dir: the state folder that installed detectors are in; None for this process's own.
        weights: a file of weights for keypoint-rcnn; None for torchvision's own.

    Raises:
        AnimatorError: invalid_option for an unknown name, or weights for blazepose;
            detector_unavailable if it is not installed, or its weights cannot be had or do not fit;
            device_unavailable.
    """
    if name == "auto" and weights is not None:
        name = "keypoint-rcnn"
    if resolve_body_detector(name, state_dir) == "keypoint-rcnn":
        return KeypointRcnn(device, weights)
    if weights is not None:
        message = "The detector blazepose takes no file of weights; keypoint-rcnn does."
        raise AnimatorError("invalid_option", message)
    from animator.persons.blazepose import BlazePose

    return BlazePose(device, state_dir)


def resolve_body_detector(
    name: str = "auto", state_dir: Path | None = None
) -> Literal["keypoint-rcnn", "blazepose"]:
    """Which body detector "auto" means on this machine; other names stand for themselves.

    Raises:
        AnimatorError: invalid_option for an unknown name.
    """
    if name == "keypoint-rcnn":
        return "keypoint-rcnn"
    if name == "blazepose":
        return "blazepose"
    if name != "auto":
        raise AnimatorError(
            "invalid_option",
            f"detector is {name!r}; allowed for persons is auto, keypoint-rcnn or blazepose.",
        )
    return "blazepose" if BLAZEPOSE.is_installed(state_dir) else "keypoint-rcnn"


def body_detector_version(name: str = "auto", state_dir: Path | None = None) -> str:
    """Name and version of what `make_body_detector` would load, without loading it.

    It changes whenever the same frames may give other joints, so that caches can tell.

    Raises:
        AnimatorError: invalid_option for an unknown name.
    """
    resolved = resolve_body_detector(name, state_dir)
    if resolved == "keypoint-rcnn":
        return f"{resolved}: {Path(KEYPOINT_RCNN_URL).stem}, fit 1"
    from animator.persons import blazepose

    return f"{resolved}: {blazepose.version()}"


def available_body_detectors(state_dir: Path | None = None) -> list[BodyDetectorStatus]:
    """What each body detector lacks, if anything; loads none of them."""
    path = own_weights_path()
    lacking = f"{path.name} not in {path.parent}; fetched on first use from {KEYPOINT_RCNN_URL}."
    ready = f"Weights in {path.parent}."
    return [
        BodyDetectorStatus(*BLAZEPOSE.status(state_dir)),
        BodyDetectorStatus("keypoint-rcnn", path.is_file(), ready if path.is_file() else lacking),
    ]


class KeypointRcnn:
    """torchvision's Keypoint R-CNN (ResNet-50, feature pyramid), behind ``BodyDetector``.

    Its weights, 226 MB, are not part of any package: they are a file of the user's, or are taken
    from torch.hub's folder, or fetched into it.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        weights: a file of weights under torchvision's names, .pth or .safetensors; None for
            torchvision's own.
        short_side: shorter side in pixels at which the network looks at a picture.
        timeout: seconds without any data after which a server counts as out of reach.

    Raises:
        AnimatorError: detector_unavailable if the weights cannot be had or do not fit (it can be
            retried where they could not be fetched), device_unavailable.
    """

    def __init__(
        self,
        device: str = "auto",
        weights: str | Path | None = None,
        *,
        short_side: int = _SHORT_SIDE,
        timeout: float = 20.0,
    ) -> None:
        self.device = choose_device(device)
        path = _own_weights(timeout) if weights is None else Path(weights)
        state = _read_state(path)
        from torchvision.models.detection import keypointrcnn_resnet50_fpn  # slow to import

        with torch.device("meta"):
            network = keypointrcnn_resnet50_fpn(
                weights=None,
                weights_backbone=None,
                min_size=short_side,
                max_size=max(_LONG_SIDE, short_side),
                box_score_thresh=MIN_PERSON,
                box_detections_per_img=_MOST_PERSONS,
            )
        try:
            # Nothing is initialised only to be overwritten: that alone would take seconds.
            network.load_state_dict(state, assign=True)
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            message = f"{quoted(path)} does not hold the weights of Keypoint R-CNN ({reason})."
            raise AnimatorError("detector_unavailable", message) from error
        self._network: Any = network.float().to(self.device).eval().requires_grad_(False)

    @torch.inference_mode()
    def find(self, picture: NDArray[np.uint8]) -> list[Body]:
        """See `BodyDetector.find`."""
        image = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device)
        (answer,) = self._network([image.permute(2, 0, 1).float() / 255])
        values = {name: value.float().cpu().numpy() for name, value in answer.items()}
        bodies = []
        for box, score, points, heights in zip(
            values["boxes"],
            values["scores"],
            values["keypoints"],
            values["keypoints_scores"],
            strict=True,
        ):
            # The network gives every joint a place; the height of its peak tells whether it is
            # seen.
            seen = (heights > MIN_JOINT) & np.isfinite(points).all(-1)
            joints = from_coco17(points[:, :2], seen)
            if score >= MIN_PERSON and found(joints).any():
                left, top, right, bottom = (float(edge) for edge in box)
                bodies.append(Body(joints, (left, top, right, bottom), float(score)))
        return sorted(bodies, key=lambda body: -body.area)


def own_weights_path() -> Path:
    """Where the weights of Keypoint R-CNN are, or would be."""
    return weights_folder() / KEYPOINT_RCNN_URL.rsplit("/", 1)[1]


def _own_weights(timeout: float) -> Path:
    path = own_weights_path()
    if path.is_file():
        return path
    log.info("fetching %s", KEYPOINT_RCNN_URL)
    try:
        fetch(KEYPOINT_RCNN_URL, path, timeout)
    except (OSError, ValueError) as error:
        raise AnimatorError(
            "detector_unavailable",
            f"The weights of the body detector could not be fetched ({error}); put "
            f"{KEYPOINT_RCNN_URL} into {path.parent}, name a file with --detector-weights, install "
            "another detector (`animator detectors install blazepose`), or give poses as JSON or "
            "CSV, which need no detector.",
            retryable=True,
        ) from error
    return path


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise AnimatorError("no_such_file", f"There is no file {quoted(path)}.") from None
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        pickle.UnpicklingError,
        SafetensorError,
    ) as error:
        # Parsers of damaged files raise whatever they come upon.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AnimatorError(
            "detector_unavailable",
            f"The body detector's weights {quoted(path)} cannot be used ({reason}).",
        ) from error
    if not isinstance(state, dict):
        message = f"The body detector's weights {quoted(path)} hold no table of tensors."
        raise AnimatorError("detector_unavailable", message)
    return state
