"""The interface of the job queue, whichever queue is installed.

The queue is found by the entry point group `animator.queue`; the package `worker` registers Celery
there. A queue carries hints only: the job's record in the store says what is to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from animator.broker.embedded import EmbeddedRedis
from animator.errors import AnimatorError
from animator.files.private import close_state_folder
from animator.jobs.store import JobStore, WorkerInfo, connect
from animator.options import Kind, Priority
from animator.record import JobRecord
from animator.settings import Settings

GROUP = "animator.queue"
"""The entry point group in which a queue registers itself."""


@dataclass(frozen=True)
class Announcement:
    """What the workers are told: a job waits, how urgent it is, and which workers can run it."""

    job_id: str
    priority: Priority
    kind: Kind
    begun: bool = False
    """Whether it was begun before; it then goes before those of its priority that were not."""

    @classmethod
    def of(cls, record: JobRecord) -> Announcement:
        """The announcement of a job."""
        return cls(record.id, record.options.priority, record.spec.kind, record.attempt > 0)


class WorkerHandle(Protocol):
    """A worker process that this process started."""

    @property
    def log(self) -> Path:
        """Where the worker writes what it does."""

    def alive(self) -> bool:
        """Whether the process still runs."""

    def runs_as(self, worker_id: str) -> bool:
        """Whether a worker's sign of life, by its id, comes from this process."""

    def stop(self) -> None:
        """Ask it to end once its running jobs are done; does not wait."""

    def kill(self) -> None:
        """End it at once."""


class Queue(Protocol):
    """What the animator needs of a queue."""

    def enqueue(self, job_id: str, priority: Priority = "normal", kind: Kind = "any") -> None:
        """Tell the workers that a job waits.

        Args:
            job_id: the job.
            priority: its priority.
            kind: which workers can run it.

        Raises:
            AnimatorError: `queue_unavailable` if the broker does not answer.
        """

    def enqueue_many(self, jobs: Iterable[Announcement]) -> None:
        """The same for many jobs, in the order given and over one connection.

        Raises:
            AnimatorError: `queue_unavailable` if the broker does not answer.
        """

    def alive_workers(self) -> list[WorkerInfo]:
        """The workers that take new jobs."""

    def start_worker(self, environment: Mapping[str, str] | None = None) -> WorkerHandle:
        """Start a worker on this machine, apart from this process's terminal and signals.

        It ends by itself when it is told to, or when this process is gone and its jobs are done.

        Args:
            environment: variables of the worker beside those of this process.
        """


def queue_url(settings: Settings) -> str:
    """The address of the Redis to use; the embedded one is started if none is configured.

    Raises:
        AnimatorError: `queue_unavailable` if the embedded one cannot be started.
    """
    close_state_folder(settings.state_dir)
    if settings.broker_url is not None:
        return settings.broker_url
    # Starting it again does nothing, so every process may ask.
    embedded = EmbeddedRedis(settings.state_dir)
    embedded.start()
    return embedded.url


def open_store(settings: Settings) -> JobStore:
    """The job store; it is checked that it answers.

    Raises:
        AnimatorError: `queue_unavailable`.
    """
    store = JobStore(connect(queue_url(settings)))
    store.ping()
    return store


def load_queue(settings: Settings, store: JobStore) -> Queue:
    """The queue that is installed.

    Raises:
        AnimatorError: `queue_unavailable` if none is installed.
    """
    for entry_point in entry_points(group=GROUP):
        factory: Callable[[Settings, JobStore], Queue] = entry_point.load()
        return factory(settings, store)
    raise AnimatorError(
        "queue_unavailable", "No queue is installed; `pip install .` in the checkout adds it."
    )
