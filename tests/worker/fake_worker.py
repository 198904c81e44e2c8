"""A worker whose pipeline only sleeps and counts: `celery -A tests.worker.fake_worker worker`.

The driving file of a job says in JSON what the job does: frames, seconds, error, crash, result.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import worker.tasks
from animator.errors import AnimatorError, JobCancelled
from animator.spec import JobSpec, Progress, Result
from worker import app

__all__ = ["app"]


def animate(spec: JobSpec, *, report: Any, should_stop: Any, limits: Any) -> Result:
    plan = json.loads(Path(spec.driving).read_text())
    if "error" in plan:
        raise AnimatorError(plan["error"], plan.get("message", "as planned"), retryable=True)
    if "crash" in plan:
        raise ZeroDivisionError(plan["crash"])
    frames = plan.get("frames", 10)
    for frame in range(frames):
        if should_stop():
            raise JobCancelled
        report(Progress("generate", frame + 1, frames, 10.0, 1.0))
        time.sleep(plan.get("seconds", 0.1) / frames)
    Path(spec.output).write_text(f"made of {spec.source}")
    return Result(spec.output, frames, 1.0, 10.0, {"generate": 1.0}, ("as planned",), ((2, 3),))


worker.tasks.load_pipeline = lambda: animate
