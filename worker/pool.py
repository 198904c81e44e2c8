"""Celery's thread pool, made to survive an impatient shutdown and threads that never come back."""

from __future__ import annotations

import os
from typing import Any

from celery.concurrency.thread import ApplyResult
from celery.concurrency.thread import TaskPool as ThreadPool


class TaskPool(ThreadPool):
    """Threads that share one model.

    Differs from Celery's own in three ways. A cold shutdown that wants to terminate a job does
    nothing here, where Celery's raises: the job sees at its next step that the worker is stopping
    and goes back to the queue. A thread that hangs can be replaced. And the event loop, which
    looks for messages only while a thread is free, is woken when one becomes free; otherwise it
    would find out by chance, up to a second later.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bell: tuple[int, int] | None = None

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Leave the job to stop by itself."""

    def grow(self, threads: int = 1) -> None:
        """Have more threads, in the place of those that hang."""
        # The executor starts a thread whenever there is work and this number is not reached.
        self.executor._max_workers += threads

    def register_with_event_loop(self, loop: Any) -> None:
        """Let the event loop hear when a job has ended; called anew after each reconnection."""
        if self._bell is None:
            # Non-blocking: a full pipe rings as well, an empty one is no reason to wait.
            self._bell = os.pipe()
            for end in self._bell:
                os.set_blocking(end, False)
        loop.add_reader(self._bell[0], self._silence)

    def on_apply(self, *args: Any, **kwargs: Any) -> ApplyResult:
        """Run a task in a thread."""
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(self._ring)
        return result

    def _ring(self, _: object) -> None:
        if self._bell is not None:
            try:
                os.write(self._bell[1], b".")
            except BlockingIOError:  # it rings already
                pass

    def _silence(self, *_: object) -> None:
        assert self._bell is not None
        try:
            os.read(self._bell[0], 4096)
        except BlockingIOError:
            pass
