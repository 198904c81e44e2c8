"""A web server for tests, which serves what it is given and misbehaves on demand.

with web_server() as web:
    web.files["/a.mp4"] = File(b"...")
    web.redirects["/old"] = "/a.mp4"
    ... web.url + "/a.mp4"
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class File:
    """What is served at a path.

    Attributes:
        content: the file.
        tag: whether an ETag is sent.
        modified: sent as Last-Modified, if given.
        ranges: whether parts can be asked for.
        length: whether the length is told; else the body is chunked.
        encoding: sent as Content-Encoding, whatever was asked for.
        head: status of the answer to HEAD.
        status: of the answer to GET.
        seconds: between two pieces of the body.
        cuts: after how many bytes of the body the first answers are cut off.
    """

    content: bytes
    tag: bool = True
    modified: str = ""
    ranges: bool = True
    length: bool = True
    encoding: str = ""
    head: int = 200
    status: int = 200
    seconds: float = 0.0
    cuts: list[int] = field(default_factory=list)


@dataclass
class Web:
    """A running server.

    Attributes:
        url: its address.
        files: by path.
        redirects: targets by path.
        requests: method, path and range of all requests.
    """

    url: str = ""
    files: dict[str, File] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def count(self, method: str, path: str = "") -> int:
        """How many requests there were."""
        return sum(one[0] == method and path in one[1] for one in self.requests)


@contextmanager
def web_server() -> Iterator[Web]:
    """A server that runs as long as the block."""
    web = Web()

    class Handler(_Handler):
        owner = web

    server = _Server(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""


class _Handler(BaseHTTPRequestHandler):
    owner: Web
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        self._serve(body=True)

    def _serve(self, *, body: bool) -> None:
        owner, asked = self.owner, self.headers.get("Range", "")
        owner.requests.append((self.command, self.path, asked))
        if self.path in owner.redirects:
            self._begin(302, {"Location": owner.redirects[self.path], "Content-Length": "0"})
            return
        file = owner.files.get(self.path)
        status = 404 if file is None else file.status if body else file.head
        if file is None or status != 200:
            self._begin(status, {"Content-Length": "0"})
            return
        content, headers = file.content, self._headers(file)
        tag = headers.get("ETag")
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        if span and file.ranges and self.headers.get("If-Range", tag) == tag:
            first = int(span[1])
            if first >= len(content):
                self._begin(416, {"Content-Length": "0"})
                return
            last = min(int(span[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, content = 206, content[first : last + 1]
        if file.length:
            headers["Content-Length"] = str(len(content))
        else:
            headers["Transfer-Encoding"] = "chunked"
        self._begin(status, headers)
        if body:
            self._send(file, content)

    def _headers(self, file: File) -> dict[str, str]:
        headers = {}
        if file.tag:
            headers["ETag"] = f'"{hashlib.sha256(file.content).hexdigest()}"'
        if file.modified:
            headers["Last-Modified"] = file.modified
        if file.encoding:
            headers["Content-Encoding"] = file.encoding
        return headers

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, file: File, content: bytes) -> None:
        cut = file.cuts.pop(0) if file.cuts else None
        whole = content if cut is None else content[:cut]
        step = 1 << 16
        for start in range(0, len(whole), step):
            piece = whole[start : start + step]
            if not file.length:
                piece = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.wfile.write(piece)
            time.sleep(file.seconds)
        if cut is not None:
            self.close_connection = True
        elif not file.length:
            self.wfile.write(b"0\r\n\r\n")
