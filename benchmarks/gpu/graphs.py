"""A step replayed as a CUDA graph against the same step launched operation by operation."""

from __future__ import annotations

from dataclasses import replace

import torch
from environment import interleaved
from steps import Variant, make_step

from gfla.models.generators import AnimationGenerator
from gpu.networks import inputs, side, untrained_face
from gpu.parts import Setting
from gpu.sheet import Sheet

REPEATS = 15


def measure(setting: Setting, sheet: Sheet) -> None:
    """The published face model at several batches; pictures of both must be the same."""
    face = untrained_face(setting)
    forms = ("torch", "triton") if setting.cuda else ("torch",)
    if not setting.cuda:
        sheet.note("A CPU has no graphs: the step is compared with itself.")
    for batch in (1, 2) if setting.small else (1, 8, 32):
        for form in forms:
            for bfloat16 in (False, True):
                eager = Variant(form, bfloat16=bfloat16)
                compare(setting, sheet, face, eager, batch)


def compare(
    setting: Setting, sheet: Sheet, face: AnimationGenerator, eager: Variant, batch: int
) -> None:
    """One arithmetic at one batch."""
    other = replace(eager, mode="graph") if setting.cuda else eager
    given = inputs(face.config, batch, side(setting))
    try:
        steps = [make_step(face, way, given, setting.device) for way in (eager, other)]
        plain, replayed = (step().clone() for step in steps)
        times = [1000 * t["median"] for t in interleaved(steps, 2 if setting.small else REPEATS)]
    except torch.OutOfMemoryError:
        sheet.row(batch=batch, way=eager.name, eager_ms="out of memory")
        return
    difference = float((plain.float() - replayed.float()).abs().max())
    sheet.row(
        batch=batch, way=eager.name, eager_ms=times[0], graph_ms=times[1],
        times_as_fast=times[0] / times[1], difference=difference,
    )  # fmt: skip
    if not difference <= (2e-2 if eager.bfloat16 else 1e-4):
        sheet.fault(f"{eager.name}, batch {batch}: a graph's picture differs by {difference:.1e}")
