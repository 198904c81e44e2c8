"""Servers for tests: an app behind the real protocol, on a port of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from animator.web.access.protocol import BoundedProtocol


@contextmanager
def served(app: ASGIApp, root_path: str = "") -> Iterator[str]:
    """An app that answers while the block runs; its address."""
    config = uvicorn.Config(
        app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
        root_path=root_path, server_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def talk(address: str, *parts: bytes, pause: float = 0.0, timeout: float = 60.0) -> bytes:
    """Send bytes as they are, with a pause after each part, and take all that comes back."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        answer = b""
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break
            time.sleep(pause)
        try:
            while received := connection.recv(1 << 16):
                answer += received
        except ConnectionResetError:
            pass
        return answer
