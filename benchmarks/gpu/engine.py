"""The engine fed with ready guidance: frames a second by the number of clips, and idle time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from bench_engine import engined, measure_clips
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.engine import Engine, fitting_slots
from gpu.networks import clips, default_weights, face_animation
from gpu.parts import Setting
from gpu.sheet import Sheet


def measure(setting: Setting, sheet: Sheet) -> None:
    """Both face models, each clip fed and emptied by a thread of its own."""
    sheet.note(
        "alone: one clip after the other; batch: all as one batch, both without the engine. Idle "
        "is what the engine lacks to the better of them, on a CPU the share of its threads' time "
        "that is spent in no step. GPU idle is the share of the time in which no kernel runs."
    )
    counts, frames = ((2,), 2) if setting.small else ((1, 4, 8, 16, 32), 60)
    default_weights(setting, sheet)
    for name in ("published", "default"):
        generator = face_animation(setting, name, "bfloat16")
        for count in counts:
            # Many clips are as many frames: no need for as many of each.
            each = max(2, frames // max(1, count // 4))
            found = measure_clips(generator, count, each, repeats=1 if setting.small else 2)
            rates = found["frames a second"]
            sheet.row(
                model=name, clips=count, alone=rates["alone"]["median"],
                batch=rates["batch"]["median"], engine=rates["engine"]["median"],
                idle=found["idle"], frames_a_step=found["frames a step"],
                GPU_idle=device_idle(setting, generator, count, each),
            )  # fmt: skip


def device_idle(
    setting: Setting, generator: PortraitGenerator, count: int, frames: int
) -> float | None:
    """The share of the time in which the GPU runs nothing while the engine does; None on a CPU."""
    states, drawn = clips(generator, count, 2 * generator.structure_size)
    engine = Engine(generator, fitting_slots(generator.device))
    engined(engine, states, drawn, 2)  # graphs are captured
    if not setting.cuda:
        return None
    # Kernels of all threads are seen, whichever has started them.
    with profile(activities=[ProfilerActivity.CUDA]) as measured:
        wall = _seconds(lambda: engined(engine, states, drawn, frames))
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in measured.events() or []
        if event.device_type == DeviceType.CUDA
    ]
    return 1 - covered(spans) / 1e6 / wall if spans else None


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """How long it is that at least one of some spans of time goes on."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
