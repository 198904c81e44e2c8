"""The shutdown of a worker: how far it is on its way to its end.

The first SIGTERM or SIGINT lets running jobs finish, for `ANIMATOR_SHUTDOWN_SECONDS` at most if
that is set; a second one, or SIGQUIT, has them given back.
"""

from __future__ import annotations

import time
from typing import Any

from celery.signals import worker_shutting_down
from celery.worker import state as celery_state

_requests: list[float] = []
"""When the process was asked to end, by the monotonic clock."""


@worker_shutting_down.connect
def _note_request(**_: Any) -> None:
    _requests.append(time.monotonic())


def ending() -> bool:
    """Whether the worker takes no more jobs and ends when its jobs have ended."""
    return bool(_requests) or _cold()


def stopping(grace: float | None = None) -> bool:
    """Whether running jobs are to be given back because the worker ends at once.

    That is so after SIGQUIT, a second SIGINT (Celery's cold shutdown) and a second SIGTERM.

    Args:
        grace: seconds after the first request, after which it is so, too; None is never.
    """
    # Celery makes a second SIGINT cold; a second SIGTERM it only reports once more.
    if _cold() or len(_requests) > 1:
        return True
    return grace is not None and bool(_requests) and time.monotonic() - _requests[0] >= grace


def _cold() -> bool:
    return celery_state.should_terminate not in (None, False)
