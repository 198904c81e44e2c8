"""The Celery application: which broker, and settings that suit long jobs on Redis."""

from __future__ import annotations

import socket
import sys
from functools import cache

from celery import Celery
from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

from animator.errors import AnimatorError
from animator.jobs.queue import queue_url
from animator.jobs.store import PREFIX
from animator.options import Kind
from animator.processor import keep_memory, share_cores
from animator.settings import Settings
from worker.memory import share_heaps
from worker.queues import own_kind, queue_name, queues_of

TASK = "animator.animate"
"""Name of the only task; its argument is the id of a job in the store."""

PARENT_VARIABLE = "ANIMATOR_WORKER_PARENT"
"""Set by who starts a worker as a child: when that process is gone, the worker ends, too."""

KEY_PREFIX = f"{PREFIX}celery:"
"""What Celery's own keys in Redis begin with."""

VISIBILITY_TIMEOUT = 12 * 3600
"""Seconds after which Redis delivers an unacknowledged message again.

Nothing depends on it: a job whose worker dies is found by its lease within seconds, and a message
about a job that runs or has ended is dropped. It only cleans up messages of killed workers, and is
longer than most jobs so that their own messages are not delivered again in vain.
"""


def make_app(url: str, concurrency: int = 1, kind: Kind = "any") -> Celery:
    """A Celery application for the Redis at `url`.

    Args:
        url: the broker.
        concurrency: jobs that a worker of it runs at the same time.
        kind: which jobs it takes: those for "any" worker, and those for its own kind.
    """
    # By name, so that a command that sends nothing does not import it.
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = "worker.transport:Transport"
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
        task_queues=[Queue(name, routing_key=name) for name in queues_of(kind)],
        task_default_queue=queue_name("any", "normal"),
        worker_prefetch_multiplier=1,
        # Threads share one model and CUDA context. Their jobs are stopped cooperatively.
        worker_pool="worker.pool:TaskPool",
        worker_concurrency=concurrency,
        # Monitors such as Flower live on events.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # Connections: wait for the broker for ever; a job goes on while the broker is away. What
        # Celery's own consumer would end the worker for, ours goes on after.
        worker_consumer="worker.consumer:Consumer",
        broker_connection_retry=True,
        broker_channel_error_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=5,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT,
            "global_keyprefix": KEY_PREFIX,
            # Priorities are queues of ours, looked into in order; not kombu's lists in a queue.
            "queue_order_strategy": "worker.queues:ByPriority",
            "priority_steps": [0],
            "socket_keepalive": True,
            # A minute after a machine has vanished, its connections count as broken.
            "socket_keepalive_options": _keepalive(),
            "health_check_interval": 30,
        },
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
    )
    # By name: Celery imports them when a worker starts, not when a message is sent.
    app.steps["consumer"].add("worker.process:ConsumerTicks")
    app.steps["worker"].add("worker.services:Services")
    return app


def _keepalive() -> dict[int, int]:
    # Seconds until the first probe and between probes; probes without an answer.
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


@cache
def default_app() -> Celery:
    """The application for the broker that the environment asks for.

    Where it asks for none, the embedded Redis is started.
    """
    # Before torch starts threads, each of which would get a heap and cores of its own.
    share_heaps()
    try:
        settings = Settings.from_environment()
        concurrency = settings.concurrency or 1
        share_cores(concurrency)
        keep_memory()
        return make_app(queue_url(settings), concurrency, own_kind(settings))
    except AnimatorError as error:
        # Whoever imports this is the celery command, which would show a traceback.
        sys.exit(f"error [{error.code}]: {error.message}")
