"""The connection to Redis: its client, its errors, and the scripts that are run there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.commands.core import Script
from redis.retry import Retry

from animator.broker.private_socket import PrivateSocket, is_private
from animator.broker.scripts import LuaScripts, Value
from animator.errors import AnimatorError

PREFIX = "animator:"
"""What all keys begin with, so that a Redis can be shared."""

_REFUSALS = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
_REFUSED = (
    "Redis refuses the user or the password of ANIMATOR_BROKER_URL, redis://USER:PASSWORD@HOST; "
    "correct them there, or leave USER empty where there is only a password."
)


@contextmanager
def queue_errors() -> Iterator[None]:
    """Turn what the Redis client raises into `queue_unavailable`, which a retry may cure."""
    try:
        yield
    except _REFUSALS as error:
        raise AnimatorError("queue_unavailable", _REFUSED) from error
    except (redis.RedisError, OSError) as error:
        raise AnimatorError(
            "queue_unavailable", f"The job queue does not answer: {error}.", retryable=True
        ) from error


def connect(url: str) -> redis.Redis:
    """A client for `redis://`, `rediss://` or `redis+socket://`; nothing is sent yet.

    At the address of an embedded server, every connection checks whose server answers there.

    Raises:
        AnimatorError: `invalid_option` if the address cannot be understood.
    """
    if url.startswith("redis+socket://"):
        url = "unix://" + url.removeprefix("redis+socket://")
    kind = {"connection_class": PrivateSocket} if is_private(url) else {}
    try:
        client = redis.Redis.from_url(
            url,
            # Seconds. The retries, half a second apart at most, are for a connection that broke;
            # in an outage, callers wait in their own way.
            socket_timeout=20,
            socket_connect_timeout=5,
            health_check_interval=30,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
            # After a fail-over the old connection leads to what takes no writes any more, and the
            # same address, asked again, to what does.
            retry_on_error=[redis.exceptions.ReadOnlyError],
            **kind,
        )
        # Made here, and not connected, so that an option that there is not is found at once.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (ValueError, TypeError):
        # Not in the parser's words, nor as what it was raised from: they may hold the password.
        raise AnimatorError(
            "invalid_option",
            "ANIMATOR_BROKER_URL has a part behind its question mark that cannot be understood.",
        ) from None
    return client


class RedisBase:
    """A Redis client and the scripts that run there.

    The client sends a command again if the connection breaks before the answer is there, so a
    script may run twice. Changes of one job are written so that their second run changes nothing
    and answers as the first.

    Args:
        client: a Redis client as `connect` makes it.

    Attributes:
        scripts: those of the class's package, if it has any.
    """

    scripts: LuaScripts

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._registered: dict[str, Script] = {}

    def ping(self) -> None:
        """Raise `queue_unavailable` if Redis does not answer."""
        with queue_errors():
            self.client.ping()

    def _run(
        self, name: str, /, *, client: Any = None, **arguments: Value | Sequence[Value]
    ) -> Any:
        """Run a script, or queue it if `client` is a pipeline.

        Args:
            name: of the script.
            client: the pipeline.
            arguments: as the script names them.

        Raises:
            AnimatorError: `queue_unavailable`.
            TypeError: if the script takes other arguments.
        """
        script = self.scripts.load(name)
        if name not in self._registered:
            # redis-py sends the hash of this, and the text only where Redis does not know it yet.
            source = f"local PREFIX = '{PREFIX}'\n{script.source}"
            self._registered[name] = self.client.register_script(source)
        with queue_errors():
            try:
                return self._registered[name](args=script.in_order(arguments), client=client)
            except redis.ResponseError as error:
                # From within a script it is an error of another kind, but the same holds.
                if "READONLY" in str(error):
                    self.client.connection_pool.disconnect(inuse_connections=False)
                raise
