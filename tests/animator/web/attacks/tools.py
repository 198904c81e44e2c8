"""What attacks are made with, and what is looked at after each."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from animator.errors import CODES
from tests.animator.web.inhabited import Inhabited
from tests.animator.web.served import talk

MEBIBYTE = 1024**2
MAX_UPLOAD = 64 * MEBIBYTE
SCRIPT = "<script>alert(1)</script>"
MARKUP = [
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    SCRIPT,
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 1234577*7 }}{% include '/etc/passwd' %}${1234577*7}<%= 1234577*7 %>{t.__class__}",
]


def memory(site: Inhabited) -> int:
    """Bytes of memory that the server has."""
    status = Path(f"/proc/{site.server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def refused(answer: httpx.Response, status: int | tuple[int, ...], *codes: str) -> dict[str, Any]:
    """The problem that an answer is."""
    statuses = (status,) if isinstance(status, int) else status
    assert answer.status_code in statuses, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["code"] in (codes or CODES) and told["status"] == answer.status_code
    assert told["detail"] and len(told["detail"]) < 2000 and "Traceback" not in told["detail"]
    assert "/tmp/" not in told["detail"]
    return told


def send(http: httpx.Client, content: bytes, name: str = "a.png", path: str = "/v1/files") -> Any:
    return http.post(path, files={"file": (name, content)})


def form(*parts: tuple[bytes, bytes], boundary: bytes = b"xx") -> dict[str, Any]:
    """A form of headers and contents as they are."""
    body = b"".join(
        b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    return {"content": body + b"--" + boundary + b"--\r\n", "headers": {"Content-Type": kind}}


def request(site: Inhabited, head: str, body: bytes = b"", owner: str = "ann") -> bytes:
    """A request as bytes; `head` is its first line and further headers."""
    first, _, rest = head.partition("\n")
    lines = [
        first,
        f"Host: 127.0.0.1:{site.server.port}",
        f"Authorization: Bearer {site.tokens[owner]}",
        *rest.splitlines(),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answers(site: Inhabited, *parts: bytes, **given: Any) -> bytes:
    return talk(site.server.url, *parts, **given)


def served_within(site: Inhabited, seconds: float) -> bool:
    """Whether somebody else is answered within some seconds."""
    with site.http("bob") as other:
        began = time.monotonic()
        assert other.get("/v1/jobs").status_code == 200
        assert other.get("/jobs", headers={"Accept": "text/html"}).status_code == 200
        return time.monotonic() - began < seconds


ADDRESSES = (f"127.0.1.{number}" for number in range(1, 255))
"""Where browsers are: so many sign in here that one address would be made to wait."""


def browser_of(site: Inhabited) -> httpx.Client:
    """A browser on a machine of its own."""
    way = httpx.HTTPTransport(local_address=next(ADDRESSES))
    headers = {"Accept": "text/html"}
    return httpx.Client(base_url=site.server.url, headers=headers, transport=way, timeout=30)


@contextmanager
def signed_in(site: Inhabited, owner: str = "ann") -> Iterator[tuple[httpx.Client, str]]:
    """A browser with a session, and what its forms carry."""
    with browser_of(site) as browser:
        fields = {"csrf": csrf_of(browser.get("/login")), "token": site.tokens[owner], "next": ""}
        answer = browser.post("/login", data=fields)
        assert answer.status_code == 303, answer.text
        yield browser, csrf_of(browser.get("/"))


def csrf_of(answer: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found is not None, answer.text
    return found[1]
