"""How Redis is reached: its client, its errors, and scripts that run in it as one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.commands.core import Script
from redis.retry import Retry

from animator.errors import AnimatorError
from animator.jobs.scripts import PREAMBLE

PREFIX = "animator:"


@contextmanager
def queue_errors() -> Iterator[None]:
    """Turn what the Redis client raises into `queue_unavailable`, which a retry may cure."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise AnimatorError(
            "queue_unavailable", f"The job queue does not answer: {error}.", retryable=True
        ) from error


def connect(url: str) -> redis.Redis:
    """A client for `redis://`, `rediss://` or `redis+socket://`; nothing is sent yet.

    Raises:
        AnimatorError: `invalid_option` if the address cannot be understood.
    """
    if url.startswith("redis+socket://"):
        url = "unix://" + url.removeprefix("redis+socket://")
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=20,
            socket_connect_timeout=5,
            health_check_interval=30,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        )
    except ValueError as error:
        raise AnimatorError("invalid_option", f"ANIMATOR_BROKER_URL: {error}.") from error


class RedisBase:
    """A Redis client and the scripts that run there.

    The client sends a command again if the connection breaks before the answer is there, so a
    script may run twice. Changes of one job are written so that their second run changes nothing
    and answers as the first.

    Args:
        client: a Redis client as `connect` makes it.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._scripts: dict[str, Script] = {}

    def ping(self) -> None:
        """Raise `queue_unavailable` if Redis does not answer."""
        with queue_errors():
            self.client.ping()

    def _run(self, script: str, *arguments: str | bytes | int | float, client: Any = None) -> Any:
        """Run a script with the prefix of all keys as first argument; or queue it in a pipeline."""
        with queue_errors():
            if script not in self._scripts:
                self._scripts[script] = self.client.register_script(PREAMBLE + script)
            return self._scripts[script](args=[PREFIX, *arguments], client=client)
