"""Eviction: a folder of files is kept below a size, what was not used for longest goes first.

Whoever uses a file of such a folder holds a shared lock on it (`hold`); what is held by any process
is never removed. Locks are the kernel's, so they end with a process that is killed.
"""

from __future__ import annotations

import fcntl
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

_POLL_SECONDS = 0.05
_BLOCK = 4096


class Room:
    """Keeps a folder below a size, looking through it only when it may have become full.

    Several processes may do so for the same folder: an eighth is left free each time, and each
    looks again after it has added a sixty-fourth, so that eight stay below.

    Args:
        folder: as for `evict`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._unseen: float = math.inf

    def added(self, size: int, limit_bytes: int) -> bool:
        """Make room if so much more may be too much; says whether the folder was looked through."""
        with self._lock:
            # Added by this process; what others add is why an eighth is left free.
            self._unseen += _on_disk(size)
            if 64 * self._unseen <= limit_bytes:
                return False
            self._unseen = 0
            evict(self._folder, limit_bytes - limit_bytes // 8)
            return True


def evict(folder: Path, limit_bytes: int) -> int:
    """Remove files until those that are left take at most so many bytes on the disk.

    Args:
        folder: it is looked through with all its folders. It may be missing.
        limit_bytes: more than that is left only if it is in use.

    Returns:
        How many files were removed.
    """
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                path = Path(root, name)
                status = path.lstat()
                found.append((status.st_mtime_ns, _on_disk(status.st_size), path))
    left, removed = sum(size for _, size, _ in found), 0
    # By the time of last use, the oldest first.
    for _, size, path in sorted(found):
        if left <= limit_bytes:
            break
        if remove_unused(path):
            left -= size
            removed += 1
    return removed


def _on_disk(size: int) -> int:
    """What a file takes: whole blocks, and one for its name."""
    return (1 + -(-size // _BLOCK)) * _BLOCK


def remove_unused(path: Path) -> bool:
    """Remove a file unless someone holds it; says whether it is gone."""
    try:
        file = FileIO(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    with file:
        try:
            # Whoever uses it holds a shared lock.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        # Since it was opened, another file may have taken its name, which has a lock of its own.
        if is_at(file, path):
            with suppress(FileNotFoundError):
                path.unlink()
    return True


def hold(path: Path, check: Callable[[], object] = lambda: None) -> FileIO | None:
    """Keep a file from being removed until what is returned is closed; None if it is not there.

    It counts as used now.
    """
    try:
        file = FileIO(path)
    except FileNotFoundError:
        return None
    try:
        lock(file, fcntl.LOCK_SH, check)
        # Before the lock was there, it may have been removed: then it is nobody's file.
        if is_at(file, path):
            os.utime(path)
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def lock(file: FileIO, kind: int, check: Callable[[], object] = lambda: None) -> None:
    """Lock an open file, looking meanwhile at whether that is still wanted.

    Two files that were opened one by one exclude one another also within a process.
    """
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            check()
            time.sleep(_POLL_SECONDS)


def is_at(file: FileIO, path: Path) -> bool:
    """Whether an open file is the one that has the name."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    # A file is its device and inode, whatever names it has.
    ours = os.fstat(file.fileno())
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
