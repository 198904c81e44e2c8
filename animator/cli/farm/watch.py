"""`animator watch`: jobs as they go."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Protocol

import typer

from animator.cli.console import StopSignals, say, show_error
from animator.cli.farm.ids import find_jobs
from animator.cli.farm.patience import Patience
from animator.cli.farm.watch_views import make_view
from animator.errors import AnimatorError
from animator.jobs.queue import open_store
from animator.jobs.store import JobStore
from animator.record import JobError, JobRecord, JobState
from animator.settings import Settings

POLL_SECONDS = 0.5
_RUNNING, _NEXT, _ENDED = 100, 10, 5
"""How many jobs of each kind are watched where none are given."""


def watch_jobs(given: Sequence[str], *, as_json: bool) -> None:
    """Show the given jobs until all have ended, or else whatever waits and runs."""
    store = open_store(Settings.from_environment())
    jobs: Watched = Given(store, given) if given else Everything(store)
    with StopSignals(quiet=True) as signals, make_view(as_json=as_json) as view:
        patience = Patience(signals)
        while True:
            records, counts = patience.ask(jobs.look)
            view.show(records, counts)
            if jobs.ended:
                break
            patience.sleep(POLL_SECONDS)
    _conclude(records)


class Watched(Protocol):
    """What is watched."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come."""

    def look(self) -> tuple[list[JobRecord], dict[JobState, int]]:
        """The jobs that matter now, and how many there are by state."""


class Given:
    """Jobs of which the user gave the ids.

    Raises:
        AnimatorError: `no_such_job`; later, too, if one is purged.
    """

    def __init__(self, store: JobStore, given: Sequence[str]) -> None:
        self._store = store
        self._records = {record.id: record for record in find_jobs(store, given)}

    @property
    def ended(self) -> bool:
        """Whether all of them have ended."""
        return all(record.state.ended for record in self._records.values())

    def look(self) -> tuple[list[JobRecord], dict[JobState, int]]:
        """All of them; those that have ended are not read again."""
        going = [job for job, record in self._records.items() if not record.state.ended]
        found = {record.id: record for record in self._store.get_many(going)}
        for job in set(going) - set(found):
            raise AnimatorError("no_such_job", f"Job {job} has been purged.")
        self._records.update(found)
        records = list(self._records.values())
        return records, Counter(record.state for record in records)


class Everything:
    """Jobs that run, the next ones that wait, and the latest that ended."""

    ended = False

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._running: set[str] = set()
        self._ended: deque[JobRecord] = deque(maxlen=_ENDED)

    def look(self) -> tuple[list[JobRecord], dict[JobState, int]]:
        """Those that matter now, in the order in which they were submitted."""
        store = self._store
        running = store.list_jobs(JobState.RUNNING, limit=_RUNNING)[::-1]
        going = {record.id for record in running}
        for record in store.get_many(sorted(self._running - going)):
            if record.state.ended:
                self._ended.append(record)
        self._running = going
        counts = store.counts()
        first = max(0, counts[JobState.QUEUED] - _NEXT)
        waiting = store.list_jobs(JobState.QUEUED, limit=_NEXT, offset=first)[::-1]
        return [*self._ended, *running, *waiting], counts


def _conclude(records: Sequence[JobRecord]) -> None:
    """Say which jobs did not succeed; raise the exit that tells a script."""
    for record in records:
        if record.state is JobState.FAILED:
            error = record.error or JobError("internal", "It failed without a reason.")
            show_error(error.code, f"Job {record.id}: {error.message}")
        elif record.state is JobState.CANCELLED:
            say(f"Job {record.id} was cancelled.")
    if any(record.state is not JobState.SUCCEEDED for record in records):
        raise typer.Exit(1)
