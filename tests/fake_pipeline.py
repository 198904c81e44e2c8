"""A pipeline that only sleeps and counts, for tests of what is around it.

Its frames, which only a preview shows, are grey and grow lighter from the first to the last.

The driving file of a job says in JSON what the job does:

    frames, seconds   how many, and how long all of them take
    segment           frames after which a segment is kept in the workspace (10)
    error, message    fails with this code
    crash             raises an exception
    abort             the process dies by os.abort at this frame
    hang              sleeps in C for so many seconds at the fifth frame, without looking up
    memory_mb         takes so much memory at the fifth frame; if it gets it, the process is killed,
                      as the kernel would do it
    wait_publish      seconds between the permission to publish and the publishing
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animator.errors import AnimatorError, JobCancelled, LeaseLost
from animator.record import Progress, Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace

if TYPE_CHECKING:
    from animator.watch import PreviewSink

VIDEO = "video"
"""Name of the finished file in the workspace."""


def animate(
    spec: JobSpec,
    *,
    settings: Settings,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    workspace: Workspace | None = None,
    priority: int = 0,
    may_publish: Callable[[], bool] = lambda: True,
    overwrite: bool = True,
    preview: PreviewSink | None = None,
) -> Result:
    folder = workspace or Workspace.temporary(spec.output, replaces=overwrite)
    try:
        return _animate(spec, report, should_stop, folder, may_publish, preview)
    finally:
        if workspace is None:
            folder.remove()


def _animate(
    spec: JobSpec,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    workspace: Workspace,
    may_publish: Callable[[], bool],
    preview: PreviewSink | None,
) -> Result:
    plan = json.loads(Path(spec.driving).read_text())
    if "error" in plan:
        raise AnimatorError(plan["error"], plan.get("message", "As planned."), retryable=True)
    if "crash" in plan:
        raise ZeroDivisionError(plan["crash"])
    frames, segment = plan.get("frames", 10), plan.get("segment", 10)
    with workspace.owned():
        resumed = segment * len([*workspace.path.glob("*.mp4")])
    show: Callable[[int], None] | None = None
    for frame in range(resumed, frames):
        if should_stop():
            raise JobCancelled
        _misbehave(plan, frame)
        report(Progress("generate", frame + 1, frames, 10.0, 1.0))
        if preview is not None and preview.preview_wanted:
            show = show or _previews(preview)
            show(255 * (frame + 1) // frames)
        time.sleep(plan.get("seconds", 0.1) / frames)
        if (frame + 1) % segment == 0:
            workspace.write(f"{frame // segment:05}.mp4", b"%d " % frame)
    whole = b"".join(path.read_bytes() for path in sorted(workspace.path.glob("*.mp4")))
    workspace.write(VIDEO, b"made of " + os.fsencode(spec.source) + b": " + whole)
    if not may_publish():
        raise LeaseLost("it may not be published")
    time.sleep(plan.get("wait_publish", 0))
    workspace.publish(VIDEO)
    return Result(
        spec.output, frames, 1.0, 10.0, {"generate": 1.0}, ("as [planned]",), ((2, 3),),
        resumed=resumed,
    )  # fmt: skip


def _previews(sink: PreviewSink) -> Callable[[int], None]:
    """Offers grey frames to the pipeline's own previews.

    Those bring heavy libraries, and most tests look at no frames.
    """
    import numpy as np

    from animator.animation.preview import Preview

    preview = Preview(sink)
    return lambda shade: preview.offer(np.full((40, 60, 3), shade, np.uint8))


def _misbehave(plan: dict[str, Any], frame: int) -> None:
    if plan.get("abort") == frame:
        os.abort()
    if frame == 5 and "hang" in plan:
        time.sleep(plan["hang"])
    if frame == 5 and "memory_mb" in plan:
        taken = [bytearray(1 << 20) for _ in range(plan["memory_mb"])]
        os.kill(os.getpid(), signal.SIGKILL)
        del taken
