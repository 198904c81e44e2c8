"""The loop of a worker's thread, which never ends without having been told to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from worker import metrics

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Time between a failure and the next try."""


def start_loop(
    name: str, body: Callable[[], object], over: threading.Event | None = None
) -> threading.Thread:
    """Start a thread that runs a loop, and runs it again whenever an exception ends it.

    Without these threads leases lapse, lost jobs stay lost and nobody hears of it, so a fault in
    one look must not be the end of all. What is expected to fail, such as a Redis that is away, is
    the loop's own to handle.

    Args:
        name: of the thread; also in the log and in the metric `animator_loop_restarts_total`.
        body: the loop; the thread ends when it returns.
        over: set once the loop is to end: it is not run again then.

    Raises:
        RuntimeError: if the system has no more threads.
    """
    ended = over or threading.Event()

    def run() -> None:
        while not ended.is_set():
            try:
                body()
                return
            except BaseException:
                # Also those that are no `Exception`: in a thread they would end it without a word.
                logger.exception("a fault in %r; it goes on in %g s", name, PAUSE_SECONDS)
                metrics.observe_loop_restart(name)
            ended.wait(PAUSE_SECONDS)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
