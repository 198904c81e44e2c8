"""Progress of a job or of a batch: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    track,
)
from rich.progress import Progress as RichProgress

from animator.cli.console import say
from animator.dataset.progress import BatchProgress
from animator.record import JobRecord, JobState, Progress

Result = TypeVar("Result")
LINE_SECONDS = 5.0
"""Time between two lines of the same stage."""


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(results: Iterable[Result], title: str, count: int) -> Iterable[Result]:
    """Results as they come, with a bar on standard error of how many of ``count`` there are."""
    return track(results, title, total=count, console=Console(stderr=True))


def describe(progress: Progress) -> str:
    """What is known of the progress, such as "frame 12 of 150, 5.1 frames/s, 0:27 left".

    Empty for a stage that has no frames.
    """
    if not progress.frame and progress.frames is None:
        return ""
    of = "" if progress.frames is None else f" of {progress.frames}"
    parts = [f"frame {progress.frame}{of}"]
    if progress.fps > 0:
        parts.append(f"{progress.fps:.1f} frames/s")
    if progress.eta is not None:
        parts.append(f"{clock(progress.eta)} left")
    return ", ".join(parts)


class ProgressView(AbstractContextManager["ProgressView"]):
    """Shows the progress of one job on standard error. May be called from any thread."""

    @abstractmethod
    def update(self, stage: str, progress: Progress | None = None) -> None:
        """Show what is being done and how far it is."""

    def follow(self, record: JobRecord) -> None:
        """Show the record of a job that somebody else runs."""
        if record.cancel_requested:
            self.update("cancelling")
        elif record.state is JobState.QUEUED:
            self.update("waiting for its turn")
        elif record.progress is None:
            self.update("starting")
        else:
            self.update(record.progress.stage, record.progress)

    def __exit__(self, *raised: object) -> None:
        """Leave the terminal as it was."""


def passing_bar(*columns: ProgressColumn) -> RichProgress:
    """A bar on standard error that leaves nothing behind.

    Args:
        columns: what stands between the bar and the field `detail`.
    """
    return RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        *columns,
        TextColumn("{task.fields[detail]}", markup=False),
        console=Console(stderr=True, highlight=False),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


class Bar(ProgressView):
    """A bar that is redrawn in place."""

    def __init__(self) -> None:
        self._display = passing_bar()
        self._task = self._display.add_task("starting", total=None, detail="")

    def __enter__(self) -> Bar:
        self._display.start()
        return self

    def update(self, stage: str, progress: Progress | None = None) -> None:
        """Redraw the bar."""
        self._display.update(
            self._task,
            description=stage,
            completed=0 if progress is None else progress.frame,
            total=None if progress is None else progress.frames,
            detail="" if progress is None else describe(progress),
        )

    def __exit__(self, *raised: object) -> None:
        """Remove the bar."""
        self._display.stop()


class Lines(ProgressView):
    """A line for each stage, and every few seconds one more."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._said = 0.0

    def update(self, stage: str, progress: Progress | None = None) -> None:
        """Print a line if the stage is new or the last line is a while ago."""
        now = time.monotonic()
        if stage == self._stage and (progress is None or now - self._said < LINE_SECONDS):
            return
        self._stage, self._said = stage, now
        detail = "" if progress is None else describe(progress)
        say(f"{stage}: {detail}" if detail else stage)


class Silent(ProgressView):
    """Shows nothing."""

    def update(self, stage: str, progress: Progress | None = None) -> None:
        """Show nothing."""


def make_view(*, quiet: bool = False) -> ProgressView:
    """The view that fits where standard error goes."""
    if quiet:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()


BATCH_LINE_SECONDS = 10.0
"""Between two lines where there is no terminal."""


def describe_batch(progress: BatchProgress) -> str:
    """What is known of the progress beside how many samples have ended."""
    parts = [f"{progress.failed:,} failed"] * bool(progress.failed)
    parts += [f"{progress.rejected:,} rejected"] * bool(progress.rejected)
    parts += [f"{progress.running} in the queue"] * bool(progress.running)
    if progress.per_minute is not None:
        parts.append(f"{progress.per_minute:.3g} a minute")
    if progress.eta is not None:
        parts.append(f"{clock(progress.eta)} left")
    return ", ".join(parts)


class BatchView(AbstractContextManager["BatchView"]):
    """Shows nothing."""

    def update(self, progress: BatchProgress) -> None:
        """Show how far it is."""

    def __exit__(self, *raised: object) -> None:
        """Leave the terminal as it was."""


class _BatchLines(BatchView):
    """A line for each stage, and every few seconds one more."""

    def __init__(self) -> None:
        self._stage, self._said = "", 0.0

    def update(self, progress: BatchProgress) -> None:
        current = time.monotonic()
        if progress.stage == self._stage and current - self._said < BATCH_LINE_SECONDS:
            return
        self._stage, self._said = progress.stage, current
        of = f" {progress.done:,} of {progress.total:,}" if progress.total else ""
        detail = describe_batch(progress)
        say(f"{progress.stage}{of}" + (f": {detail}" if detail else ""))


class _BatchBar(BatchView):
    """A bar that is redrawn in place."""

    def __init__(self) -> None:
        self._display = passing_bar(MofNCompleteColumn())
        self._task = self._display.add_task("starting", total=None, detail="")

    def __enter__(self) -> _BatchBar:
        self._display.start()
        return self

    def update(self, progress: BatchProgress) -> None:
        self._display.update(
            self._task,
            description=progress.stage,
            completed=progress.done,
            total=progress.total or None,
            detail=describe_batch(progress),
        )

    def __exit__(self, *raised: object) -> None:
        self._display.stop()


def make_batch_view(*, quiet: bool = False) -> BatchView:
    """The view that fits where standard error goes."""
    if quiet:
        return BatchView()
    return _BatchBar() if sys.stderr.isatty() else _BatchLines()
