"""The engine fed with ready guidance: frames a second by the number of clips, and idle time."""

from __future__ import annotations

from bench_engine import measure_clips

from gpu.networks import face_animation
from gpu.parts import Setting
from gpu.sheet import Sheet


def measure(setting: Setting, sheet: Sheet) -> None:
    """Both face models, each clip fed and emptied by a thread of its own."""
    sheet.note(
        "alone: one clip after the other; batch: all as one batch, both without the engine. Idle "
        "is what the engine lacks to the better of them, on a CPU the share of its threads' time "
        "that is spent in no step."
    )
    counts, frames = ((2,), 2) if setting.small else ((1, 4, 8, 16, 32), 60)
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
            )  # fmt: skip
