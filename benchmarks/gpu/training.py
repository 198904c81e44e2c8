"""A step of training at several batches, and where its time goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import default_collate

from gfla.training.config import TrainingConfig
from gfla.training.config_files import load_config
from gfla.training.launch import RunRequest, make_fabric, open_samples_for
from gfla.training.loader import Sturdy
from gfla.training.loop import Loop
from gfla.training.state import Run
from gpu.data import training_data
from gpu.parts import Setting
from gpu.sheet import Sheet

BATCHES = {"face-compact": (3, 16, 64), "face": (2, 8)}
SMALL = (
    *("model.encoder_widths=[4,6,8]", "model.flow_widths=[4,4,6,6,6]", "model.attention_hidden=4"),
    *("data.image_size=[128,128]", "data.workers=0"),
)
SMALL_COMPACT = (
    *("data.structure_size=[64,64]", "features.crop=64"),
    *("losses.feature_distance=0", "losses.detail=0"),  # whose network is large in any case
)
"""Few channels and pixels; and what the default model has besides."""
MEASURED, SHOWN = 3, 12
"""Steps that are timed, after one that warms up; operations of the profile that are shown."""


def measure(setting: Setting, sheet: Sheet) -> None:
    """Both face configurations, from small batches to large ones, then a profile of each."""
    sheet.note("Features of random weights: as fast as real ones.")
    data = training_data(setting, sheet)
    for name, batches in list(BATCHES.items())[: 1 if setting.small else None]:
        for bfloat16 in (True,) if setting.small else (False, True):
            for batch in (1,) if setting.small else batches:
                config = configured(setting, name, batch, bfloat16)
                request = RunRequest(config, data, setting.folder, device=setting.device)
                profiled = setting.small or (bfloat16 and batch == batches[-1])
                try:
                    one(setting, sheet, request, profiled)
                except torch.OutOfMemoryError:
                    sheet.row(config=name, batch=batch, bf16=bfloat16, ms="out of memory")


def configured(setting: Setting, name: str, batch: int, bfloat16: bool) -> TrainingConfig:
    """A configuration whose clips are one block long, so that a step is what is measured."""
    few = load_config(name)
    overrides = [f"batch={batch}", f"frames={few.block}", f"bf16={str(bfloat16).lower()}"]
    if setting.small:
        overrides += [*SMALL, "frames=2", "block=2"]
        overrides += SMALL_COMPACT if few.data.structure_size else ["data.image_size=[64,64]"]
    return load_config(name, overrides)


def one(setting: Setting, sheet: Sheet, request: RunRequest, profiled: bool) -> None:
    """Steps of one run that is thrown away."""
    config = request.config
    if setting.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    loop, batch = prepared(request)
    warm = loop.measure(batch)
    seconds = [loop.measure(batch) for _ in range(1 if setting.small else MEASURED)]
    peak = torch.cuda.max_memory_allocated() / 2**20 if setting.cuda else None
    best = min(seconds)
    sheet.row(
        config=config.name, batch=config.batch, bf16=config.bf16, ms=1000 * best,
        first_ms=1000 * warm, pictures_a_second=config.batch * config.block / best, peak_MiB=peak,
    )  # fmt: skip
    if profiled:
        shares(setting, sheet, f"{config.name}, batch {config.batch}", lambda: loop.measure(batch))


def prepared(request: RunRequest) -> tuple[Loop, dict[str, Tensor]]:
    """A loop without a run folder, and a batch on its device."""
    fabric = make_fabric(request)
    loop = Loop(fabric, Run(request.config, drawn_features=True), request.out)
    samples = Sturdy(open_samples_for(request, "train"))
    drawn = [samples[index][0] for index in range(request.config.batch)]
    batch: dict[str, Tensor] = default_collate([sample for sample in drawn if sample is not None])
    return loop, {name: fabric.to_device(value) for name, value in batch.items()}


def shares(setting: Setting, sheet: Sheet, title: str, step: Callable[[], Any]) -> None:
    """What the device does in a step, the longest first, and how long it does nothing."""
    # On CUDA only what runs there: an operation's kernels are listed by themselves.
    activities = [ProfilerActivity.CUDA if setting.cuda else ProfilerActivity.CPU]
    began = time.perf_counter()
    with profile(activities=activities) as measured:
        step()
    wall = 1e6 * (time.perf_counter() - began)
    field = "self_device_time_total" if setting.cuda else "self_cpu_time_total"
    events = [
        event
        for event in measured.key_averages()
        if not setting.cuda or str(event.device_type).endswith("CUDA")
    ]
    events.sort(key=lambda event: -getattr(event, field))
    busy = sum(getattr(event, field) for event in events)
    for event in events[:SHOWN]:
        took = getattr(event, field)
        sheet.row(
            step=title, operation=event.key[:80], calls=event.count, ms=took / 1000,
            share=took / max(busy, 1e-9),
        )  # fmt: skip
    if setting.cuda:
        sheet.note(f"{title}: busy for {busy / 1000:.1f} ms of {wall / 1000:.1f} (profiled).")
