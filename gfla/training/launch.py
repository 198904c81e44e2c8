"""The launcher of a run: from a configuration and folders to a loop on its devices."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from torch.utils.data import default_collate

from gfla.data.pairs import PersonPairs
from gfla.data.readers import Split, Wanted, open_samples, published_draws
from gfla.data.samples import Positions, Samples
from gfla.errors import GflaError
from gfla.files import write_text
from gfla.training.config import TrainingConfig
from gfla.training.config_files import differences, dump
from gfla.training.loader import Sturdy, make_loader
from gfla.training.loop import End, Limits, Loop, StepReport
from gfla.training.records import Records, code_version
from gfla.training.state import AVERAGE, Run, read_state
from gfla.training.tasks.base import Batch

CONFIG, ABOUT, LEFT_OUT = "config.yaml", "run.json", "left-out.json"
OpenData = Callable[[str, Path, Wanted, Mapping[str, Any]], Samples]


@dataclass(frozen=True)
class RunRequest:
    """What to train, on what, where."""

    config: TrainingConfig
    """Of the run."""
    data: Path
    """Folder of the data set."""
    out: Path
    """Folder of the run; one that holds the same run is resumed."""
    devices: int = 1
    """Processes, one for each GPU; on a CPU they share its cores."""
    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one."""
    limits: Limits = Limits()
    """Of this call."""


@dataclass(frozen=True)
class RunResult:
    """How a call ended.

    Attributes:
        end: why.
        step: steps made in all.
        weights: file of the averaged weights.
    """

    end: End
    step: int
    weights: Path


def launch(
    request: RunRequest,
    report: Callable[[StepReport], None] = lambda report: None,
    say: Callable[[str], None] = lambda text: None,
    open_data: OpenData = open_samples,
) -> RunResult:
    """Train, or go on with a run.

    With several devices this process starts the others with its own command line; all of them
    come here.

    Args:
        request: see there.
        report: called after every step in the first process.
        say: called with a sentence for a person, likewise.
        open_data: how data is opened.

    Raises:
        GflaError: ``other_run`` naming what differs if the folder holds another run, or if another
            process trains into it,
            ``device_unavailable``, ``invalid_config``, ``diverged``, ``broken_data``, or what
            opening the data, the features or the weights raises.
    """
    # What can be wrong is found before other processes are started.
    found = read_state(request.out)
    state = None if found is None else _resumable(request, *found)
    samples = open_samples_for(request, "train", open_data)
    fabric = make_fabric(request)
    fabric.launch()
    with alone_in(request.out) if fabric.is_global_zero else nullcontext():
        return _train(fabric, request, state, samples, report, say, open_data)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from training into a folder; a process that dies lets go of it.

    A folder that was not there and stays empty is removed again.

    Raises:
        GflaError: ``other_run`` if one does already.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    # A lock of the system, on the folder itself: no file that a killed process would leave behind.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GflaError("other_run", f"another process is training into {folder}") from error
        yield
    finally:
        if made:
            with suppress(OSError):  # unless it is empty, as after a mistake at the start
                folder.rmdir()
        os.close(descriptor)


def _train(
    fabric: Fabric,
    request: RunRequest,
    state: dict[str, Any] | None,
    samples: Samples,
    report: Callable[[StepReport], None],
    say: Callable[[str], None],
    open_data: OpenData,
) -> RunResult:
    """What every process of a run does, once all are there."""
    config = request.config
    run = Run(config, devices=request.devices, fresh=state is None)
    # Only the first process writes into the folder; the barrier makes the others wait for it.
    first = fabric.is_global_zero
    if first:
        _write_about(request, new=state is None)
    info = about_weights(config, samples)
    loop = Loop(fabric, run, request.out, info=info, state=state, report=report)
    fabric.barrier()
    # This process' part of every step, from where the run stopped.
    positions = Positions(config.batch, run.position, fabric.global_rank, fabric.world_size)
    batches = make_loader(
        samples, positions, config.data.workers, config.data.prefetch,
        pin_memory=fabric.device.type == "cuda",
    )  # fmt: skip
    # What a person is told.
    if first:
        count = sum(parameter.numel() for parameter in run.generator.parameters())
        begin = f"goes on after step {run.step}" if state else "begins"
        say(f"{config.name}: {count:,} parameters, {begin}, {config.steps:,} steps in all")
        if left := list(getattr(samples, "skipped", ())):
            write_text(request.out / LEFT_OUT, json.dumps(left, indent=1))
            say(f"{len(left)} items of the data are left out, see {LEFT_OUT}")
    if state is None:
        loop.save()  # from here on the folder holds a run
    # All processes train; the first one also keeps records and draws sheets.
    if not first:
        return RunResult(loop.train(batches, None, None, request.limits), run.step, request.out)
    with Records(request.out, run.step) as records:
        sheet = sheet_batch(request, open_data)
        end = loop.train(batches, records, sheet, request.limits)
    return RunResult(end, run.step, request.out / AVERAGE)


def make_fabric(request: RunRequest) -> Fabric:
    """Device, precision and processes of a request.

    Raises:
        GflaError: ``device_unavailable`` or ``invalid_config``.
    """
    # Devices.
    there, name = torch.cuda.device_count(), request.device
    if name not in ("auto", "cpu", "cuda") or request.devices < 1:
        message = f"device is {name!r}, devices {request.devices}"
        raise GflaError("invalid_config", f"{message}; allowed: auto, cpu, cuda, and 1 or more")
    if name == "auto":
        name = "cuda" if there else "cpu"
    if name == "cuda" and there < request.devices:
        raise GflaError(
            "device_unavailable", f"{request.devices} CUDA devices were asked for, {there} found"
        )
    # What the library would say is no news to whoever asked for these very devices.
    for logger in ("lightning.fabric", "lightning.pytorch", "lightning"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    # Newer versions of PyTorch have another name for it, older ones this one alone.
    warnings.filterwarnings("ignore", message=".*broadcast_buffers. is deprecated.*")
    # Market-1501's deepest source features, say, take no part; buffers are alike by construction.
    several = DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
    return Fabric(
        accelerator=name,
        devices=request.devices,
        strategy=several if request.devices > 1 else "auto",
        precision="bf16-mixed" if request.config.bf16 else "32-true",
    )


def open_samples_for(
    request: RunRequest, split: Split, open_data: OpenData = open_samples
) -> Samples:
    """The data of a request; held-out samples have a seed of their own."""
    data = request.config.data
    wanted = Wanted(
        split,
        data.image_size,
        data.seen_size,
        request.config.frames,
        request.config.seed if split == "train" else 0,
    )
    return open_data(data.kind, request.data, wanted, data.options)


def sheet_batch(request: RunRequest, open_data: OpenData = open_samples) -> Batch:
    """The samples of the sheets: held-out ones where there are any."""
    try:
        samples = open_samples_for(request, "held-out", open_data)
    except GflaError as error:
        if error.code != "no_data":
            raise
        samples = open_samples_for(request, "train", open_data)
    # Always the first ones, so that sheets of different steps can be compared.
    sturdy = Sturdy(samples)
    found = [sturdy[index][0] for index in range(request.config.record.sheet_rows)]
    whole = [sample for sample in found if sample is not None]
    if not whole:
        raise GflaError("broken_data", "none of the samples for the sheets can be used")
    batch: Batch = default_collate(whole)
    return batch


def about_weights(config: TrainingConfig, samples: Samples | None = None) -> dict[str, Any]:
    """What the averaged weights' file says of itself, besides its step.

    Args:
        config: of the run.
        samples: what it is trained on; their pictures may have had another aspect.
    """
    info: dict[str, Any] = {"name": config.name, "code": code_version()}
    if config.stage == "flow":  # such weights render nothing yet
        info["stage"] = config.stage
    if config.animates:
        info["structure_size"] = config.data.seen_size[0]
        # How its guidance was drawn.
        published = published_draws(config.data.kind, config.data.options)
        if config.data.kind == "dance":
            info["skeleton"] = "published" if published else "coco"
        elif published:
            info |= {"drawing": "published", "background_edges": True}
    else:
        info["image_size"] = list(config.data.image_size)
        if isinstance(samples, PersonPairs):
            info["picture_size"] = list(samples.picture_size)
            info["resample"] = samples.resample
    return info


def _resumable(
    request: RunRequest, config: TrainingConfig, state: dict[str, Any]
) -> dict[str, Any]:
    """The state of a folder, if it is of this very run."""
    differs = differences(config, request.config)
    ours, now = state["step_size"], step_size(request)
    if ours != now:
        differs.append(
            f"pictures or clips a step (batch x accumulate x devices): {ours}, not {now}"
        )
    if differs:
        raise GflaError(
            "other_run",
            f"{request.out} holds another run ({'; '.join(differs)}); train into another folder, "
            "or go on with the configuration that this one has",
        )
    return state


def step_size(request: RunRequest) -> int:
    """Pairs or clips of a step, of all processes."""
    return request.config.batch * request.config.accumulate * request.devices


def _write_about(request: RunRequest, new: bool) -> None:
    """The resolved configuration, and a line about each call."""
    request.out.mkdir(parents=True, exist_ok=True)
    write_text(request.out / CONFIG, dump(request.config))
    path = request.out / ABOUT
    calls = [] if new or not path.exists() else json.loads(path.read_text(encoding="utf-8"))
    calls.append(
        {
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            "code": code_version(),
            "torch": torch.__version__,
            "data": str(request.data.resolve()),
            "devices": request.devices,
        }
    )
    write_text(path, json.dumps(calls, indent=2))
