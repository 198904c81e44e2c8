"""Loading a checkpoint, and choosing the device it runs on."""

from __future__ import annotations

from pathlib import Path

import torch

from animator.errors import AnimatorError
from animator.weights.library import sha256_of
from gfla import checkpoint
from gfla.errors import GflaError


def load_checkpoint(weights: Path, device: torch.device) -> tuple[checkpoint.Checkpoint, str, str]:
    """A checkpoint on a device, its SHA-256, and its name with the start of that.

    Raises:
        AnimatorError: weights_unreadable.
    """
    try:
        sha256 = sha256_of(weights)
        loaded = checkpoint.load(weights, device)
    except (OSError, GflaError) as error:
        message = f"The weights {str(weights)!r} cannot be used: {error}."
        raise AnimatorError("weights_unreadable", message) from error
    return loaded, sha256, f"{loaded.info.get('name', weights.stem)}@{sha256[:12]}"


def choose_device(name: str) -> torch.device:
    """The device that a name means; "auto" is the first GPU if there is one.

    Raises:
        AnimatorError: device_unavailable if it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        message = f"{name} was asked for, but this machine has {count} usable CUDA devices."
        raise AnimatorError("device_unavailable", message)
    return device
