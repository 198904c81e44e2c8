"""The Celery side of the animator: the only package that knows Celery.

`celery -A worker worker` starts a worker. Importing this package imports neither Celery nor any
of the heavy libraries: the application is made when `worker.app` is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["app"]

app: Celery


def __getattr__(name: str) -> Any:
    """Make the Celery application when it is first asked for."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from worker.celery import default_app

    return default_app()
