"""A web server that takes webhooks, or does what such servers do wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, and what is answered: a status; `hang` and `drip` never come to an end."""

    port: int
    answers: list[int | str] = field(default_factory=list)
    """Answers to the next requests; after them, 200."""
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?for=tests"


@contextmanager
def receiver(*answers: int | str) -> Iterator[Receiver]:
    """A receiver on this machine."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.received.append(Received(self.path, dict(self.headers.items()), body))
            answer = here.answers.pop(0) if here.answers else 200
            if answer == "hang":
                ended.wait(60)
            elif answer == "drip":
                # Each byte comes in time; the whole never does.
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not ended.wait(0.05):
                    self.wfile.write(b"x")
            elif answer == "close":
                self.connection.close()
            else:
                assert isinstance(answer, int)
                self.send_response(answer)
                if 300 <= answer < 400:
                    self.send_header("Location", here.url + "&redirected=1")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *details: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *details: object) -> None:
            pass  # the sender hangs up on those that are too slow

    server = Server(("127.0.0.1", 0), Handler)
    here = Receiver(server.server_address[1], list(answers))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield here
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def wait_for(count: int, here: Receiver, seconds: float = 15) -> None:
    """Wait until so many requests have come."""
    deadline = time.monotonic() + seconds
    while len(here.received) < count:
        assert time.monotonic() < deadline, f"{len(here.received)} of {count} have come"
        time.sleep(0.02)
