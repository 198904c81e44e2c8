"""Body detectors behind one protocol: the persons in a picture, and their joints."""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.weights.loading import choose_device
from gfla.joints import Joints, found, from_coco17
from gfla.pretrained import fetch, weights_folder

log = logging.getLogger(__name__)

KEYPOINT_RCNN_URL = (
    "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth"
)
"""Trained on COCO; its name ends in the first digits of the file's SHA-256."""
MIN_PERSON = 0.7
"""Least certainty of a person, 0 to 1."""
SAME_BODY = 0.3
"""Least overlap of boxes in successive frames that are one person's, 0 to 1."""
MIN_JOINT = 2.0
"""Least height of a joint's peak, in the network's own unit; torchvision's examples draw no lower
ones."""
_LONG_SIDE = 1333
_SHORT_SIDE = 800
_MOST_PERSONS = 20


@dataclass(frozen=True, eq=False)
class Body:
    """One person in a picture.

    Attributes:
        joints: 18 x 2 pixels (x, y) in the order of ``gfla.joints.JOINTS``, -1 where not found.
        box: left, top, right and bottom in pixels.
        score: how certain it is that this is a person, 0 to 1.
    """

    joints: Joints
    box: tuple[float, float, float, float]
    score: float

    @property
    def area(self) -> float:
        """Of the box, in pixels."""
        left, top, right, bottom = self.box
        return max(0.0, right - left) * max(0.0, bottom - top)


class BodyDetector(Protocol):
    """Finds persons and their joints."""

    def find(self, picture: NDArray[np.uint8]) -> list[Body]:
        """The persons in a picture uint8 H W 3 RGB, the largest first."""
        ...


def follow(bodies: list[Body], before: Body | None) -> Body | None:
    """Who goes on from the frame before: whose box overlaps most with that one's, else the largest.

    Args:
        bodies: in this frame, the largest first.
        before: who was followed so far.
    """
    if before is not None and bodies:
        nearest = max(bodies, key=lambda body: _overlap(body, before))
        if _overlap(nearest, before) >= SAME_BODY:
            return nearest
    return bodies[0] if bodies else None


def _overlap(one: Body, other: Body) -> float:
    """Common area in parts of the area of both boxes, 0 to 1."""
    left, top = (max(one.box[i], other.box[i]) for i in (0, 1))
    right, bottom = (min(one.box[i], other.box[i]) for i in (2, 3))
    common = max(0.0, right - left) * max(0.0, bottom - top)
    whole = one.area + other.area - common
    return common / whole if whole > 0 else 0.0


def largest_body(picture: NDArray[np.uint8], detector: BodyDetector, what: str | Path) -> Joints:
    """The joints of the largest person.

    Raises:
        AnimatorError: no_body.
    """
    bodies = detector.find(picture)
    if not bodies:
        raise AnimatorError("no_body", f"No person was found in {quoted(what)}.")
    return bodies[0].joints


def resolve_body_detector(name: str = "auto", state_dir: Path | None = None) -> str:
    """Which body detector "auto" means on this machine; other names stand for themselves."""
    return "keypoint-rcnn" if name == "auto" else name


def make_body_detector(
    name: str = "auto",
    device: str = "auto",
    state_dir: Path | None = None,
    *,
    weights: str | Path | None = None,
) -> BodyDetector:
    """Load a body detector.

    Args:
        name: which one.
        device: where it computes.
        state_dir: the state folder that installed detectors are in.
        weights: a file of weights for keypoint-rcnn; None for torchvision's own.

    Raises:
        AnimatorError: detector_unavailable if it is not installed.
    """
    if name == "blazepose":
        raise AnimatorError("detector_unavailable", "The detector blazepose is not installed.")
    return KeypointRcnn(device, weights)


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
            f"{KEYPOINT_RCNN_URL} into {path.parent}, name a file with --detector-weights, or give "
            "poses as JSON or CSV, which need no detector.",
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
