"""Every generator on the device against the CPU's float32."""

from __future__ import annotations

import copy

import torch
from bench_generator import fidelity

from gfla import checkpoint
from gfla.build import Generator
from gfla.config import PUBLISHED
from gpu.networks import default_weights, fitting, inputs, rendered, side, tensor_float, untrained
from gpu.parts import Setting
from gpu.sheet import Sheet

ARITHMETIC = {"float32": 70.0, "TF32": 40.0, "bfloat16": 25.0}
"""And the least PSNR, in dB, of a picture in [-1, 1], below which something is wrong."""


def measure(setting: Setting, sheet: Sheet) -> None:
    """All of the published models with random weights, and the default weights."""
    for name, config in PUBLISHED.items():
        compare(setting, sheet, name, untrained(fitting(config, setting)))
    if not setting.small:
        generator = (
            checkpoint.load(default_weights(setting, sheet)).generator.eval().requires_grad_(False)
        )
        compare(setting, sheet, "default weights", generator)


def compare(setting: Setting, sheet: Sheet, name: str, generator: Generator) -> None:
    """One of them in every arithmetic."""
    picture, structure = inputs(generator.config, 1, side(setting))
    if name == "default weights":
        structure = torch.nn.functional.avg_pool2d(structure, 2)
    wanted = rendered(generator, picture, structure)
    there = copy.deepcopy(generator).to(setting.device)
    for arithmetic, least in ARITHMETIC.items():
        if arithmetic == "TF32" and not setting.cuda:
            continue
        narrow = torch.autocast(setting.device, torch.bfloat16, enabled=arithmetic == "bfloat16")
        with tensor_float(arithmetic == "TF32"), narrow:
            got = rendered(there, picture.to(setting.device), structure.to(setting.device))
        psnr = fidelity(got, wanted)
        off = float((got.float().cpu() - wanted).abs().max())
        sheet.row(generator=name, arithmetic=arithmetic, psnr_dB=psnr, largest_difference=off)
        if not psnr >= least:
            sheet.fault(f"{name} in {arithmetic}: {psnr:.1f} dB, less than {least:.0f}")
