"""Sizes and times of a run, found without beginning it."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from gfla.data.readers import open_samples
from gfla.errors import GflaError
from gfla.training.config import TrainingConfig
from gfla.training.config_files import dump
from gfla.training.launch import OpenData, RunRequest, make_fabric, open_samples_for
from gfla.training.loader import Sturdy
from gfla.training.loop import Loop
from gfla.training.state import Run

MEASURED = 2
"""Steps that are timed, after one that warms up."""
ADAM_AND_GRADIENT = 3
"""Numbers kept for each trained one, besides itself."""


@dataclass(frozen=True)
class RunPlan:
    """What was found.

    Attributes:
        config: resolved, as YAML.
        parameters: of the generator.
        critic_parameters: of all critics.
        device: where it was measured.
        state_bytes: weights, gradients, Adam's means, averaged weights and features.
        batch_bytes: measured for one batch on top of that; an estimate on the CPU.
        step_seconds: of a step with all its batches, without waiting for data.
        sample_seconds: to make a sample in one process.
        measured_batch: pairs or clips that were measured; times and bytes are scaled from them.
        lacking: what the run itself will need and what is not here yet; empty if nothing.
    """

    config: str
    parameters: int
    critic_parameters: int
    device: str
    state_bytes: int
    batch_bytes: int
    step_seconds: float
    sample_seconds: float
    measured_batch: int
    lacking: str = ""


def dry_run(request: RunRequest, open_data: OpenData = open_samples) -> RunPlan:
    """Make a few steps on real samples, one device, and a small part of the batch on a CPU.

    Raises:
        GflaError: whatever would stop the run from beginning.
    """
    config = request.config
    sturdy = Sturdy(open_samples_for(request, "train", open_data))
    # One device stands for all; on a CPU two samples stand for the batch, for the sake of time.
    alone = RunRequest(config, request.data, request.out, 1, request.device)
    fabric = make_fabric(alone)
    measured = config.batch if fabric.device.type == "cuda" else min(config.batch, 2)
    # Real samples: broken data is found here as well.
    began = time.perf_counter()
    samples = [sturdy[index] for index in range(measured)]
    sample_seconds = (time.perf_counter() - began) / measured
    found = [sample for sample, _ in samples if sample is not None]
    if len(found) < measured:
        raise GflaError("broken_data", samples[-1][1][-1].reason)
    # A run that nothing is written of.
    run, features = _run(config)
    loop = Loop(fabric, run, request.out)
    batch: dict[str, Tensor] = default_collate(found)
    batch = {name: fabric.to_device(value) for name, value in batch.items()}
    # The first step warms up, and takes what memory a step takes beyond the state.
    held = _peak(fabric.device)
    loop.measure(batch)
    step_bytes = max(0, _peak(fabric.device) - held)
    seconds = min(loop.measure(batch) for _ in range(MEASURED))
    # Time and memory grow with the batch.
    scale = config.batch / measured
    return RunPlan(
        dump(config),
        _count(run.generator),
        0 if run.critics is None else _count(run.critics),
        str(fabric.device),
        _state_bytes(run),
        int(step_bytes * scale),
        seconds * scale * config.accumulate,
        sample_seconds,
        measured,
        features,
    )


def _run(config: TrainingConfig) -> tuple[Run, str]:
    """A run, and what it lacks: features that are not here take as long with random weights."""
    try:
        return Run(config), ""
    except GflaError as error:
        if error.code != "features_unavailable":
            raise
        return Run(config, drawn_features=True), error.message


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _state_bytes(run: Run) -> int:
    modules = [run.task] if run.critics is None else [run.task, run.critics]
    total = 4 * _count(run.generator)  # the averaged weights
    for module in modules:
        for parameter in module.parameters():
            # Frozen weights, such as the features', have neither gradient nor means.
            copies = 1 + ADAM_AND_GRADIENT * parameter.requires_grad
            total += copies * parameter.numel() * parameter.element_size()
    return total


def _peak(device: torch.device) -> int:
    """The most memory held so far."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    # Bytes on macOS, kilobytes elsewhere.
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if sys.platform == "darwin" else 1024)
