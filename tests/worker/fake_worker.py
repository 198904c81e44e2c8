"""A worker with the fake pipeline: `celery -A tests.worker.fake_worker worker`.

Run as a program, it is the process of its own for one suspect job.
"""

from __future__ import annotations

import sys

import worker.child
import worker.isolated
import worker.reaper
import worker.tasks
from tests.fake_pipeline import animate
from worker import app

__all__ = ["app"]

worker.reaper.FORGOTTEN_SECONDS = 1.0
worker.tasks.load_pipeline = lambda: animate
worker.isolated.COMMAND = [sys.executable, "-m", "tests.worker.fake_worker"]

if __name__ == "__main__":
    worker.child.main(lambda: animate)
