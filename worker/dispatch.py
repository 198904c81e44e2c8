"""The animator's queue on Celery; found through the entry point group `animator.queue`."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kombu.exceptions import OperationalError

from animator.errors import AnimatorError
from animator.files.private import private_folder
from animator.jobs.queue import Announcement, queue_url
from animator.jobs.store import JobStore, WorkerInfo, queue_errors
from animator.options import Kind, Priority
from animator.settings import Settings
from animator.values import without_users
from worker.celery import KEY_PREFIX, PARENT_VARIABLE, TASK, make_app
from worker.queues import queue_name


class StartedWorker:
    """A worker that runs as a child, in a session of its own.

    Args:
        process: the child.
        log: where it writes what it does.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def runs_as(self, worker_id: str) -> bool:
        """Whether a worker's sign of life, by its id, comes from this process."""
        # See `worker.presence`: host, process, and a token.
        return worker_id.startswith(f"{socket.gethostname()}-{self._process.pid}-")

    def stop(self) -> None:
        """Ask it to end once its running jobs are done; does not wait."""
        if self.alive():
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        if self.alive():
            self._process.kill()
            self._process.wait()


class _NoEvents:
    """Stands for the sender of events: an event of each message would double a batch's time.

    Monitors then see those jobs when workers take them.
    """

    def publish(self, *event: Any, **options: Any) -> None:
        """Tell nobody."""


class CeleryQueue:
    """Sends jobs to Celery workers and starts one.

    Args:
        settings: which broker, and where logs go.
        store: where workers give their signs of life.
    """

    def __init__(self, settings: Settings, store: JobStore) -> None:
        self._settings = settings
        self._store = store
        self._app = make_app(queue_url(settings))

    def enqueue(self, job_id: str, priority: Priority = "normal", kind: Kind = "any") -> None:
        """Tell the workers that a job waits; telling them twice does no harm.

        Raises:
            AnimatorError: `queue_unavailable` if the broker does not answer.
        """
        self.enqueue_many([Announcement(job_id, priority, kind)])

    def enqueue_many(self, jobs: Iterable[Announcement]) -> None:
        """The same for many jobs, in the order given and over one connection.

        Raises:
            AnimatorError: `queue_unavailable` if the broker does not answer.
        """
        # Seconds. The client waits for this; the record is there already.
        policy = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3}
        try:
            with queue_errors(), self._app.producer_pool.acquire(block=True) as producer:
                batch = list(jobs)
                events = _NoEvents() if len(batch) > 1 else None
                for job in batch:
                    self._app.send_task(
                        TASK,
                        (job.job_id,),
                        # Of its own for each message: Celery confuses those of the same id.
                        task_id=f"{job.job_id}-{secrets.token_hex(4)}",
                        queue=queue_name(job.kind, job.priority, begun=job.begun),
                        producer=producer,
                        event_dispatcher=events,
                        retry_policy=policy,
                    )
        except OperationalError as error:
            message = f"The job queue does not answer: {without_users(str(error))}."
            raise AnimatorError("queue_unavailable", message, retryable=True) from error

    def waiting(self, like: Announcement) -> int:
        """How many messages no worker has taken yet of those about such jobs.

        Raises:
            AnimatorError: `queue_unavailable` if the broker does not answer.
        """
        name = queue_name(like.kind, like.priority, begun=like.begun)
        with queue_errors():
            return self._store.client.llen(KEY_PREFIX + name)

    def any_messages(self, queues: Iterable[str]) -> bool:
        """Whether a message waits in one of several queues.

        Raises:
            AnimatorError: `queue_unavailable` if the broker does not answer.
        """
        with queue_errors():
            # A queue of kombu is a list of messages, and an empty list is none.
            return bool(self._store.client.exists(*(KEY_PREFIX + name for name in queues)))

    def alive_workers(self) -> list[WorkerInfo]:
        """The workers that take new jobs."""
        return [worker for worker in self._store.workers() if worker.consuming]

    def start_worker(self, environment: Mapping[str, str] | None = None) -> StartedWorker:
        """Start a worker on this machine, apart from this process's terminal and signals.

        Args:
            environment: variables of the worker beside those of this process.

        Raises:
            AnimatorError: `queue_unavailable` if the log cannot be written.
        """
        # Names of hosts are to differ, or Celery takes two workers for one.
        name = f"{os.getpid()}-{secrets.token_hex(3)}"
        log = self._settings.log_dir / f"worker-{name}.log"
        command = [sys.executable, "-m", "celery", "-A", "worker", "worker", "--loglevel", "INFO"]
        # Workers need not know of each other: the store tells who lives.
        command += ["--hostname", f"animator-{name}@%h", "--without-gossip", "--without-mingle"]
        try:
            private_folder(log.parent)
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    # Not in the user's folder, whose files Python would find before ours.
                    cwd=log.parent,
                    env={
                        **os.environ,
                        **self._settings.to_environment(),
                        **(environment or {}),
                        PARENT_VARIABLE: str(os.getpid()),
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise AnimatorError(
                "queue_unavailable", f"No worker can be started: {error}."
            ) from error
        return StartedWorker(process, log)
