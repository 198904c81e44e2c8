"""A proxy in front of an HTTP server that fails as networks and stores do, by a plan.

Made for the S3 server of `tests/object_store.py`: name the proxy as `AWS_ENDPOINT_URL` and every
request of the animator and of the workers that the test starts goes through it.

    with FaultyProxy(s3.endpoint, Plan(seed=1, share=0.2)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        ...
    assert proxy.faults["cut_answer"]

A plan is drawn from its seed, one fault or none for each request in the order in which they come;
with requests from several processes at once that order, and only that, differs between runs. `Plan`
can also be told exactly what to do with the first requests that match, see `script`.

faults:
    error        503 (or 500) is answered, and the server hears nothing
    delay        the request waits for a while
    refuse       the connection is closed before the request's body is read
    cut_request  half of the request's body reaches the server, then both connections are cut
    cut_answer   half of the answer's body reaches the client, then its connection is cut
    lost_answer  the server does what was asked, and the client never hears of it
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

Fault = Literal["error", "delay", "refuse", "cut_request", "cut_answer", "lost_answer"]
FAULTS: tuple[Fault, ...] = (
    "error",
    "delay",
    "refuse",
    "cut_request",
    "cut_answer",
    "lost_answer",
)
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"}


@dataclass
class Plan:
    """Which requests fail and how.

    Attributes:
        seed: of what is drawn.
        share: of the requests that fail, 0 to 1.
        faults: those that are drawn from, evenly.
        delay_seconds: how long a delayed request waits at most.
        script: faults for the first requests that `matches` says yes to, one each; None is none.
            After them, what is drawn goes on.
        matches: called with method and path; by default all requests match.
    """

    seed: int = 0
    share: float = 0.0
    faults: tuple[Fault, ...] = FAULTS
    delay_seconds: float = 0.3
    script: list[Fault | None] = field(default_factory=list)
    matches: Callable[[str, str], bool] = lambda method, path: True

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._lock = threading.Lock()

    def draw(self, method: str, path: str) -> tuple[Fault | None, float]:
        """The fault of the next request, and a number from 0 to 1 for how."""
        with self._lock:
            if self.script and self.matches(method, path):
                return self.script.pop(0), 0.5
            fails = self._random.random() < self.share
            fault, number = self._random.choice(self.faults), self._random.random()
            return (fault if fails and self.matches(method, path) else None), number


class FaultyProxy:
    """The proxy; a context manager, which listens as long as the block runs.

    Args:
        target: the server, `http://HOST:PORT`.
        plan: what fails.

    Attributes:
        url: where it listens.
        plan: as given; it may be changed while the proxy runs.
        faults: how often each fault was made.
        requests: method and path of all requests.
    """

    def __init__(self, target: str, plan: Plan) -> None:
        self.plan = plan
        self.faults: Counter[str] = Counter()
        self.requests: list[tuple[str, str]] = []
        self._target = target
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def connect(self) -> HTTPConnection:
        """A connection to the server."""
        parts = urlsplit(self._target)
        return HTTPConnection(parts.hostname or "", parts.port, timeout=60)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle_expect_100(self) -> bool:
        """Let the client go on once the fate of its request is known."""
        return True

    def _forward(self) -> None:
        owner = self.owner
        fault, number = owner.plan.draw(self.command, self.path)
        owner.requests.append((self.command, self.path))
        if fault is not None:
            owner.faults[fault] += 1
        if fault == "refuse":
            self._cut()
            return
        if fault == "delay":
            time.sleep(number * owner.plan.delay_seconds)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self._body()
        if fault == "error":
            self._fail(503 if number < 0.7 else 500)
            return
        upstream = owner.connect()
        try:
            self._pass_on(upstream, fault, body)
        finally:
            upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward

    def _pass_on(self, upstream: HTTPConnection, fault: Fault | None, body: bytes) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP | {"content-length"}:
                upstream.putheader(name, value)
        if body or self.command in ("PUT", "POST"):
            upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders()
        if fault == "cut_request":
            upstream.send(body[: len(body) // 2])
            self._cut()
            return
        upstream.send(body)
        answer = upstream.getresponse()
        content = answer.read()
        if fault == "lost_answer":
            self._cut()
            return
        self._answer(answer, content, half=fault == "cut_answer")

    def _answer(self, answer: HTTPResponse, content: bytes, *, half: bool) -> None:
        self.send_response_only(answer.status, answer.reason)
        length = answer.getheader("Content-Length")
        for name, value in answer.getheaders():
            if name.lower() not in _HOP | {"content-length"}:
                self.send_header(name, value)
        if self.command == "HEAD":
            if length is not None:
                self.send_header("Content-Length", length)
        elif answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if half:
            self.wfile.write(content[: len(content) // 2])
            self._cut()
        elif self.command != "HEAD":
            self.wfile.write(content)

    def _fail(self, status: int) -> None:
        code = "ServiceUnavailable" if status == 503 else "InternalError"
        content = f"<Error><Code>{code}</Code><Message>as planned</Message></Error>".encode()
        if self.command == "HEAD":
            content = b""
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _cut(self) -> None:
        """Close the client's connection as a machine that dies would."""
        self.close_connection = True
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
