"""Celery's consumer, which goes on after whatever happens to its connection.

Celery starts anew after the errors that it knows as those of a connection. A fail-over, a Redis
that restarts under a running job, or a channel that is closed raise others, here and there, and
then Celery ends the process, with all the jobs that it runs. Nothing but a request ends ours: jobs
and their leases do not depend on this connection, and messages are only hints.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.bootsteps import CLOSE, TERMINATE
from celery.worker.consumer import Consumer as CeleryConsumer

from worker import metrics

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10
"""Time between two events that tell Celery's monitors of this worker, which go by what they say;
ours go by the store."""
PAUSE_SECONDS = 0.5
"""Time between two tries to consume again."""


class Consumer(CeleryConsumer):
    """The consumer of a worker; arguments as Celery's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        given = dict(options.pop("worker_options", None) or {})
        # Workers learn of each other from the store, and all of them would hear each one's events.
        given |= {"without_gossip": True, "without_mingle": True}
        given["heartbeat_interval"] = given.get("heartbeat_interval") or HEARTBEAT_SECONDS
        super().__init__(*args, worker_options=given, **options)
        # What Celery meets with a new connection. Requests to end the worker are no `Exception`.
        self.connection_errors = (Exception,)

    def start(self) -> None:
        """Consume until the worker ends."""
        while not self._ended():
            try:
                super().start()
            except Exception:
                # From cleaning up after another error: Celery lets only the latter pass.
                logger.exception("the consumer failed and begins again")
                self._begin_again()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Note that there was no connection to consume from."""
        super().on_connection_error_before_connected(exc)
        self._pause()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Note that the connection was lost, and close it."""
        super().on_connection_error_after_connected(exc)
        self._pause()

    def _ended(self) -> bool:
        return self.blueprint.state in (CLOSE, TERMINATE)

    def _begin_again(self) -> None:
        """Bring all parts into a state from which they can be started."""
        self.connection = None
        try:
            self.on_close()
            self.blueprint.restart(self)
        except Exception:
            logger.exception("the consumer is not cleaned up")
        self._pause()

    def _pause(self) -> None:
        metrics.observe_loop_restart("consumer")
        # A Redis that refuses each command would be asked as fast as it can answer.
        time.sleep(PAUSE_SECONDS)
