"""Locks under which something is made once, by whichever process or machine comes first.

A lock only saves work: whoever cannot have it, for whatever reason, does the work all the same. One
whose holder dies is free again, and so is one whose holder lives but has got nowhere for long.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from animator.errors import AnimatorError
from animator.files.private import private_folder
from animator.settings import Settings

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


def lock_of(name: str, settings: Settings) -> Lock:
    """The lock of a name: of the farm where its machines share storage, else of this machine."""
    if settings.storage is not None and settings.broker_url is not None:
        from animator.broker.redis_lock import RedisLock  # few need the client of Redis

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
