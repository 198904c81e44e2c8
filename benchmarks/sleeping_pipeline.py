"""A pipeline whose networks only sleep, for `simulate_farm.py`.

Everything around the networks is real: claims, leases, progress, the folder of an attempt, segments
and states that are written and synced, the video that is joined of them and published. The driving
file of a job is JSON:

    frames, seconds     how many, and how long a step of one takes
    segment             frames of a segment
    state_bytes         of the state after one
    video               a segment, encoded once by the simulation
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animator.errors import JobCancelled, LeaseLost
from animator.media.join import join
from animator.record import Progress, Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace

if TYPE_CHECKING:
    from animator.watch import PreviewSink

RATE = Fraction(25)
AHEAD = 4
"""Frames by which steps are ahead of what is written at most."""
VIDEO = "video.mp4"


def animate(
    spec: JobSpec,
    *,
    settings: Settings,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    workspace: Workspace,
    priority: int = 0,
    may_publish: Callable[[], bool] = lambda: True,
    preview: PreviewSink | None = None,
) -> Result:
    """What `animator.animation.pipeline.animate` does, but for the pictures."""
    plan: dict[str, Any] = json.loads(Path(spec.driving).read_text(encoding="utf-8"))
    frames, segment, began = plan["frames"], plan["segment"], time.monotonic()
    video, state = Path(plan["video"]).read_bytes(), os.urandom(plan["state_bytes"])
    # Steps go on while a segment is written, as an engine's do, by as much as its queues hold.
    generated, written, due = 0.0, 0.0, began
    names: list[str] = []
    for frame in range(frames):
        if should_stop():
            raise JobCancelled
        due = max(due + plan["seconds"], time.monotonic() - AHEAD * plan["seconds"])
        before = time.monotonic()
        time.sleep(max(0.0, due - before))
        generated += time.monotonic() - before
        report(Progress("generate", frame + 1, frames, 1 / plan["seconds"]))
        if (frame + 1) % segment == 0 or frame + 1 == frames:
            before = time.monotonic()
            names.append(f"{len(names):05}.mp4")
            workspace.write(names[-1], video)
            workspace.write(f"{len(names):05}.npz", state)
            written += time.monotonic() - before
    # Joined as in any job: packets are copied.
    before = time.monotonic()
    with workspace.owned():
        files = [workspace.path / name for name in names]
        pts = list(range(len(names) * segment))
        join(files, workspace.path / VIDEO, pts, 1 / RATE, rate=RATE)
    joined = time.monotonic() - before
    if not may_publish():
        raise LeaseLost("it may not be published")
    workspace.publish(VIDEO)
    seconds = time.monotonic() - began
    timings = {"generate": generated, "write": written, "join": joined}
    return Result(spec.output, frames, seconds, frames / seconds, timings)
