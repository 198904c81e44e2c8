"""Ids on the command line, and the jobs that they name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from animator.errors import AnimatorError
from animator.jobs.store import JobStore
from animator.record import JobRecord

_PREFIX = re.compile(r"[0-9a-z]{4,11}", re.ASCII)
_SHOWN = 5


def find_job(store: JobStore, given: str) -> JobRecord:
    """The job of an id, or of its first letters: at least four that no other id begins with.

    Raises:
        AnimatorError: `no_such_job`.
    """
    try:
        return store.get(given)
    except AnimatorError as error:
        if error.code != "no_such_job" or not _PREFIX.fullmatch(given):
            raise
        found = store.ids_beginning(given, limit=_SHOWN + 1)
        if not found:
            raise
    if len(found) > 1:
        names = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        raise AnimatorError("no_such_job", f"{given!r} begins the ids of several jobs: {names}.")
    return store.get(found[0])


def find_jobs(store: JobStore, given: Sequence[str]) -> list[JobRecord]:
    """The jobs of several ids, each once; all are found before anything is done to one.

    Raises:
        AnimatorError: `no_such_job`.
    """
    records = {record.id: record for record in (find_job(store, one) for one in given)}
    return list(records.values())
