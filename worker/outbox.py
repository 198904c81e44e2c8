"""The outbox in Redis: webhooks that are still to be sent.

The script that ends a job also writes its event here (`animator/jobs/lua/common.lua`), so there is
no moment at which a worker that dies could lose it. Keys:

    animator:webhooks          sorted set: ids of events by when they are due (ms, Redis's clock)
    animator:webhooks:events   hash: id to what happened, as JSON
    animator:webhooks:tries    hash: id to how often sending was begun
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from animator.broker.connection import PREFIX, RedisBase, queue_errors
from animator.broker.scripts import LuaScripts


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

    def take(self, limit: int, seconds: float) -> list[Event]:
        """Events that are due. Unless they are removed, others may take them after `seconds`."""
        found = self._run("take", limit=limit, held=round(seconds * 1000))
        events = cast("list[tuple[bytes, bytes, int]]", found)
        return [Event(id.decode(), tries=tries, **json.loads(text)) for id, text, tries in events]

    def postpone(self, event: Event, seconds: float) -> None:
        """Make an event due again after a while."""
        self._run("postpone", id=event.id, wait=round(seconds * 1000))

    def remove(self, event: Event) -> None:
        """An event was delivered or is given up."""
        with queue_errors():
            # In one transaction, so that no event is left without its text.
            pipeline = self.client.pipeline()
            pipeline.zrem(f"{PREFIX}webhooks", event.id)
            pipeline.hdel(f"{PREFIX}webhooks:events", event.id)
            pipeline.hdel(f"{PREFIX}webhooks:tries", event.id)
            pipeline.execute()

    def waiting(self) -> int:
        """How many events are not delivered yet."""
        with queue_errors():
            return self.client.zcard(f"{PREFIX}webhooks")
