"""Metrics of a worker and of the farm, for Prometheus.

Counters of this process are raised where things happen (`observe_*`); what others know better (the
engines, the device, Redis) is asked for when somebody scrapes. `docs/operations.md` lists all.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from wsgiref.simple_server import WSGIServer

import redis
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.backoff import NoBackoff
from redis.retry import Retry

from animator.broker.connection import PREFIX, queue_errors
from animator.errors import AnimatorError
from animator.jobs.records import QUEUES
from animator.jobs.store import JobStore
from animator.record import Result
from animator.settings import Settings
from worker.outbox import Outbox

logger = logging.getLogger(__name__)

REGISTRY = CollectorRegistry()
SCRAPE_SECONDS = 2.0
"""How long Redis may take to answer a scrape."""

_started = Counter(
    "animator_jobs_started", "Attempts that this worker began.", ["isolated"], registry=REGISTRY
)
_ended = Counter(
    "animator_jobs_ended",
    "Attempts that ended here: succeeded, failed, cancelled, given_back or lost.",
    ["outcome", "code"],
    registry=REGISTRY,
)
_frames = Counter(
    "animator_frames", "Frames that jobs of this worker rendered and published.", registry=REGISTRY
)
_job_seconds = Histogram(
    "animator_job_seconds",
    "Seconds of the attempts that succeeded.",
    buckets=(1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 7200),
    registry=REGISTRY,
)
_stage_seconds = Histogram(
    "animator_stage_seconds",
    "Seconds that a job that succeeded spent in a stage; stages overlap.",
    ["stage"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600),
    registry=REGISTRY,
)
_lease_losses = Counter(
    "animator_lease_losses", "Attempts that lost their lease while they ran.", registry=REGISTRY
)
_crashes = Counter(
    "animator_crashes",
    "Processes that ran a job alone and died, and threads that hung, by the reason.",
    ["code"],
    registry=REGISTRY,
)
_webhooks = Counter(
    "animator_webhooks",
    "Tries to deliver a webhook: delivered, retried or given_up.",
    ["outcome"],
    registry=REGISTRY,
)

_restarts = Counter(
    "animator_loop_restarts",
    "Loops of this worker that failed and went on after a pause, by their name.",
    ["loop"],
    registry=REGISTRY,
)

# There from the start, so that the first one counts as an increase.
for _isolated in ("no", "yes"):
    _started.labels(_isolated)
for _outcome in ("succeeded", "cancelled", "given_back", "lost"):
    _ended.labels(_outcome, "")
for _code in ("worker_crashed", "out_of_memory", "stalled"):
    _crashes.labels(_code)
for _outcome in ("delivered", "retried", "given_up"):
    _webhooks.labels(_outcome)
for _loop in ("consumer", "leases", "presence", "reaper", "watchdog", "webhooks"):
    _restarts.labels(_loop)


def observe_start(isolated: bool) -> None:
    """An attempt begins, in a process of its own or not."""
    _started.labels("yes" if isolated else "no").inc()


def observe_end(outcome: str, code: str = "") -> None:
    """An attempt is over: succeeded, failed (with its code), cancelled, given_back or lost."""
    _ended.labels(outcome, code).inc()


def observe_result(result: Result) -> None:
    """A job succeeded."""
    _frames.inc(max(0, result.frames - result.resumed))
    _job_seconds.observe(result.seconds)
    for stage, seconds in result.timings.items():
        _stage_seconds.labels(stage).observe(seconds)


def observe_lease_loss() -> None:
    """A running attempt learned that it is no longer the job's latest."""
    _lease_losses.inc()


def observe_crash(code: str) -> None:
    """A process that ran a job alone has died, or a thread hangs."""
    _crashes.labels(code).inc()


def observe_webhook(outcome: str) -> None:
    """A try to deliver a webhook is over."""
    _webhooks.labels(outcome).inc()


def observe_loop_restart(loop: str) -> None:
    """A loop of this worker failed, and goes on."""
    _restarts.labels(loop).inc()


class EngineCollector(Collector):
    """The engines of this process; none before the first job has loaded a model."""

    def collect(self) -> Iterable[Metric]:
        """What the engines have done so far, and the memory of their devices."""
        # Not imported for a scrape: a worker without a job yet has no engine.
        module = sys.modules.get("animator.animation.rollout.engine")
        engines = [] if module is None else module.counters()
        labels = ["model", "device"]
        for name, what in (
            ("steps", "Batches that were stepped."),
            ("frames", "Frames that were rendered in them."),
            ("seconds", "Seconds spent in steps."),
            ("halvings", "How often a batch did not fit into the device's memory."),
        ):
            family = CounterMetricFamily(f"animator_engine_{name}", what, labels=labels)
            for engine in engines:
                family.add_metric([engine.model, engine.device], getattr(engine, name))
            yield family
        for name, what in (
            ("clips", "Clips in flight."),
            ("slots", "Most clips in one batch, by the settings."),
            ("limit", "Most clips in one batch, as far as memory allows at present."),
        ):
            gauge = GaugeMetricFamily(f"animator_engine_{name}", what, labels=labels)
            for engine in engines:
                gauge.add_metric([engine.model, engine.device], getattr(engine, name))
            yield gauge
        yield self._memory()

    def _memory(self) -> Metric:
        family = GaugeMetricFamily(
            "animator_gpu_memory_bytes",
            "Memory of the GPUs that this process uses: allocated and reserved by it, free, total.",
            labels=["device", "kind"],
        )
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            for number in range(torch.cuda.device_count()):
                if not torch.cuda.memory_reserved(number):
                    continue  # asking a device that is not used would begin to use it
                free, total = torch.cuda.mem_get_info(number)
                for kind, value in (
                    ("allocated", torch.cuda.memory_allocated(number)),
                    ("reserved", torch.cuda.memory_reserved(number)),
                    ("free", free),
                    ("total", total),
                ):
                    family.add_metric([f"cuda:{number}", kind], value)
        return family


class FarmCollector(Collector):
    """What Redis knows about the whole farm; every worker tells the same.

    Args:
        store: the jobs. A client of its own is made, which does not wait for long.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = JobStore(_impatient(store.client))

    def collect(self) -> Iterable[Metric]:
        """The state of the farm, or only that Redis does not answer."""
        up = GaugeMetricFamily("animator_redis_up", "Whether Redis answers this worker.")
        try:
            # Without Redis, what this process knows itself is still told.
            families = self._ask()
        except AnimatorError:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *families]

    def _ask(self) -> list[Metric]:
        jobs = GaugeMetricFamily("animator_jobs", "Jobs on record.", labels=["state"])
        for state, count in self._store.counts().items():
            jobs.add_metric([state.value], count)
        depth = GaugeMetricFamily(
            "animator_queue_depth",
            "Jobs that wait, by who can run them and how urgent they are.",
            labels=["kind", "priority"],
        )
        with queue_errors():
            pipeline = self._store.client.pipeline(transaction=False)
            for name in QUEUES.values():
                pipeline.zcard(f"{PREFIX}waiting:{name}")
            for labels, count in zip(QUEUES, pipeline.execute(), strict=True):
                depth.add_metric(labels, count)
        workers = GaugeMetricFamily(
            "animator_workers",
            "Workers that live, by whether they take jobs.",
            labels=["consuming"],
        )
        alive = self._store.workers()
        taking = sum(worker.consuming for worker in alive)
        workers.add_metric(["yes"], taking)
        workers.add_metric(["no"], len(alive) - taking)
        webhooks = GaugeMetricFamily(
            "animator_webhooks_waiting", "Webhooks that are not delivered yet."
        )
        webhooks.add_metric([], Outbox(self._store.client).waiting())
        return [jobs, depth, workers, webhooks]


def _impatient(client: redis.Redis) -> redis.Redis:
    """A client for the same Redis that gives up soon and does not try twice."""
    # With the same address and credentials, whatever kind of connection it is.
    pool = client.connection_pool
    limits = {"socket_timeout": SCRAPE_SECONDS, "socket_connect_timeout": SCRAPE_SECONDS}
    settings = {**pool.connection_kwargs, **limits, "retry": Retry(NoBackoff(), 0)}
    return redis.Redis(
        connection_pool=redis.ConnectionPool(connection_class=pool.connection_class, **settings)
    )


def serve(settings: Settings, store: JobStore) -> WSGIServer | None:
    """Serve the metrics if the settings ask for it; None if not, or if the port is taken."""
    if settings.metrics_port is None:
        return None
    registry = CollectorRegistry()
    registry.register(REGISTRY)
    registry.register(EngineCollector())
    registry.register(FarmCollector(store))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        logger.warning(
            "no metrics are served: %s port %d cannot be used (%s); of several workers on one "
            "machine, each needs an ANIMATOR_METRICS_PORT of its own",
            host, port, error.strerror or error,
        )  # fmt: skip
        return None
    logger.info("metrics are served at http://%s:%d/metrics", host, port)
    return server
