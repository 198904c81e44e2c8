"""The Celery application: which broker, and settings that suit long jobs on Redis."""

from __future__ import annotations

import sys
from functools import cache

from celery import Celery

from animator.errors import AnimatorError
from animator.queue import queue_url
from animator.settings import Settings, share_cores
from animator.store import PREFIX

TASK = "animator.animate"
"""Name of the only task; its argument is the id of a job in the store."""

PARENT_VARIABLE = "ANIMATOR_WORKER_PARENT"
"""Set by who starts a worker as a child: when that process is gone, the worker ends, too."""

VISIBILITY_TIMEOUT = 12 * 3600
"""Seconds after which Redis delivers an unacknowledged message again.

Longer than any job should take. A job that is delivered again while its worker lives is dropped,
because its record says that it runs; one whose worker is gone is begun anew.
"""


def make_app(url: str, concurrency: int = 1) -> Celery:
    """A Celery application for the Redis at `url`, whose workers run `concurrency` jobs each."""
    app = Celery("worker", include=["worker.tasks"])
    app.conf.update(
        broker_url=url,
        # Messages: JSON only; one at a time, acknowledged when the job has ended, so that a worker
        # that dies gives its message back. Records live in the store, not in a result backend.
        accept_content=["json"],
        task_serializer="json",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_default_queue="animator",
        worker_prefetch_multiplier=1,
        # Threads share one model and CUDA context. Their jobs are stopped cooperatively.
        worker_pool="worker.pool:TaskPool",
        worker_concurrency=concurrency,
        # Connections: wait for the broker for ever; a job goes on while the broker is away.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=5,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT,
            "global_keyprefix": f"{PREFIX}celery:",
            "socket_keepalive": True,
            "health_check_interval": 30,
        },
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
    )
    app.steps["consumer"].add("worker.presence:ConsumerTicks")
    return app


@cache
def default_app() -> Celery:
    """The application for the broker that the environment asks for.

    Where it asks for none, the embedded Redis is started.
    """
    share_cores()
    try:
        settings = Settings.from_environment()
        return make_app(queue_url(settings), settings.concurrency)
    except AnimatorError as error:
        # Whoever imports this is the celery command, which would show a traceback.
        sys.exit(f"error [{error.code}]: {error.message}")
