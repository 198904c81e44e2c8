"""A Redis of a benchmark's own, which ends with it."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from animator.broker.embedded import find_server

_START_SECONDS = 20.0


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A server over TCP with its append-only file, as a farm's is; gives its URL.

    It is a child of this process and in its process group, so that whoever ends that ends both.
    """
    binary = find_server()
    if binary is None:
        raise SystemExit("there is no Redis server on this machine")
    folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    password = secrets.token_hex(16)
    # By its input: others can read command lines.
    settings = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {folder}\n"
    settings += "appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([binary, "-"], stdin=subprocess.PIPE, stdout=log)
    assert server.stdin is not None
    server.stdin.write(settings.encode())
    server.stdin.close()
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    try:
        _wait(url, server)
        yield url
    finally:
        server.terminate()
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                return
            except redis.RedisError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the Redis server does not start") from None
                time.sleep(0.02)
