"""`animator list`: jobs, the newest first, however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from animator.cli.console import print_json_array, print_table, printable, say
from animator.cli.farm.status import detail_of, state_of
from animator.cli.moments import moment
from animator.jobs.queue import open_store
from animator.jobs.store import JobStore
from animator.settings import Settings
from animator.spec import JobRecord, JobState

PAGE = 500
"""Records that are read at once."""
_COLUMNS = {"JOB": 12, "STATE": 9, "CREATED": 19, "PROGRESS": 12, "OUTPUT": 20}
"""Names of the columns, and their least widths, so that pages stand below one another."""


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
    table = Table(box=None, pad_edge=False, show_header=header)
    for name, width in _COLUMNS.items():
        folded = name in ("PROGRESS", "OUTPUT")
        table.add_column(name, no_wrap=not folded, overflow="fold", min_width=width)
    for record in records:
        created = record.created[:19]
        cells = (record.id, state_of(record), created, detail_of(record), record.spec.output)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    print_table(table)
