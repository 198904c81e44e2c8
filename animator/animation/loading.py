"""Generators, loaded once a process, and the engines that run them."""

from __future__ import annotations

import functools
import os
import threading
from pathlib import Path

import torch

from animator.animation.engine import CUDA_SLOTS, Engine, making
from animator.animation.portrait import PortraitGenerator
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.weights.library import DEFAULT_WEIGHTS, read_record, resolve_spec
from animator.weights.loading import choose_device
from gfla.errors import GflaError
from gfla.models.attention import set_attention_backend

_loading = threading.Lock()


def load_generator(
    weights: str, device: str, precision: str, settings: Settings
) -> PortraitGenerator:
    """The model for a job; jobs of one process that ask for the same share it.

    Args:
        weights: "default", a name in this machine's library, or an absolute path.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" (float32 on CPU, bfloat16 on CUDA), "float32" or "bfloat16".
        settings: where the library is, and how attention runs.

    Raises:
        AnimatorError: no_such_weights, weights_unreadable, weights_changed, weights_wrong_kind,
            device_unavailable.
    """
    chosen = choose_device(device)
    if precision == "auto":
        precision = "bfloat16" if chosen.type == "cuda" else "float32"
    path = resolve_spec(weights, settings)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        message = f"There are no weights at {str(path)!r}."
        raise AnimatorError("weights_unreadable", message) from None
    with _loading:
        generator = _cached_generator(path, stamp, chosen, precision)
    try:
        set_attention_backend(generator.network, settings.attention)
    except GflaError as error:
        message = f"What ANIMATOR_ATTENTION asks for cannot be used: {error.message}."
        raise AnimatorError("device_unavailable", message) from error
    imported = path != DEFAULT_WEIGHTS and not os.path.isabs(weights)
    if imported and generator.sha256 != read_record(weights, settings).sha256:
        message = f"The weights {weights!r} are not the file that was imported; import them again."
        raise AnimatorError("weights_changed", message)
    return generator


@functools.lru_cache(maxsize=2)
def _cached_generator(
    path: Path, stamp: int, device: torch.device, precision: str
) -> PortraitGenerator:
    return PortraitGenerator(path, device, precision)


def engine_for(generator: PortraitGenerator, settings: Settings) -> Engine:
    """The engine of a loaded model; it is kept with the model, so one that is unloaded takes it."""
    with making:
        if generator.engine is None:
            on_cuda = generator.device.type == "cuda"
            fitting = CUDA_SLOTS if on_cuda else _cores() // torch.get_num_threads()
            generator.engine = Engine(generator, settings.slots or max(1, fitting))
        return generator.engine


def _cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
