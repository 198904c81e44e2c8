"""A worker with the fake pipeline: `celery -A tests.worker.fake_worker worker`."""

from __future__ import annotations

import worker.tasks
from tests.fake_pipeline import animate
from worker import app

__all__ = ["app"]

worker.tasks.load_pipeline = lambda: animate
