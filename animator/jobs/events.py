"""The stream of events: what became of jobs, in the order in which it happened.

The scripts that change records write it (`animator/jobs/lua/common.lua`), each event in the very
step that makes the change. It is kept short, so it is no history: who has missed too much of it
reads the records, which are the truth in any case.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from animator.broker.connection import PREFIX, RedisBase, queue_errors
from animator.jobs.reading import read_progress
from animator.record import JobState, Progress
from animator.values import refuse

EventKind = Literal["state", "progress", "removed"]
NO_EVENT = "0-0"
"""An id before that of every event."""

_STREAM = f"{PREFIX}events"
_KINDS: dict[bytes, EventKind] = {b"state": "state", b"progress": "progress", b"removed": "removed"}
_ID = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)
_LARGEST = 2**64 - 1
_WAIT_SECONDS = 5.0
"""How long Redis is asked to hold back one answer, well below the time-out of a connection."""

_PAGE = 1000
_Entry = tuple[bytes, Mapping[bytes, bytes]]


@dataclass(frozen=True)
class JobEvent:
    """One change of a job."""

    id: str
    """Its place in the stream, MILLISECONDS-NUMBER; later events have greater ones."""
    job: str
    kind: EventKind
    """`state`: it has come into a state, or is asked to leave it (a running job that is to be
    cancelled). `progress`: it is further. `removed`: its record is gone."""
    state: JobState
    """The state that followed; of a removed job, the one that it had."""
    attempt: int
    """The attempt that it was at."""
    time: str
    """When: UTC, ISO 8601."""
    progress: Progress | None = None
    """How far it is, with the kind `progress`."""


class JobEvents(RedisBase):
    """Reads the events of all jobs.

    Every method raises `AnimatorError` with `queue_unavailable` if Redis does not answer, and
    `invalid_option` for a text that is no id of an event.

    Ids go by the clock of Redis. Where `last_event_id` is before an id that one had from it, the
    stream has begun anew (a Redis that lost its memory, and its clock set back since): read on
    from there.
    """

    def last_event_id(self) -> str:
        """The id of the newest event; `NO_EVENT` if there is none."""
        with queue_errors():
            return _first_id(self.client.xrevrange(_STREAM, count=1))

    def oldest_event_id(self) -> str:
        """The id of the oldest event that is kept; `NO_EVENT` if there is none.

        Who has read less far than this may have missed some.
        """
        with queue_errors():
            return _first_id(self.client.xrange(_STREAM, count=1))

    def events_after(self, last_id: str, *, limit: int = 1000) -> list[JobEvent]:
        """The events after one, the oldest first; without what cannot be read.

        Args:
            last_id: the id of the last event that is known, or `NO_EVENT`.
            limit: at most so many.

        Returns:
            An empty list only if there is none after it.
        """
        after = check_event_id(last_id)
        while True:
            with queue_errors():
                entries = cast(
                    "list[_Entry]", self.client.xrange(_STREAM, f"({after}", count=limit)
                )
            found = _events(entries)
            # A page of nothing but damage is not the end.
            if found or len(entries) < limit:
                return found
            after = entries[-1][0].decode()

    def wait_events(self, last_id: str, seconds: float) -> list[JobEvent]:
        """The events after one, as soon as there are any.

        A call that waits has a connection of its own; other threads use the store meanwhile. A
        store has at most a hundred, so a process has one thread wait for all who watch.

        Args:
            last_id: as in `events_after`.
            seconds: how long to wait for the first; then the answer is empty.
        """
        after = check_event_id(last_id)
        deadline = time.monotonic() + seconds
        while True:
            left = min(deadline - time.monotonic(), _WAIT_SECONDS)
            # Not 0 milliseconds, which would be for ever.
            block = max(round(1000 * left), 1)
            with queue_errors():
                answer: Any = self.client.xread({_STREAM: after}, count=_PAGE, block=block)
            entries: list[_Entry] = answer[0][1] if answer else []
            if (found := _events(entries)) or time.monotonic() >= deadline:
                return found
            if entries:
                after = entries[-1][0].decode()


def check_event_id(text: str) -> str:
    """The id of an event, from whoever says that it is one.

    Raises:
        AnimatorError: `invalid_option` if it is none.
    """
    known = isinstance(text, str) and _ID.fullmatch(text)
    if not known or max(map(int, known.groups())) > _LARGEST:
        raise refuse("the id of an event", text, "MILLISECONDS-NUMBER, as events have it")
    return text


def event_order(event_id: str) -> tuple[int, int]:
    """What ids of events are compared by; as texts they do not sort as they came."""
    milliseconds, number = check_event_id(event_id).split("-")
    return int(milliseconds), int(number)


def _events(entries: Sequence[_Entry]) -> list[JobEvent]:
    read = (_event(name, values) for name, values in entries)
    return [event for event in read if event is not None]


def _event(name: bytes, values: Mapping[bytes, bytes]) -> JobEvent | None:
    """An event; None if it is damaged, or of a version that knows other kinds."""
    # Whatever wrong values raise: those that come after it are told all the same.
    with suppress(KeyError, ValueError):
        moment = values[b"time"].decode()
        datetime.fromisoformat(moment)
        kind = _KINDS[values[b"kind"]]
        progress = read_progress(values.get(b"progress")) if kind == "progress" else None
        if kind == "progress" and progress is None:
            return None
        return JobEvent(
            id=name.decode(),
            job=values[b"job"].decode(),
            kind=kind,
            state=JobState(values[b"state"].decode()),
            attempt=int(values[b"attempt"]),
            time=moment,
            progress=progress,
        )
    return None


def _first_id(entries: Any) -> str:
    return entries[0][0].decode() if entries else NO_EVENT
