"""`animator purge`: forget jobs that have ended."""

from __future__ import annotations

import sys

import typer

from animator.cli.console import print_json, say
from animator.cli.moments import moment_before
from animator.errors import AnimatorError
from animator.jobs.queue import open_store
from animator.record import JobState
from animator.settings import Settings


def purge_jobs(state: str | None, older_than: str | None, *, sure: bool, as_json: bool) -> None:
    """Remove the records of jobs that ended long ago, after asking on a terminal.

    Raises:
        AnimatorError: `invalid_option`, also where nobody can be asked.
    """
    if older_than is None:
        raise AnimatorError(
            "invalid_option",
            "--older-than is missing: how long ago jobs must have ended, such as 30 (days) or 12h.",
        )
    before = moment_before("--older-than", older_than)
    states = [item for item in JobState if item.ended] if state is None else [JobState(state)]
    store = open_store(Settings.from_environment())
    either = " or ".join(item.value for item in states)
    if not sure and not _asked(f"Forget jobs that are {either} since {before:%Y-%m-%d %H:%M} UTC?"):
        raise typer.Exit(1)
    count = store.purge(states, before)
    if as_json:
        print_json({"purged": count, "before": before.isoformat(timespec="milliseconds")})
    else:
        say(f"{count} jobs forgotten")


def _asked(question: str) -> bool:
    if not sys.stdin.isatty():
        raise AnimatorError("invalid_option", "--yes is missing, as nobody can be asked here.")
    return typer.confirm(question, err=True)
