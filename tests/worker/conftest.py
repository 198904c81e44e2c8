"""Fixtures for tests with real workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from animator.jobs.queue import Queue, load_queue
from animator.jobs.store import JobStore
from animator.record import JobRecord
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from tests.worker.workers import Submit


@pytest.fixture
def queue(settings: Settings, store: JobStore) -> Queue:
    return load_queue(settings, store)


@pytest.fixture
def submit(store: JobStore, queue: Queue, tmp_path: Path) -> Submit:
    """Submits a job that does what its keyword arguments say."""

    def submit_plan(
        *, tell: bool = True, options: JobOptions | None = None, device: str = "auto", **plan: Any
    ) -> JobRecord:
        number = len(list(tmp_path.glob("*.json")))
        driving = tmp_path / f"plan-{number}.json"
        driving.write_text(json.dumps(plan))
        output = str(tmp_path / f"{number}.mp4")
        spec = JobSpec(str(driving), str(driving), output, device=device)
        record = store.create(spec, options=options)
        if tell:
            queue.enqueue(record.id, record.options.priority, record.spec.kind)
        return record

    return submit_plan
