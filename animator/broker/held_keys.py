"""Keys in Redis by which one of many processes, on whatever machine, holds something for a while.

A key has a time to live, which its holder prolongs. It is free for others when that runs out, and
on the holder's own machine at once when they see that its process is gone.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import cast

import redis
from redis.exceptions import LockError

from animator.broker.connection import PREFIX, queue_errors


class HeldKey:
    """A key that one may hold; every method raises `AnimatorError` with `queue_unavailable`.

    Args:
        client: of the Redis.
        name: of the key, without the prefix of all keys.
        seconds: how long it is held without a word from its holder.
    """

    def __init__(self, client: redis.Redis, name: str, seconds: float) -> None:
        self.seconds = seconds
        self._client, self._key = client, f"{PREFIX}{name}"
        self._token = f"{_machine()} {os.getpid()} {secrets.token_hex(8)}".encode()
        # Not of a thread: it is taken in one and prolonged in another.
        self._lock = client.lock(self._key, seconds, blocking=False, thread_local=False)

    def take(self) -> bool:
        """Take it, or keep it; false while another holds it."""
        with queue_errors():
            for _ in range(2):
                if self._lock.acquire(token=self._token):
                    return True
                holder = cast("bytes | None", self._client.get(self._key)) or b""
                if holder == self._token:  # an answer was lost, and the command sent twice
                    self._lock.local.token = holder
                    return True
                if not _is_gone(holder.decode()):
                    return False
                self._free(holder)  # and try again: others may have seen it, too
            return False

    def prolong(self) -> bool:
        """Hold it for another while; false if it was lost."""
        with queue_errors(), suppress(LockError):
            return self._lock.reacquire()
        return False

    def release(self) -> None:
        """Let others have it."""
        with queue_errors():
            self._free(self._token)

    def _free(self, token: bytes) -> None:
        """Remove the key if it holds this token."""
        with suppress(LockError):
            self._lock.do_release(token)


@cache
def _machine() -> str:
    """This machine since it was started, and what sees the same processes on it; or nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _is_gone(token: str) -> bool:
    """Whether a holder was a process here that has ended."""
    machine, _, rest = token.partition(" ")
    pid = rest.partition(" ")[0]
    if not machine or machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
