"""`animator logs`: what happened to a job, on whichever machine it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from animator.cli.console import StopSignals, print_json, printable, say
from animator.cli.farm.ids import find_job
from animator.cli.farm.patience import Patience
from animator.jobs.queue import open_store
from animator.jobs.store import JobStore, LogLine
from animator.settings import Settings

POLL_SECONDS = 0.5


def show_logs(job: str, *, follow: bool, as_json: bool) -> None:
    """Print the last lines of a job's log and, if asked to, those that come until it has ended."""
    store = open_store(Settings.from_environment())
    job_id = find_job(store, job).id
    if follow:
        _follow(store, job_id, as_json)
        return
    lines = store.logs(job_id)
    if as_json:
        print_json([asdict(line) for line in lines])
    elif lines:
        _print_lines(lines, as_json=False)
    else:
        say("nothing yet")


def _follow(store: JobStore, job_id: str, as_json: bool) -> None:
    before: list[LogLine] = []
    with StopSignals(quiet=True) as signals:
        patience = Patience(signals)
        while True:
            # The state first, so that no line is missed that was written before the end.
            ended = patience.ask(lambda: store.get(job_id)).state.ended
            lines = patience.ask(lambda: store.logs(job_id))
            _print_lines(new_lines(before, lines), as_json)
            if ended:
                return
            before = lines
            patience.sleep(POLL_SECONDS)


def new_lines(before: Sequence[LogLine], lines: Sequence[LogLine]) -> Sequence[LogLine]:
    """The lines that were added; the store may have dropped some of the oldest."""
    for dropped in range(len(before)):
        known = len(before) - dropped
        if list(lines[:known]) == list(before[dropped:]):
            return lines[known:]
    return lines


def _print_lines(lines: Sequence[LogLine], as_json: bool) -> None:
    for line in lines:
        if as_json:
            print(json.dumps(asdict(line)), flush=True)
        else:
            print(f"{line.time[:19]}  {printable(line.worker)}  {printable(line.text)}", flush=True)
