"""Batches that do not fit: the engine halves them, and every frame comes all the same."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from bench_engine import engined

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.clip import POLL
from animator.animation.rollout.engine import Engine
from gfla.models.rollout import RolloutState, Told
from gpu.networks import clips, face_animation, side
from gpu.parts import Setting
from gpu.sheet import Sheet

FRAMES = 4
ROOM = 1.1
"""Memory that is left, in units of what a fourth of the clips needs."""


def measure(setting: Setting, sheet: Sheet) -> None:
    """As many clips as do not fit together into what is left of the memory."""
    generator = face_animation(setting, "published", "bfloat16")
    count = 4 if setting.small else 32
    states, drawn = clips(generator, count, side(setting))
    with little_memory(setting, sheet, generator, count, states, drawn):
        engine = Engine(generator, count, batched=True)
        engined(engine, states, drawn, FRAMES)
    found = engine.counters()
    sheet.row(
        clips=count, frames=found.frames, steps=found.steps, halvings=found.halvings,
        most_in_a_batch=found.limit, failures=found.failures,
    )  # fmt: skip
    if not found.halvings:
        sheet.fault("all of them fitted, so nothing was halved")
    if found.failures or found.frames < count * FRAMES:
        sheet.fault(
            f"{found.frames} of {count * FRAMES} frames came, {found.failures} clips failed"
        )


@contextmanager
def little_memory(
    setting: Setting,
    sheet: Sheet,
    generator: PortraitGenerator,
    count: int,
    states: list[RolloutState],
    drawn: list[Any],
) -> Iterator[None]:
    """Room for about a fourth of the clips; on a CPU the networks say that there is none."""
    if not setting.cuda:
        with refusing(generator, count // 4):
            yield
        return
    # What a fourth of the clips needs.
    fourth = Engine(generator, count // 4)
    torch.cuda.reset_peak_memory_stats()
    engined(fourth, states[: count // 4], drawn[: count // 4], 2)
    needed = torch.cuda.max_memory_reserved()
    del fourth
    time.sleep(10 * POLL)  # by then its thread has ended, too
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    sheet.note(f"{count // 4} clips reserve {needed / 2**20:.0f} MiB; {ROOM} times that is left.")
    torch.cuda.set_per_process_memory_fraction(min(1.0, ROOM * needed / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@contextmanager
def refusing(generator: PortraitGenerator, most: int) -> Iterator[None]:
    """Networks that run out of memory with more clips than so many."""
    network, advance = generator.network, generator.network.advance

    def bounded(state: RolloutState, told: Told) -> Any:
        if len(told.structure) > most:
            raise torch.OutOfMemoryError(f"there is room for {most} clips")
        return advance(state, told)

    network.advance = bounded  # type: ignore
    try:
        yield
    finally:
        del network.advance
