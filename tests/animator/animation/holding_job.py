"""A job in a process of its own, which stops for good in the middle of following the driving face.

    python -m tests.animator.animation.holding_job SPEC

It says "holding" then, and waits to be killed.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from animator import watch
from animator.animation.pipeline import animate
from animator.record import Progress
from animator.spec import JobSpec


def main() -> None:
    watch.REPORT_SECONDS = 0

    def report(progress: Progress) -> None:
        if progress.stage == "landmarks" and progress.frame > 0:
            sys.stdout.write("holding\n")
            sys.stdout.flush()
            signal.pause()

    animate(JobSpec.from_json(Path(sys.argv[1]).read_text()), report=report)


if __name__ == "__main__":
    main()
