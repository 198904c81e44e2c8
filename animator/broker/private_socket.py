"""Unix sockets of this user's own server, who is at the other end of which is always checked.

Where a socket lies, another user may have put theirs: before the server was ever started, or while
it was down. So the folder is looked at before each connection, and after it the kernel is asked who
listens; nothing is sent to a process that is neither this user's nor the system's.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis

MARK = "private"
"""The parameter of an address that asks for the check."""
_ROOT = 0


class NotOurs(redis.ConnectionError):
    """The socket, its folder or the server behind it is somebody else's."""


class OwnerChecked:
    """What a class of connections to Unix sockets is derived from first to have the check."""

    path: str

    def __init__(self, *args: Any, **options: Any) -> None:
        options.pop(MARK, None)
        super().__init__(*args, **options)

    def _connect(self) -> socket.socket:
        check_folder(Path(self.path).parent)
        connected: socket.socket = super()._connect()  # type: ignore[misc]
        try:
            check_peer(connected, self.path)
        except BaseException:
            connected.close()
            raise
        return connected


class PrivateSocket(OwnerChecked, redis.UnixDomainSocketConnection):
    """A connection to this user's own server."""


def private_url(path: Path) -> str:
    """The address of a socket whose owner is to be checked, as Celery and `connect` take it."""
    return f"redis+socket://{path}?{MARK}=yes"


def is_private(url: str) -> bool:
    """Whether an address asks for the check."""
    return MARK in parse_qs(urlsplit(url).query)


def check_folder(folder: Path) -> None:
    """Refuse a folder that somebody else made or can open, or a link; one that lacks passes.

    Raises:
        NotOurs: saying which.
    """
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.geteuid()
        or stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise NotOurs(f"{str(folder)!r} must be a folder that is yours alone")


def check_peer(connected: socket.socket, path: str) -> None:
    """Refuse a server that runs as another user; root could be anybody anyhow.

    Raises:
        NotOurs: naming the user.
    """
    # Where the kernel does not tell, the folder's owner has to do.
    if hasattr(socket, "SO_PEERCRED"):
        size = struct.calcsize("3i")
        found = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        _, user, _ = struct.unpack("3i", found)
        if user not in (os.geteuid(), _ROOT):
            raise NotOurs(
                f"the server at {path!r} is of user {user}, and must be one that is yours alone"
            )
