"""A pipeline that only sleeps and counts, for tests of what is around it.

The driving file of a job says in JSON what the job does: frames, seconds, error, message, crash.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from animator.errors import AnimatorError, JobCancelled
from animator.media import MediaLimits
from animator.spec import JobSpec, Progress, Result


def animate(
    spec: JobSpec,
    *,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    limits: MediaLimits,
) -> Result:
    plan = json.loads(Path(spec.driving).read_text())
    if "error" in plan:
        raise AnimatorError(plan["error"], plan.get("message", "As planned."), retryable=True)
    if "crash" in plan:
        raise ZeroDivisionError(plan["crash"])
    frames = plan.get("frames", 10)
    for frame in range(frames):
        if should_stop():
            raise JobCancelled
        report(Progress("generate", frame + 1, frames, 10.0, 1.0))
        time.sleep(plan.get("seconds", 0.1) / frames)
    Path(spec.output).write_bytes(b"made of " + os.fsencode(spec.source))
    return Result(spec.output, frames, 1.0, 10.0, {"generate": 1.0}, ("as [planned]",), ((2, 3),))
