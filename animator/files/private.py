"""Folders of one user: nobody else may enter them, and what is in them is closed with them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

STATE_NAMES = ("cache", "detectors", "logs", "outbox", "redis", "server", "weights")
"""The folders that a state folder has."""
_OTHERS = 0o077


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are not there, for this user alone.

    One that is there is closed to others if it is this user's.

    Raises:
        OSError: if it cannot be made.
    """
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        _close(path)


def close_state_folder(state_dir: Path) -> None:
    """Close a state folder that others may enter, as it was made before, with all that is in it.

    A folder that holds other things as well keeps its mode: it may be a home, or one of the system.
    What is not this user's stays as it is.
    """
    with suppress(OSError):
        if set(os.listdir(state_dir)) <= set(STATE_NAMES):
            _close(state_dir)
    for name in STATE_NAMES:
        folder = state_dir / name
        # A closed folder was made closed, or all in it was closed along with it.
        if _close(folder):
            for inside, folders, files in os.walk(folder):
                for entry in (*folders, *files):
                    _close(Path(inside, entry))


def ordinary_mode(mode: int = 0o666) -> int:
    """What the mode of a new file is by this process's umask."""
    try:
        # Setting the mask is the portable way to read it, and meanwhile it is another one for all
        # threads.
        lines = Path("/proc/self/status").read_text().splitlines()
        mask = next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))
    except (OSError, StopIteration):
        mask = os.umask(_OTHERS)
        os.umask(mask)
    return mode & ~mask


def _close(path: Path) -> bool:
    """Take the rights of others away; false if they had none, or if it is not ours."""
    with suppress(OSError):
        found = path.lstat()
        # A folder with the sticky bit is meant for many.
        plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        if plain and found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(found.st_mode)
            if mode & _OTHERS:
                path.chmod(mode & ~_OTHERS)
                return True
    return False
