"""Models in memory: of which file, on which device, in which arithmetic; loaded once a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from animator.errors import AnimatorError
from animator.settings import AttentionBackend, Settings
from animator.weights.library import (
    DEFAULT_WEIGHTS,
    read_record,
    refuse_stage_one,
    resolve_spec,
    sha256_of,
)
from gfla import checkpoint
from gfla.errors import GflaError
from gfla.models.attention import set_attention_backend

# Jobs that begin together wait for the first of them to load what they share.
_loading = threading.Lock()


class LoadedModel(Protocol):
    """What is loaded of a file of weights."""

    @property
    def network(self) -> nn.Module:
        """The networks."""
        ...

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        ...


Model = TypeVar("Model", bound=LoadedModel)
Open = Callable[[Path, torch.device, str], Model]
"""Makes a model of a checkpoint, for a device and a precision, "float32" or "bfloat16"."""


def load_model(
    open_file: Open[Model], weights: str, device: str, precision: str, settings: Settings
) -> Model:
    """A model; those in one process that ask for the same share it.

    Args:
        open_file: makes it of the file, a function of a module.
        weights: "default", a name in this machine's library, or an absolute path.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", see `choose_precision`, "float32" or "bfloat16".
        settings: where the library is, and how attention runs.

    Raises:
        AnimatorError: no_such_weights, weights_unreadable, weights_changed, device_unavailable,
            and those of ``open_file``.
    """
    chosen = choose_device(device)
    arithmetic = choose_precision(precision, chosen)
    path = resolve_spec(weights, settings)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        message = f"There are no weights at {str(path)!r}."
        raise AnimatorError("weights_unreadable", message) from None
    with _loading:
        model: Model = _kept(open_file, path, stamp, chosen, arithmetic, settings.attention)
    imported = path != DEFAULT_WEIGHTS and not os.path.isabs(weights)
    if imported and model.sha256 != read_record(weights, settings).sha256:
        message = f"The weights {weights!r} are not the file that was imported; import them again."
        raise AnimatorError("weights_changed", message)
    return model


@lru_cache(maxsize=2)
def _kept(
    open_file: Open[Any],
    path: Path,
    stamp: int,
    device: torch.device,
    precision: str,
    attention: AttentionBackend,
) -> Any:
    """A model by all that it depends on; ``stamp`` is when its file was last written."""
    model = open_file(path, device, precision)
    try:
        set_attention_backend(model.network, attention)
    except GflaError as error:
        message = f"What ANIMATOR_ATTENTION asks for cannot be used: {error.message}."
        raise AnimatorError("device_unavailable", message) from error
    return model


def load_checkpoint(weights: Path, device: torch.device) -> tuple[checkpoint.Checkpoint, str, str]:
    """A checkpoint on a device, its SHA-256, and its name with the start of that.

    Raises:
        AnimatorError: weights_unreadable, or weights_wrong_kind for stage 1, which cannot render.
    """
    try:
        sha256 = sha256_of(weights)
        loaded = checkpoint.load(weights, device)
    except (OSError, GflaError) as error:
        message = f"The weights {str(weights)!r} cannot be used: {error}."
        raise AnimatorError("weights_unreadable", message) from error
    refuse_stage_one(loaded.info, weights)
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


def choose_precision(name: str, device: torch.device) -> str:
    """The precision that a name means.

    "auto" is bfloat16 on CUDA and on a CPU with AMX, which multiplies matrices of it; others have
    it as well, but take longer with it than with float32.
    """
    if name != "auto":
        return name
    quick = device.type == "cuda" or torch.cpu.get_capabilities().get("amx_bf16", False)
    return "bfloat16" if quick else "float32"
