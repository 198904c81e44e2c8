"""Small samples and configurations for tests of the trainer, and a process that trains."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gfla.data.readers import Wanted
from gfla.data.samples import Sample, Samples
from gfla.errors import GflaError
from gfla.training.config import TrainingConfig
from gfla.training.config_files import load_config
from gfla.training.launch import RunRequest, launch
from gfla.training.loop import Limits, StepReport

SIDE = 64
FACE = """
model: {kind: animation, encoder_widths: [4, 6, 8], flow_widths: [4, 4, 6, 6, 6],
        attention_hidden: 4, image_fusion: true, flow_prior: true}
data: {kind: faces, image_size: [64, 64], workers: 0}
losses: {perceptual: 0, style: 0, correctness: 0, rendered: 1, warped: 1, roughness: 0.05,
         expression: 4}
critics: {image: [4, 6], temporal: [4, 6]}
optimizer: {learning_rate: 1e-3, gradient_clip: 1.0, warmup_steps: 4, schedule: cosine}
batch: 1
frames: 3
block: 3
steps: 60
ema: 0.9
initial_gain: 0.5
record: {log_every: 2, sheet_every: 0, sheet_rows: 1, save_every: 7}
"""
PAIRS = """
model: {kind: pose-transfer, structure_channels: 3, encoder_widths: [4, 6, 8],
        flow_widths: [4, 4, 6, 6, 6], attention: [[2, 3]], attention_hidden: 4}
data: {kind: person, image_size: [64, 64], workers: 0}
losses: {perceptual: 0, style: 0, correctness: 0, warped: 1}
critics: {image: [4, 6]}
optimizer: {learning_rate: 1e-3}
batch: 2
steps: 60
ema: 0.9
initial_gain: 0.5
record: {log_every: 2, sheet_every: 0, sheet_rows: 2, save_every: 7}
"""


class Synthetic:
    """Samples of smooth noise; some of them broken."""

    def __init__(
        self, kind: str, wanted: Wanted, channels: int = 3, broken: tuple[int, ...] = ()
    ) -> None:
        self.kind, self.wanted, self.channels, self.broken = kind, wanted, channels, broken

    def __getitem__(self, index: int, /) -> Sample:
        if index in self.broken:
            raise GflaError("invalid_data", f"sample {index} is damaged")
        random = np.random.default_rng([self.wanted.seed, index])
        if self.kind in ("faces", "dance"):
            count = 1 + self.wanted.frames
            channels = 16 if self.kind == "faces" else 20
            landmarks = 0.5 + 0.2 * random.normal(size=(1, 68, 2)).clip(-1, 1)
            moved = landmarks + 0.01 * random.normal(size=(count, 68, 2))
            sample = {
                "images": _pictures(random, self.wanted.image_size, count),
                "structures": _maps(random, self.wanted.structure_size, count, channels),
            }
            faces = {"landmarks": torch.from_numpy(moved).float()}
            return sample | (faces if self.kind == "faces" else {})
        both = _pictures(random, self.wanted.image_size, 2)
        if self.kind in ("views", "synthetic-views"):
            maps = torch.from_numpy(random.random((2, 21, 1, 1))).float()
        else:
            maps = _maps(random, self.wanted.structure_size, 2, self.channels)
        return {
            "source": both[0], "target": both[1],
            "source_structure": maps[0], "target_structure": maps[1],
        }  # fmt: skip


def open_synthetic(kind: str, folder: Path, wanted: Wanted, options: Mapping[str, Any]) -> Samples:
    channels, broken = int(options.get("channels", 3)), tuple(options.get("broken", ()))
    return Synthetic(kind, wanted, channels, broken)


def _pictures(random: np.random.Generator, size: tuple[int, int], count: int) -> torch.Tensor:
    coarse = torch.from_numpy(random.random((count, 3, 4, 4))).float()
    fine = torch.nn.functional.interpolate(coarse, size, mode="bilinear")
    return (fine * 255).byte()


def _maps(
    random: np.random.Generator, size: tuple[int, int], count: int, channels: int
) -> torch.Tensor:
    coarse = torch.from_numpy(random.random((count, channels, 4, 4))).float()
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear")


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def configured(folder: Path, text: str, *overrides: str) -> TrainingConfig:
    return load_config(written(folder, text), overrides)


def state_of(folder: Path) -> dict[str, Any]:
    state = torch.load(folder / "state.pt", weights_only=True)
    assert isinstance(state, dict)
    return state


def lines_of(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / name).open()]
    for line in lines:  # what a machine's speed decides
        line.pop("images_per_second", None)
        line.pop("waiting", None)
    return lines


def differing(one: Any, other: Any, where: str = "") -> list[str]:
    """Names of the values that are not the same, bit for bit."""
    if isinstance(one, Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        return [n for key in one for n in differing(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list):
        pairs = enumerate(zip(one, other, strict=True))
        return [n for i, pair in pairs for n in differing(*pair, f"{where}[{i}]")]
    return [] if one == other else [where]


def main() -> None:
    """Train in a process of its own; ``--die-after`` ends it as a machine that fails would."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("out", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--die-after", type=int)
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    config = load_config(options.config, options.overrides)

    def report(report: StepReport) -> None:
        if report.step == options.die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    limits = Limits(max_steps=options.max_steps)
    request = RunRequest(config, Path("nowhere"), options.out, options.devices, "cpu", limits)
    launch(request, report, open_data=open_synthetic)


if __name__ == "__main__":
    main()
