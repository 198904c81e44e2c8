"""Webhooks that are still to be sent, as Redis keeps them.

The script that ends a job also writes its event here (`animator.jobs.scripts`), so there is no
moment at which a worker that dies could lose it. Keys:

    animator:webhooks          sorted set: ids of events by when they are due (ms, Redis's clock)
    animator:webhooks:events   hash: id to what happened, as JSON
    animator:webhooks:tries    hash: id to how often sending was begun
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from animator.broker.connection import PREFIX, RedisBase, queue_errors

# Prefix, most events, milliseconds until another worker may take them. Returns id, event, tries
# for each.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key = ARGV[1] .. 'webhooks'
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local event = redis.call('HGET', key .. ':events', id)
  redis.call('ZADD', key, now + ARGV[3], id)
  table.insert(taken, {id, event, redis.call('HINCRBY', key .. ':tries', id, 1)})
end
return taken
"""
# Prefix, id, milliseconds until it is due. One that has been removed meanwhile stays removed.
_POSTPONE = """
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
return redis.call('ZADD', ARGV[1] .. 'webhooks', 'XX', due, ARGV[2])
"""


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

    def take(self, limit: int, seconds: float) -> list[Event]:
        """Events that are due. Unless they are removed, others may take them after `seconds`."""
        found = self._run(_TAKE, limit, round(seconds * 1000))
        events = cast("list[tuple[bytes, bytes, int]]", found)
        return [Event(id.decode(), tries=tries, **json.loads(text)) for id, text, tries in events]

    def postpone(self, event: Event, seconds: float) -> None:
        """Make an event due again after a while."""
        self._run(_POSTPONE, event.id, round(seconds * 1000))

    def remove(self, event: Event) -> None:
        """An event was delivered or is given up."""
        with queue_errors():
            pipeline = self.client.pipeline()
            pipeline.zrem(f"{PREFIX}webhooks", event.id)
            pipeline.hdel(f"{PREFIX}webhooks:events", event.id)
            pipeline.hdel(f"{PREFIX}webhooks:tries", event.id)
            pipeline.execute()

    def waiting(self) -> int:
        """How many events are not delivered yet."""
        with queue_errors():
            return self.client.zcard(f"{PREFIX}webhooks")
