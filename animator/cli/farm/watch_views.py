"""Views of jobs that are watched: a table that is redrawn, lines, or JSON."""

from __future__ import annotations

import json
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from animator.cli.console import cut_middle, printable
from animator.cli.farm.status import detail_of, state_of
from animator.cli.progress import clock
from animator.jobs.store import now
from animator.record import JobRecord, JobState

LINE_SECONDS = 10.0
"""Time between two lines of a job whose state and stage stay the same."""
_BAR = 10
_COLUMNS = {
    "JOB": (12, 0),
    "STATE": (12, 0),
    "BAR": (_BAR, 90),
    "FRAMES": (11, 0),
    "FRAMES/S": (8, 70),
    "LEFT": (7, 0),
    "WORKER": (20, 110),
}
"""Columns before the output: their width, and the terminal's from which they are shown."""
_LEAST = 8
"""Cells that an output has at least."""
_FRAME_LINES = 4
"""Lines of the terminal that are no job's: the summary, the titles, the rest, the cursor."""
Counts = Mapping[JobState, int]


class View(AbstractContextManager["View"]):
    """Shows watched jobs on standard output."""

    @abstractmethod
    def show(self, records: Sequence[JobRecord], counts: Counts) -> None:
        """Show the jobs as they are now; `counts` may count more than those."""

    def __exit__(self, *raised: object) -> None:
        """Leave the terminal as it was."""


class LiveTable(View):
    """A table that is redrawn in place, and stays when it is left."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False)

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def show(self, records: Sequence[JobRecord], counts: Counts) -> None:
        """Redraw."""
        height = self._live.console.size.height
        self._live.update(picture(records, counts, max(1, height - _FRAME_LINES)), refresh=True)

    def __exit__(self, *raised: object) -> None:
        """Leave the last picture where it is."""
        self._live.stop()


class Changes(View):
    """A line for every job whose state or stage is new, and every few seconds one more."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[object, JobRecord, float]] = {}

    def show(self, records: Sequence[JobRecord], counts: Counts) -> None:
        """Print the jobs of which there is something to say."""
        for record in records:
            stage = None if record.progress is None else record.progress.stage
            what = (record.state, stage, record.cancel_requested, record.attempt)
            said = self._said.get(record.id)
            if said is not None and said[0] == what:
                due = time.monotonic() - said[2] >= LINE_SECONDS
                if not due or said[1].progress == record.progress:
                    continue
            self._said[record.id] = what, record, time.monotonic()
            self.say(record)

    def say(self, record: JobRecord) -> None:
        """One line of a job, for a person."""
        going = None if record.state is not JobState.RUNNING else record.progress
        parts = [now()[:19], record.id, state_of(record), going and going.stage]
        parts += [detail_of(record), going and record.worker]
        print("  ".join(printable(part) for part in parts if part), flush=True)


class JsonChanges(Changes):
    """The same as JSON."""

    def say(self, record: JobRecord) -> None:
        """One line of a job, for a program."""
        print(json.dumps(record.as_dict()), flush=True)


def make_view(*, as_json: bool) -> View:
    """The view that fits where standard output goes."""
    if as_json:
        return JsonChanges()
    console = Console(highlight=False)
    if sys.stdout.isatty() and not console.is_dumb_terminal:
        return LiveTable(console)
    return Changes()


def picture(records: Sequence[JobRecord], counts: Counts, rows: int) -> Group:
    """The summary, and a table of so many jobs: those that run first, those that ended last.

    The state of a job that runs is its stage.
    """
    order = [JobState.RUNNING, JobState.QUEUED]
    ranked = sorted(
        records, key=lambda item: order.index(item.state) if item.state in order else len(order)
    )
    parts: list[RenderableType] = [_line(summary(records, counts)), _Jobs(ranked[:rows])]
    if len(ranked) > rows:
        parts.append(_line(f"... and {len(ranked) - rows} more"))
    return Group(*parts)


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def summary(records: Sequence[JobRecord], counts: Counts) -> str:
    """How many jobs are in which state, and the pace of those that run."""
    parts = [f"{counts[state]} {state.value}" for state in JobState if counts.get(state)]
    running = [item.progress for item in records if item.state is JobState.RUNNING]
    if pace := sum(progress.fps for progress in running if progress is not None):
        parts.append(f"{pace:.1f} frames/s")
    return ", ".join(parts) or "no jobs"


class _Jobs:
    """A table of jobs, a line for each, with as many columns as there is room for."""

    def __init__(self, records: Sequence[JobRecord]) -> None:
        self._records = records

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # What gives way first is the bar, then who works, then the pace.
        room = options.max_width
        widths = {name: width for name, (width, least) in _COLUMNS.items() if room >= least}
        widths["OUTPUT"] = max(room - sum(widths.values()) - len(widths), _LEAST)
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for name, width in widths.items():
            right = name in ("FRAMES", "FRAMES/S", "LEFT")
            title = "" if name == "BAR" else name
            table.add_column(title, no_wrap=True, width=width, justify="right" if right else "left")
        for record in self._records:
            cells = _cells(record)
            table.add_row(
                *(
                    cell if isinstance(cell := cells[name], ProgressBar)
                    else Text(cut_middle(printable(cell), width))
                    for name, width in widths.items()
                )
            )  # fmt: skip
        yield table


def _cells(record: JobRecord) -> dict[str, ProgressBar | str]:
    running = record.state is JobState.RUNNING
    progress = record.progress if running else None
    bar: ProgressBar | str = ""
    frames = pace = left = ""
    if progress is not None:
        if progress.frames:
            bar = ProgressBar(total=progress.frames, completed=progress.frame, width=_BAR)
        of = f"/{progress.frames}" if progress.frames else ""
        frames = f"{progress.frame}{of}" if progress.frame or of else ""
        pace = f"{progress.fps:.1f}" if progress.fps else ""
        left = "" if progress.eta is None else clock(progress.eta)
    elif record.result is not None:
        frames = str(record.result.frames)
    stage = progress.stage if progress and not record.cancel_requested else state_of(record)
    return {
        "JOB": record.id,
        "STATE": stage,
        "BAR": bar,
        "FRAMES": frames,
        "FRAMES/S": pace,
        "LEFT": left,
        "WORKER": record.worker or "" if running else "",
        "OUTPUT": Path(record.spec.output).name,
    }
