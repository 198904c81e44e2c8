"""The upkeep of a running server: its queue is alive, and nothing lies about for ever."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from animator.errors import AnimatorError
from animator.jobs.queue import queue_url
from animator.jobs.store import JobStore
from animator.spec import JobState
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
    used: set[str] = set()
    # A job may begin between the two looks, so waiting ones come first.
    for state in (JobState.QUEUED, JobState.RUNNING):
        until, offset = datetime.now(UTC), 0
        while found := store.list_jobs(state, until=until, limit=_PAGE, offset=offset):
            for job in found:
                used |= {str(job.spec.source), str(job.spec.driving), str(job.spec.audio)}
            offset += len(found)
    return used


def outputs_on_record(store: JobStore) -> set[str]:
    """Outputs of all jobs, whatever became of them."""
    outputs: set[str] = set()
    until, offset = datetime.now(UTC), 0
    while found := store.list_jobs(until=until, limit=_PAGE, offset=offset):
        outputs |= {str(job.spec.output) for job in found}
        offset += len(found)
    return outputs


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
