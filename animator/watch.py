"""The watch over a running job: how far it is, whether it is to stop, and who looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch

from animator.errors import AnimatorError, JobCancelled
from animator.record import Progress

OnProgress = Callable[[Progress], None]
REPORT_SECONDS = 0.1
"""Least time between two reports within a stage."""


class PreviewSink(Protocol):
    """Who takes a job's newest frames; both are called in its thread and must not block."""

    @property
    def preview_wanted(self) -> bool:
        """Whether somebody looks at them now."""

    def show_preview(self, picture: bytes) -> None:
        """Take the newest frame, as a JPEG."""


@dataclass
class Watch:
    """Keeps times, reports progress, and stops the job when it is told to."""

    report: OnProgress
    should_stop: Callable[[], bool]
    preview: PreviewSink | None = None
    timings: dict[str, float] = field(default_factory=dict)
    _progress: Progress = field(default_factory=lambda: Progress("start"))
    _resumed: int = 0
    _began: float = 0.0
    _reported: float = 0.0

    @contextmanager
    def stage(self, name: str, frames: int | None = None, resumed: int = 0) -> Iterator[None]:
        """Time a stage; ``advance`` counts its frames, after those that were done before.

        The times of a stage that is entered again are added up.
        """
        self._began = time.monotonic()
        self._resumed = resumed
        self._progress = Progress(name, resumed, frames)
        self._tell()
        try:
            yield
        finally:
            seconds = self.timings.get(name, 0.0) + time.monotonic() - self._began
            self.timings[name] = round(seconds, 3)
        self._tell()

    def advance(self, frames: int, *, last_stage: bool = False) -> None:
        """Count frames of the stage.

        Raises:
            JobCancelled: if the job is to stop.
        """
        done = self._progress.frame + frames
        fps = (done - self._resumed) / max(time.monotonic() - self._began, 1e-6)
        total = self._progress.frames
        eta = (total - done) / fps if last_stage and total is not None else None
        # A container's count of frames is an estimate, and the count may pass it.
        if total is not None and done > total:
            total = done
        self._progress = Progress(self._progress.stage, done, total, fps, eta)
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._tell()
        self.check()

    def check(self) -> None:
        """Raise JobCancelled if the job is to stop."""
        if self.should_stop():
            raise JobCancelled

    def _tell(self) -> None:
        self._reported = time.monotonic()
        self.report(self._progress)


@contextmanager
def coded_memory_errors() -> Iterator[None]:
    """Raise the coded error when the device runs out of memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        message = "The device has not enough memory for this job."
        raise AnimatorError("out_of_memory", message, retryable=True) from error
