"""A lock among all machines of a farm; see `animator.broker.locks`."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from animator.broker.connection import connect
from animator.broker.held_keys import HeldKey
from animator.errors import AnimatorError

EXPIRY_SECONDS = 6.0
"""How long a Redis lock outlives its holder."""


class RedisLock:
    """A lock among all machines of a farm: a key with a time to live, renewed by a thread.

    Args:
        url: of the Redis.
        name: of the lock.
        patience: seconds without a sign after which the holder's thread renews it no more.
        expiry: seconds for which the key outlives its holder.
    """

    def __init__(
        self, url: str, name: str, patience: float, expiry: float = EXPIRY_SECONDS
    ) -> None:
        self._key = HeldKey(connect(url), f"once:{name}", expiry)
        self._patience = patience
        self._alive = time.monotonic()
        self._over = threading.Event()

    def acquire(self) -> bool:
        """See `Lock.acquire`; a killed holder's is free when its key expires."""
        if not self._key.take():
            return False
        self.keep()
        # A daemon: it must not keep a process alive, whose end is what frees the lock.
        threading.Thread(target=self._prolong_often, name="lock", daemon=True).start()
        return True

    def keep(self) -> None:
        """See `Lock.keep`."""
        self._alive = time.monotonic()

    def abandoned(self) -> bool:
        """See `Lock.abandoned`; such a lock expires by itself."""
        return False

    def release(self) -> None:
        """See `Lock.release`."""
        self._over.set()
        with suppress(AnimatorError):
            self._key.release()

    def _prolong_often(self) -> None:
        while not self._over.wait(self._key.seconds / 3):
            # A holder that hangs is alive to Redis. From here on its key expires.
            if time.monotonic() - self._alive > self._patience:
                return
            with suppress(AnimatorError):
                self._key.prolong()
