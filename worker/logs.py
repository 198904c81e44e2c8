"""A worker's log: lines for people, or JSON for machines; those of a job name it.

Which job a line is about is known from the context (`contextvars`) in which it is written. The
threads in which a job works ahead take that over; the engine's, which serves many jobs, does not.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import Any

from celery.signals import setup_logging

from animator.settings import LogFormat, Settings

_job: ContextVar[tuple[str, int | None] | None] = ContextVar("job", default=None)


def about_job(job_id: str, attempt: int) -> None:
    """Lines of this thread or task are about a job from now on, until they are about another."""
    _job.set((job_id, attempt))


@contextmanager
def job_context(job_id: str, attempt: int | None = None) -> Iterator[None]:
    """Lines of this thread are about a job meanwhile."""
    token = _job.set((job_id, attempt))
    try:
        yield
    finally:
        _job.reset(token)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000+00:00 INFO worker.tasks job=abc attempt=1: sentence`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and those of a traceback after it."""
        job = getattr(record, "job", None)
        about = "" if job is None else f" job={job[0]}"
        about += "" if job is None or job[1] is None else f" attempt={job[1]}"
        text = f"{_time(record)} {record.levelname} {record.name}{about}: {record.getMessage()}"
        return "\n".join([text, *_details(self, record)])


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, process, thread, message; job, attempt, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of ASCII."""
        values: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if (job := getattr(record, "job", None)) is not None:
            values |= {"job": job[0], "attempt": job[1]}
        if details := _details(self, record):
            values["exception"] = "\n".join(details)
        return json.dumps(values)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _details(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    exception = formatter.formatException(record.exc_info) if record.exc_info else None
    stack = formatter.formatStack(record.stack_info) if record.stack_info else None
    return [text for text in (exception, stack) if text]


def configure(
    log_format: LogFormat, level: int | str = logging.INFO, path: str | None = None
) -> None:
    """Send every line of this process to a file or, without one, to the standard error."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if path:
        handler = WatchedFileHandler(path)  # files may be rotated
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    handler.addFilter(_add_job)
    root = logging.getLogger()
    # Celery and libraries may have put handlers there, and lines would come twice.
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    # At INFO, httpx tells every request with its whole address, which may hold a secret, and Celery
    # what the worker tells better, without the job.
    for name in ("httpx", "celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _add_job(record: logging.LogRecord) -> bool:
    record.job = _job.get()
    return True


@setup_logging.connect
def _configure_worker(loglevel: int | str, logfile: str | None, **_: Any) -> None:
    """In place of Celery's own set-up, with the options of its command."""
    configure(Settings.from_environment().log_format, loglevel, logfile)
