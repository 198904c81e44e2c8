"""Locks under which something is made once, by whichever process or machine comes first.

A lock only saves work: whoever cannot have it, for whatever reason, does the work all the same. One
whose holder dies is free again, and so is one whose holder lives but has got nowhere for long.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from animator.broker.connection import connect
from animator.broker.held_keys import HeldKey
from animator.errors import AnimatorError
from animator.files.private import private_folder
from animator.settings import Settings

EXPIRY_SECONDS = 6.0
"""How long a Redis lock outlives its holder."""

_log = logging.getLogger(__name__)


class Lock(Protocol):
    """What one of many may hold, of one name; a value is of use once."""

    def acquire(self) -> bool:
        """Try to take it, without waiting.

        Raises:
            OSError: if nobody can say whose it is.
            AnimatorError: likewise.
        """
        ...

    def keep(self) -> None:
        """The holder's sign that its work goes on."""
        ...

    def abandoned(self) -> bool:
        """Whether the holder has given no sign for so long that nobody should wait for it."""
        ...

    def release(self) -> None:
        """Let others have it."""
        ...


class FileLock:
    """A lock among the processes and threads of one machine: the kernel's, on a file.

    Args:
        path: the file; it is made, and removed by the last who held it.
        patience: seconds without a sign after which the holder counts as hanging.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self._path, self._patience = path, patience
        self._descriptor = -1

    def acquire(self) -> bool:
        """See `Lock.acquire`; a killed holder's is free at once."""
        private_folder(self._path.parent)
        # A descriptor of its own, since the kernel's lock belongs to the open file.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except (BlockingIOError, FileNotFoundError):
            ours = False
        except BaseException:
            os.close(descriptor)
            raise
        if not ours:  # or of a file that the holder before has removed
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self.keep()
        return True

    def keep(self) -> None:
        """See `Lock.keep`."""
        with suppress(OSError):
            os.utime(self._descriptor)

    def abandoned(self) -> bool:
        """See `Lock.abandoned`."""
        try:
            return time.time() - os.stat(self._path).st_mtime > self._patience
        except OSError:
            return False

    def release(self) -> None:
        """See `Lock.release`."""
        with suppress(OSError):
            # The name goes before the lock: who opened it meanwhile sees that the file lost it.
            os.unlink(self._path)
        os.close(self._descriptor)


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


def lock_of(name: str, settings: Settings) -> Lock:
    """The lock of a name: of the farm where its machines share storage, else of this machine."""
    if settings.storage is not None and settings.broker_url is not None:
        return RedisLock(settings.broker_url, name, settings.stall_seconds)
    return FileLock(settings.cache_dir / "locks" / name, settings.stall_seconds)


@contextmanager
def held(lock: Lock, waiting: Callable[[], Generator[None, None, None]]) -> Iterator[None]:
    """Hold a lock in a block, or run it without one where there is none to be had.

    Args:
        lock: taken once its holder has released it, died, or has got nowhere for too long.
        waiting: makes what is advanced between two tries; it paces them, and ends the wait by
            raising. It is closed when the wait is over.
    """
    mine = False
    try:
        mine = lock.acquire() or _waited(lock, waiting)
    except (OSError, AnimatorError) as error:
        _log.warning("going on without a lock: %s", error)
    try:
        yield
    finally:
        if mine:
            lock.release()


def _waited(lock: Lock, waiting: Callable[[], Generator[None, None, None]]) -> bool:
    with closing(waiting()) as tries:
        for _ in tries:
            # In this order: a lock that was released meanwhile is not abandoned.
            if lock.acquire():
                return True
            if lock.abandoned():
                _log.warning("going on without a lock: its holder gets nowhere")
                break
    return False
