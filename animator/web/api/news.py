"""What event streams say: events of jobs, and how jobs are at a moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from animator.jobs.events import JobEvent
from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState, Progress

_SNAPSHOT_TRIES = 3


@dataclass(frozen=True, slots=True)
class News:
    """An event as it is sent."""

    id: str
    order: tuple[int, int]
    """What ids are compared by."""
    job: str
    kind: str
    state: JobState
    owner: str | None
    """Whose job it is; None where nobody can tell any more, so that only who sees all sees it."""
    data: str
    """Its text, one line of JSON."""

    @property
    def last(self) -> bool:
        """Whether nothing more comes of the job by itself."""
        return self.kind == "removed" or (self.kind == "state" and self.state.ended)

    def frame(self) -> bytes:
        """The event as a stream has it."""
        return f"event: {self.kind}\nid: {self.id}\ndata: {self.data}\n\n".encode()


@dataclass(frozen=True)
class Snapshot:
    """Records, and the event up to which they tell what happened."""

    event_id: str
    records: list[JobRecord]

    def frames(self) -> bytes:
        """What a stream begins with: how the jobs are."""
        texts = [
            f"event: state\ndata: {tell_record(record)}\n\n" for record in reversed(self.records)
        ]
        # With the last alone: who has got a part of it has not got it.
        if texts:
            texts[-1] = f"id: {self.event_id}\n{texts[-1]}"
        else:
            texts = [f"id: {self.event_id}\n\n"]
        return "".join(texts).encode()


def take_snapshot(store: JobStore, read: Callable[[], Iterable[JobRecord]]) -> Snapshot:
    """Records at a moment between two events.

    Args:
        store: where the events are.
        read: reads the records.

    Raises:
        AnimatorError: `queue_unavailable`, or as `read` does.
    """
    for _ in range(_SNAPSHOT_TRIES):
        event_id = store.last_event_id()
        records = list(read())
        # If something happens meanwhile each time, that is told again.
        if store.last_event_id() == event_id:
            break
    return Snapshot(event_id, records)


def tell_record(record: JobRecord) -> str:
    """How a job is, as the data of an event."""
    moment = record.finished or record.started or record.created
    error = None if record.error is None else record.error.code
    return _data(record.id, record.state, record.attempt, moment, record.progress, error)


def tell(event: JobEvent, job: str, progress: Progress | None, error: str | None) -> str:
    """What happened to a job, as the data of an event."""
    return _data(job, event.state, event.attempt, event.time, progress, error)


def _data(
    job: str,
    state: JobState,
    attempt: int,
    time: str,
    progress: Progress | None,
    error: str | None,
) -> str:
    values: dict[str, Any] = {"job": job, "state": state.value, "attempt": attempt, "time": time}
    for name in ("stage", "frame", "frames", "fps", "eta"):
        values[name] = None if progress is None else getattr(progress, name)
    values["error"] = error
    try:
        return json.dumps(values, allow_nan=False)
    except ValueError:  # a number that is none; JSON has no word for it
        return json.dumps(values | {"fps": None, "eta": None})
