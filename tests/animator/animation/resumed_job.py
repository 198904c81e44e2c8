"""An attempt at a job in a process of its own, which dies by SIGKILL where it is told to.

    python -m tests.animator.animation.resumed_job SPEC ATTEMPT PLACE [FRAMES]

PLACE is a function in which to die, such as "animator.animation.render.join", or a stage of the
job, of which so many FRAMES are done then.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from animator import watch
from animator.animation.pipeline import animate
from animator.record import Progress
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace

JOB = "0123abcd"


def die(*_: object, **__: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main() -> None:
    spec = JobSpec.from_json(Path(sys.argv[1]).read_text())
    place, frames = sys.argv[3], int(sys.argv[4]) if sys.argv[4:] else 0
    if "." in place:
        module, _, name = place.rpartition(".")
        setattr(importlib.import_module(module), name, die)

    watch.REPORT_SECONDS = 0.0  # after every frame, however quick they are

    def report(progress: Progress) -> None:
        if progress.stage == place and progress.frame >= frames:
            die()

    animate(spec, report=report, workspace=Workspace.take(spec.output, JOB, int(sys.argv[2])))


if __name__ == "__main__":
    main()
