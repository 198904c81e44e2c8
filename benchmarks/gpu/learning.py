"""Training as anybody trains it, from a checkpoint, for as long as there is time."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

from gfla import checkpoint
from gfla.config import AnimationConfig
from gfla.training.config_files import load_config
from gfla.training.launch import RunRequest, launch
from gfla.training.loop import Limits, StepReport
from gpu.data import CHECKPOINT, FEATURES, training_data, travelled
from gpu.networks import default_weights, untrained
from gpu.parts import Setting
from gpu.sheet import Sheet
from gpu.training import SMALL, SMALL_COMPACT

STARTING_SECONDS = 20.0
"""What is left for the start and the end of the run."""
ROW_SECONDS = 10.0
BATCH = 32


def measure(setting: Setting, sheet: Sheet) -> None:
    """The default face model, further on real data."""
    overrides = ["optimizer.schedule=constant", "optimizer.warmup_steps=0", "record.sheet_every=0"]
    overrides += ["optimizer.learning_rate=0.0001", "record.save_minutes=60", "record.save_every=0"]
    workers = min(8, os.cpu_count() or 1)
    overrides += [] if setting.small else [f"batch={BATCH}", f"data.workers={workers}"]
    features = travelled(setting, FEATURES)
    if features is None:
        sheet.note(
            "No features travelled along: the terms of the loss that need them are left out."
        )
        overrides += ["losses.feature_distance=0", "losses.detail=0"]
    else:
        overrides += [f"features.path={features}"]
    if setting.small:
        overrides += [*SMALL, *SMALL_COMPACT]
        overrides += ["batch=1", "frames=2", "block=2", "record.sheet_rows=1"]
    start = beginning(setting, sheet, overrides)
    overrides += [*model_of(start), f"start_from={start}"]
    config = load_config("face-compact", overrides)
    minutes = max(setting.seconds - STARTING_SECONDS, 1) / 60
    limits = Limits(max_minutes=minutes, max_steps=2 if setting.small else None)
    data = training_data(setting, sheet)
    request = RunRequest(config, data, setting.folder / "run", device=setting.device, limits=limits)
    written = Rows(sheet, 0.0 if setting.small else ROW_SECONDS)
    result = launch(request, report=written)
    sheet.note(f"{result.step} steps; it ended by {result.end}.")
    if not written.count:
        sheet.fault("no step was made")


def beginning(setting: Setting, sheet: Sheet, overrides: list[str]) -> Path:
    """The checkpoint to begin with: what travelled along, or the default weights."""
    found = travelled(setting, CHECKPOINT)
    if not setting.small:
        return found or default_weights(setting, sheet)
    config = load_config("face-compact", overrides).model
    assert isinstance(config, AnimationConfig)
    path = setting.folder / CHECKPOINT
    checkpoint.save(path, untrained(config), {"structure_size": 64})
    return path


def model_of(path: Path) -> list[str]:
    """What configures the model whose weights these are."""
    values = asdict(checkpoint.load(path).generator.config)
    return [f"model.{name}={json.dumps(value)}" for name, value in values.items()]


class Rows:
    """Writes a row now and then.

    Args:
        sheet: where to.
        every: seconds between rows.
    """

    def __init__(self, sheet: Sheet, every: float) -> None:
        self._sheet, self._every = sheet, every
        self._began = time.monotonic()
        self._latest: float | None = None
        self.count = 0

    def __call__(self, report: StepReport) -> None:
        """Take a step's report."""
        now = time.monotonic()
        if self._latest is not None and now - self._latest < self._every:
            return
        self._latest = now
        self.count += 1
        loss = report.values.get("loss")
        self._sheet.row(
            s=now - self._began, step=report.step, loss=None if loss is None else float(loss),
            pictures_a_second=report.pictures_per_second, waiting_for_data=report.waiting,
        )  # fmt: skip
