"""`animator cancel` and `animator retry`: change the state of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import typer

from animator.cli.console import print_json_array, say, show_error
from animator.cli.farm.ids import find_jobs
from animator.cli.farm.listing import pages
from animator.errors import AnimatorError
from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState


def cancel_jobs(given: Sequence[str], *, all_queued: bool, as_json: bool) -> None:
    """Cancel the given jobs, or all that wait, and say what follows."""
    _check(given, all_queued, "--all-queued")
    client = Client.connect()
    ids = _ids(client.store, given, JobState.QUEUED)
    _change(ids, client.cancel, _say_cancelled, as_json)


def retry_jobs(given: Sequence[str], *, failed: bool, force: bool, as_json: bool) -> None:
    """Queue the given jobs again, or all that failed."""
    _check(given, failed, "--failed")
    client = Client.connect()
    ids = _ids(client.store, given, JobState.FAILED)
    retry = partial(client.retry, overwrite=force)
    _change(ids, retry, lambda record: say(f"Job {record.id} waits again."), as_json)


def _check(given: Sequence[str], every: bool, option: str) -> None:
    if bool(given) == every:
        raise AnimatorError("invalid_option", f"Give either ids of jobs or {option}.")


def _ids(store: JobStore, given: Sequence[str], state: JobState) -> list[str]:
    """All of them, the oldest first, before the first is changed and then is not found any more."""
    if given:
        return [record.id for record in find_jobs(store, given)]
    return [record.id for page in pages(store, state) for record in page][::-1]


def _change(
    ids: Sequence[str],
    change: Callable[[str], JobRecord],
    tell: Callable[[JobRecord], None],
    as_json: bool,
) -> None:
    """Change one job after the other; one that cannot be changed does not keep the others."""
    errors: list[AnimatorError] = []

    def changed() -> Iterator[JobRecord]:
        for job_id in ids:
            try:
                yield change(job_id)
            except AnimatorError as error:
                errors.append(error)
                if error.code == "queue_unavailable":
                    return  # the others would wait for it in vain

    if as_json:
        print_json_array(record.as_dict() for record in changed())
    else:
        for record in changed():
            tell(record)
        if not ids:
            say("no jobs")
    for error in errors:
        show_error(error.code, error.message)
    if errors:
        raise typer.Exit(1)


def _say_cancelled(record: JobRecord) -> None:
    if record.state is JobState.RUNNING:
        say(f"Job {record.id} stops at its next step.")
    else:
        say(f"Job {record.id} is {record.state.value}.")
