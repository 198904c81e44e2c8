"""A worker whose networks only sleep: `celery -A farm_worker worker`, for `simulate_farm.py`."""

from __future__ import annotations

from sleeping_pipeline import animate

import worker.tasks
from worker import app

__all__ = ["app"]

worker.tasks.load_pipeline = lambda: animate
