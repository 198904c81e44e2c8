"""The upkeep of a running server: its queue is alive, and nothing lies about for ever."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain

from animator.errors import AnimatorError
from animator.jobs.queue import queue_url
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState
from animator.web.context import ServerContext

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 300.0
REVIVE_SECONDS = 1.0
_PAGE = 500


def start_upkeep(context: ServerContext) -> None:
    """Begin; the threads end with the process."""
    _repeat("sweeping", SWEEP_SECONDS, lambda: sweep(context))
    if context.settings.broker_url is None:
        _repeat("reviving", REVIVE_SECONDS, lambda: revive(context))


def sweep(context: ServerContext) -> None:
    """Remove what nobody needs any more: half and old uploads, results of no job.

    Raises:
        AnimatorError: `queue_unavailable`; nothing is removed then.
    """
    store = context.client.store
    context.uploads.sweep(inputs_in_use(store))
    if days := context.settings.retention_days:  # else records, and so results, are kept for ever
        context.results.sweep(lambda: outputs_on_record(store), days)


def revive(context: ServerContext) -> None:
    """Start the embedded queue again if it has died, as any command would.

    Raises:
        AnimatorError: `queue_unavailable` if that cannot be done.
    """
    queue_url(context.settings)


def inputs_in_use(store: JobStore) -> set[str]:
    """Inputs of jobs that have not ended."""
    # A job may begin between the two looks, so waiting ones come first.
    jobs = chain(_jobs(store, JobState.QUEUED), _jobs(store, JobState.RUNNING))
    specs = (job.spec for job in jobs)
    return {str(path) for spec in specs for path in spec.inputs.values()}


def outputs_on_record(store: JobStore) -> set[str]:
    """Outputs of all jobs, whatever became of them."""
    return {str(job.spec.output) for job in _jobs(store)}


def _jobs(store: JobStore, state: JobState | None = None) -> Iterator[JobRecord]:
    until, offset = datetime.now(UTC), 0
    while found := store.list_jobs(state, until=until, limit=_PAGE, offset=offset):
        yield from found
        offset += len(found)


def _repeat(name: str, seconds: float, work: Callable[[], None]) -> None:
    def run() -> None:
        while True:
            try:
                work()
            except (AnimatorError, OSError) as error:
                logger.warning("%s: %s", name, error)
            except Exception:
                # A fault in one look is no reason never to look again.
                logger.exception("a fault in %s", name)
            time.sleep(seconds)

    threading.Thread(target=run, name=name, daemon=True).start()
