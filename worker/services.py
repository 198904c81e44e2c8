"""Services of a worker beside its jobs: metrics are served, and webhooks delivered."""

from __future__ import annotations

import logging
from typing import Any
from wsgiref.simple_server import WSGIServer

from celery import bootsteps
from celery.signals import worker_shutdown

from worker import metrics
from worker.process import here
from worker.webhooks import Deliverer

logger = logging.getLogger(__name__)


class Services(bootsteps.StartStopStep):
    """Part of Celery's worker that begins with it and ends after its last job."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._metrics: WSGIServer | None = None
        self._webhooks: Deliverer | None = None

    def start(self, worker: Any) -> None:
        """The worker begins."""
        settings, store = here().settings, here().store
        self._metrics = metrics.serve(settings, store)
        if settings.webhook_secret is not None and settings.webhook_hosts:
            self._webhooks = Deliverer(store, settings.webhook_secret, settings.webhook_hosts)
            self._webhooks.start()
        elif settings.webhook_secret is not None or settings.webhook_hosts:
            logger.warning(
                "this worker delivers no webhooks: it needs both ANIMATOR_WEBHOOK_SECRET and "
                "ANIMATOR_WEBHOOK_HOSTS"
            )
        # Steps are stopped before the jobs that run have ended; this comes after.
        worker_shutdown.connect(self._end, weak=False)

    def _end(self, **_: Any) -> None:
        if self._webhooks is not None:
            self._webhooks.stop()
        if self._metrics is not None:
            self._metrics.shutdown()
            self._metrics.server_close()
