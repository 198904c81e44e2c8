"""How far a data set is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager

from rich.progress import MofNCompleteColumn

from animator.cli.console import say
from animator.cli.progress import clock, passing_bar
from animator.dataset.progress import BatchProgress

LINE_SECONDS = 10.0
"""Between two lines where there is no terminal."""


def describe(progress: BatchProgress) -> str:
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


class _Lines(BatchView):
    """A line for each stage, and every few seconds one more."""

    def __init__(self) -> None:
        self._stage, self._said = "", 0.0

    def update(self, progress: BatchProgress) -> None:
        current = time.monotonic()
        if progress.stage == self._stage and current - self._said < LINE_SECONDS:
            return
        self._stage, self._said = progress.stage, current
        of = f" {progress.done:,} of {progress.total:,}" if progress.total else ""
        detail = describe(progress)
        say(f"{progress.stage}{of}" + (f": {detail}" if detail else ""))


class _Bar(BatchView):
    """A bar that is redrawn in place."""

    def __init__(self) -> None:
        self._display = passing_bar(MofNCompleteColumn())
        self._task = self._display.add_task("starting", total=None, detail="")

    def __enter__(self) -> _Bar:
        self._display.start()
        return self

    def update(self, progress: BatchProgress) -> None:
        self._display.update(
            self._task,
            description=progress.stage,
            completed=progress.done,
            total=progress.total or None,
            detail=describe(progress),
        )

    def __exit__(self, *raised: object) -> None:
        self._display.stop()


def make_view(*, quiet: bool = False) -> BatchView:
    """The view that fits where standard error goes."""
    if quiet:
        return BatchView()
    return _Bar() if sys.stderr.isatty() else _Lines()
