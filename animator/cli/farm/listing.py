"""`animator list`: jobs, the newest first, however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from animator.cli.console import (
    cut_middle,
    print_json_array,
    print_table,
    printable,
    say,
    table_width,
)
from animator.cli.farm.status import detail_of, state_of
from animator.cli.moments import moment
from animator.jobs.queue import open_store
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState
from animator.settings import Settings

PAGE = 500
"""Records that are read at once."""
_COLUMNS = {"STATE": 20, "CREATED": 19, "PROGRESS": 42}
"""Columns between id and output, and their widths."""
_NARROW_COLUMNS = {"STATE": 10, "CREATED": 11, "PROGRESS": 10}
"""The same where there is little room; without seconds and pace."""
_NARROW, _LEAST = 130, 8
"""Cells of a line that are little room, and those that an output has at least."""


def show_list(
    state: str | None, since: str | None, until: str | None, limit: int, *, as_json: bool
) -> None:
    """Print at most so many jobs, or all for 0, page by page."""
    after = None if since is None else moment("--since", since)
    before = None if until is None else moment("--until", until)
    store = open_store(Settings.from_environment())
    wanted = None if state is None else JobState(state)
    found = pages(store, wanted, after, before, limit)
    if as_json:
        print_json_array(record.as_dict() for page in found for record in page)
        return
    number = 0
    for number, page in enumerate(found, 1):
        _show_table(page, header=number == 1)
    if not number:
        say("no jobs")


def pages(
    store: JobStore,
    state: JobState | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 0,
) -> Iterator[list[JobRecord]]:
    """Pages of jobs, the newest first; jobs that are submitted meanwhile are not among them."""
    until = until or datetime.now(UTC)
    offset = 0
    while not limit or offset < limit:
        size = min(PAGE, limit - offset) if limit else PAGE
        page = store.list_jobs(state, since=since, until=until, limit=size, offset=offset)
        if not page:
            return
        yield page
        offset += size


def _show_table(records: Sequence[JobRecord], *, header: bool) -> None:
    # An id has to be typed and is whole; there is a line for each job, however narrow.
    width = table_width()
    narrow = width < _NARROW
    widths = {"JOB": 12, **(_NARROW_COLUMNS if narrow else _COLUMNS)}
    widths["OUTPUT"] = max(width - sum(widths.values()) - len(widths), _LEAST)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=header)
    for name, least in widths.items():
        # Set widths, so that pages stand below one another.
        table.add_column(name, no_wrap=True, min_width=None if name == "OUTPUT" else least)
    for record in records:
        cells = (
            record.id,
            ("cancelling" if record.cancel_requested else "") or record.state.value
            if narrow
            else state_of(record),
            record.created[5:16].replace("T", " ") if narrow else record.created[:19],
            _briefly(record) if narrow else detail_of(record),
            record.spec.output,
        )
        table.add_row(
            *(
                Text(cut_middle(printable(cell), wide))
                for cell, wide in zip(cells, widths.values(), strict=True)
            )
        )
    print_table(table)


def _briefly(record: JobRecord) -> str:
    """The detail in a few letters."""
    progress = record.progress
    if record.state.ended or progress is None:
        return detail_of(record)
    return "" if progress.frames is None else f"{progress.frame}/{progress.frames}"
