"""The outbox in Redis: webhooks that are still to be sent.

The script that ends a job also writes its event here (`animator/jobs/lua/common.lua`), so there is
no moment at which a worker that dies could lose it. Keys:

    animator:webhooks          sorted set: ids of events by when they are due (ms, Redis's clock)
    animator:webhooks:events   hash: id to what happened, as JSON
    animator:webhooks:tries    hash: id to how often sending was begun
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import cast

from animator.broker.connection import PREFIX, RedisBase, queue_errors
from animator.broker.scripts import LuaScripts
from animator.errors import AnimatorError
from animator.values import load_fields, plain

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """The end of a job that somebody wants to be told of."""

    id: str
    job: str
    url: str
    state: str
    """The state that the job ended in."""
    attempt: int
    """The job's attempt that ended."""
    tries: int
    """How often sending was begun, this time included."""


class Outbox(RedisBase):
    """The events. Every method raises `queue_unavailable` if Redis does not answer."""

    scripts = LuaScripts("worker")

    def take(
        self, limit: int, seconds: float, first_wait: float = 5.0, longest_wait: float = 3600.0
    ) -> list[Event]:
        """Events that are due. Unless they are removed, others may take them after `seconds`.

        Those that cannot be read are removed, with a line in the log.

        Args:
            limit: most events.
            seconds: how long they are the caller's.
            first_wait: how long an event is postponed after its first try.
            longest_wait: the most that one is postponed.
        """
        found = self._run(
            "take",
            limit=limit,
            held=round(seconds * 1000),
            first=round(first_wait * 1000),
            longest=round(longest_wait * 1000),
        )
        events = []
        for event_id, text, tries in cast("list[tuple[bytes, bytes | None, int]]", found):
            try:
                events.append(_event(plain(event_id), text, tries))
            except AnimatorError as error:
                logger.error("webhook %s is removed: %s", plain(event_id), error)
                self._remove(event_id)
        return events

    def postpone(self, event: Event, seconds: float) -> None:
        """Make an event due again after a while."""
        self._run("postpone", id=event.id, wait=round(seconds * 1000))

    def remove(self, event: Event) -> None:
        """An event was delivered or is given up."""
        self._remove(event.id)

    def _remove(self, event_id: str | bytes) -> None:
        name = cast("str", event_id)  # Redis takes both
        with queue_errors():
            # In one transaction, so that no event is left without its text.
            pipeline = self.client.pipeline()
            pipeline.zrem(f"{PREFIX}webhooks", name)
            pipeline.hdel(f"{PREFIX}webhooks:events", name)
            pipeline.hdel(f"{PREFIX}webhooks:tries", name)
            pipeline.execute()

    def waiting(self) -> int:
        """How many events are not delivered yet."""
        with queue_errors():
            return self.client.zcard(f"{PREFIX}webhooks")


def _event(event_id: str, text: bytes | None, tries: int) -> Event:
    """An event from JSON, which a job's end in another version may have written.

    Raises:
        AnimatorError: `bad_data`.
    """
    if text is None:
        raise AnimatorError("bad_data", "nothing is on record of it")
    try:
        values = load_fields(Event, text, "event")
        event = Event(**{**values, "id": event_id, "tries": tries})
    except (AnimatorError, TypeError, RecursionError) as error:
        raise AnimatorError("bad_data", f"its record cannot be read: {error}") from error
    names = (event.job, event.url, event.state)
    if not all(isinstance(name, str) for name in names) or not isinstance(event.attempt, int):
        raise AnimatorError("bad_data", "its record has values of other kinds")
    return event
