"""A step of the face models in every arithmetic: time, memory and fidelity."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from bench_generator import fidelity
from environment import interleaved, peak_bytes
from steps import Step, Variant, make_step
from torch import Tensor

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.batches import BatchStep
from gfla.models.generators import AnimationGenerator
from gpu.networks import (
    clips,
    default_weights,
    face_animation,
    inputs,
    side,
    tensor_float,
    untrained_face,
)
from gpu.parts import Setting
from gpu.sheet import Sheet

REPEATS = 9
COMPILING_SECONDS = 40.0
"""What a compilation may take: none is begun when less is left."""


class Way(NamedTuple):
    """A variant, and whether its float32 is rounded (TF32)."""

    variant: Variant
    rounded: bool = False

    @property
    def name(self) -> str:
        """All of it, for tables."""
        return f"{self.variant.name}{', TF32' * self.rounded}"


CPU_WAYS = (
    Way(Variant()),
    Way(Variant(channels_last=True)),
    Way(Variant(bfloat16=True, channels_last=True)),
)
CUDA_WAYS = (
    Way(Variant("torch")),
    Way(Variant("triton")),
    Way(Variant("triton"), rounded=True),
    Way(Variant("triton", channels_last=True), rounded=True),
    Way(Variant("torch", bfloat16=True)),
    Way(Variant("triton", bfloat16=True)),
    Way(Variant("triton", bfloat16=True, channels_last=True)),
    Way(Variant("triton", bfloat16=True, channels_last=True, mode="graph")),
)
COMPILED = tuple(
    Way(Variant(form, bfloat16=True, channels_last=True, mode="compile"))
    for form in ("torch", "triton")
)


def measure(setting: Setting, sheet: Sheet) -> None:
    """The published model, then the default one as the engine steps it, then compilation."""
    ends = time.monotonic() + setting.seconds
    face, batches = untrained_face(setting), (1, 2) if setting.small else (1, 8, 32)
    wanted = make_step(face, Variant(), inputs(face.config, 1, side(setting)), "cpu")()
    for batch in batches:
        for way in CUDA_WAYS if setting.cuda else CPU_WAYS:
            published(setting, sheet, face, way, batch, wanted)
    default_weights(setting, sheet)
    for batch in batches:
        for precision in ("float32", "bfloat16"):
            default(setting, sheet, precision, batch)
    for batch in batches if setting.cuda else ():
        for way in COMPILED:
            if ends - time.monotonic() < COMPILING_SECONDS:
                sheet.note(f"{way.name}, batch {batch}: no time left to compile it.")
                continue
            torch.compiler.reset()
            published(setting, sheet, face, way, batch, wanted)


def published(
    setting: Setting,
    sheet: Sheet,
    face: AnimationGenerator,
    way: Way,
    batch: int,
    wanted: Tensor,
) -> None:
    """The published face model in one way at one batch."""
    given, made = inputs(face.config, batch, side(setting)), list[Step]()

    def build() -> Tensor:
        made.append(make_step(face, way.variant, given, setting.device))
        return made[0]()

    began = time.monotonic()
    with tensor_float(way.rounded):
        try:
            peak = _peak(setting, build)
            ready = time.monotonic() - began
            (times,) = interleaved(made, 2 if setting.small else REPEATS)
            picture = made[0]()[:1]
        except torch.OutOfMemoryError:
            sheet.row(model="published", batch=batch, way=way.name, ms="out of memory")
            return
    sheet.row(
        model="published", batch=batch, way=way.name, ms=1000 * times["median"],
        least_ms=1000 * times["least"], frames_a_second=batch / times["median"],
        peak_MiB=peak, psnr_dB=fidelity(picture, wanted), ready_s=ready,
    )  # fmt: skip


def default(setting: Setting, sheet: Sheet, precision: str, batch: int) -> None:
    """The default model as the engine steps it: guidance in, bytes of pictures out."""
    for rounded in (False, True) if setting.cuda and precision == "float32" else (False,):
        began = time.monotonic()
        with tensor_float(rounded):
            generator = face_animation(setting, "default", precision)
            step = stepping(generator, batch)
            peak = _peak(setting, step)
            ready = time.monotonic() - began
            (times,) = interleaved([step], 2 if setting.small else 3 * REPEATS)
        sheet.row(
            model="default, in the engine", batch=batch, way=f"{precision}{', TF32' * rounded}",
            ms=1000 * times["median"], least_ms=1000 * times["least"],
            frames_a_second=batch / times["median"], peak_MiB=peak, psnr_dB=None, ready_s=ready,
        )  # fmt: skip


def stepping(generator: PortraitGenerator, batch: int) -> Callable[[], object]:
    """Steps one batch of clips further, each from the frame before."""
    states, drawn = clips(generator, batch, 2 * generator.structure_size)
    step, latest = BatchStep(generator, batch), [states]

    def work() -> object:
        stepped = step(latest[0], drawn)
        latest[0] = [state for state, _ in stepped]
        return stepped

    return work


def _peak(setting: Setting, work: Callable[[], object]) -> float | None:
    if setting.cuda:
        return peak_bytes(work, "cuda") / 2**20
    work()
    return None
