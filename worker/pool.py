"""Celery's thread pool, made to survive an impatient shutdown."""

from __future__ import annotations

from typing import Any

from celery.concurrency.thread import TaskPool as ThreadPool


class TaskPool(ThreadPool):
    """Threads that share one model.

    Celery's own thread pool raises when a cold shutdown wants to terminate a job. Here it does
    nothing: the job sees at its next step that the worker is stopping and goes back to the queue.
    """

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Leave the job to stop by itself."""
