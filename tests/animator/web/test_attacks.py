"""Hostile clients of a real server: each is refused in a sentence with a code, others are served."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import socket
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.errors import CODES
from tests.animator.web.inhabited import Inhabited, inhabit
from tests.animator.web.served import talk

MEBIBYTE = 1024**2
MAX_UPLOAD = 64 * MEBIBYTE
OWNERS = {"ann": False, "bob": False, "root": True}
SCRIPT = "<script>alert(1)</script>"
MARKUP = [
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    SCRIPT,
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 1234577*7 }}{% include '/etc/passwd' %}${1234577*7}<%= 1234577*7 %>{t.__class__}",
]
HOSTILE_NAMES = [
    b"../../../../etc/passwd",
    b"..\\..\\boot.ini",
    b"a\x00b.png",
    b"x" * 300 + b".png",
    "photo\u202egnp.exe".encode(),
    b"a%0d%0aSet-Cookie: a=b%0d%0a.png",
    b"a%22; filename=evil.html; x=%22",
    b"\xff\xfe\xc0\xae.png",
    b".",
    b"-rf --no-preserve-root",
    "\U0001f984".encode() * 100,
    "".join(MARKUP).encode(),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inhabited]:
    """A server with three tokens, with files and jobs of ann."""
    folder = tmp_path_factory.mktemp("attacked")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("ANIMATOR_"):
                patch.delenv(name)
        patch.setenv("ANIMATOR_STATE_DIR", str(folder / "state"))
        patch.setenv("ANIMATOR_SERVE_RATE", "100000")
        patch.setenv("ANIMATOR_SERVE_MAX_UPLOAD_BYTES", str(MAX_UPLOAD))
        inhabited = inhabit(folder, owners=OWNERS)
        try:
            yield inhabited
        finally:
            inhabited.server.end()
            EmbeddedRedis(folder / "state").stop()


@pytest.fixture
def ann(site: Inhabited) -> Iterator[httpx.Client]:
    with site.http("ann") as http:
        yield http


@pytest.fixture
def bob(site: Inhabited) -> Iterator[httpx.Client]:
    with site.http("bob") as http:
        yield http


@pytest.fixture(autouse=True)
def the_server_goes_on(site: Inhabited) -> Iterator[None]:
    """Whatever is done, memory stays bounded, nobody else waits, and nothing fails inside."""
    before, log = memory(site), len(site.server.log())
    yield
    with site.http("root") as other:
        began = time.monotonic()
        assert other.get("/v1/queue").status_code == 200
        assert time.monotonic() - began < 5
    assert memory(site) - before < 64 * MEBIBYTE
    assert site.server.process.poll() is None
    assert "Traceback" not in site.server.log()[log:]


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


# Names and contents of files


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_names_of_files_do_no_harm(site: Inhabited, ann: httpx.Client, name: bytes) -> None:
    content = site.source.read_bytes()
    folder = site.server_folder
    quoted = name.replace(b'"', b"%22")
    head = b'Content-Disposition: form-data; name="file"; filename="' + quoted + b'"'
    # One more byte makes it another file each time.
    answer = ann.post("/v1/files", **form((head, content + name)))
    if answer.status_code == 400:
        refused(answer, 400, "bad_request")  # a NUL in a header
        return
    told = site.server.taken(answer)
    shown = told["name"]
    assert shown.isprintable() and 0 < len(shown) <= 120
    assert not set(shown) & set("/\\\r\n\0\u202e")
    assert sorted(path.name for path in (folder / "uploads" / told["id"]).iterdir()) == [
        "about.json", "file.png", "thumbnail.jpg",
    ]  # fmt: skip
    fetched = ann.get(told["links"]["content"])
    assert "set-cookie" not in fetched.headers
    assert fetched.headers["content-type"] == "image/png"
    assert re.fullmatch(
        r"inline; filename=\"[A-Za-z0-9 ._()-]+\"(; filename\*=UTF-8''[A-Za-z0-9%._~-]+)?",
        fetched.headers["content-disposition"],
    )
    ann.delete(told["links"]["self"])


def test_headers_of_names_are_one_line(site: Inhabited) -> None:
    for header in ("X-File-Name: a%0d%0aX-Evil: 1%00.png", "X-File-Name: %2e%2e%2f%2e%2e%2fa.png"):
        body = site.source.read_bytes() + header.encode()
        head = f"POST /v1/files HTTP/1.1\n{header}\nContent-Length: {len(body)}\nConnection: close"
        answer = answers(site, request(site, head, body)).lower()
        assert answer.startswith(b"http/1.1 201") and b"\r\nx-evil" not in answer
    evil = b"X-File-Name: a\rX-Evil: 1\x00\r\n"
    head = b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\n" + evil + b"\r\n"
    assert answers(site, head).startswith(b"HTTP/1.1 400")


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.png", b"<!doctype html><html><script>alert(1)</script></html>"),
        ("picture.svg", SVG),
        ("picture.png", b'<?xml version="1.0"?>' + SVG),
        ("list.mp4", PLAYLIST),
        ("list.png", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("empty.png", b""),
        ("gif.gif", b"GIF89a/*<svg/onload=alert(1)>*/=alert(1)//;"),
        ("doc.pdf.png", b"%PDF-1.7\n%\xff\xff\n1 0 obj<</OpenAction 2 0 R>>endobj"),
        ("program.mp4", b"\x7fELF" + bytes(4096)),
        ("half.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    ],
)  # fmt: skip
def test_what_is_no_picture_and_no_video_is_refused(
    ann: httpx.Client, name: str, content: bytes
) -> None:
    codes = ("unsupported_format", "unreadable_image", "unreadable_video", "no_video_stream")
    refused(send(ann, content, name), (415, 422), *codes, "no_frames", "check_crashed")


def test_a_picture_that_is_a_page_too_stays_a_picture(site: Inhabited, ann: httpx.Client) -> None:
    content = site.source.read_bytes() + b"<html><script>alert(1)</script></html>"
    told = site.server.taken(send(ann, content, "page.html"))
    for way in ("content", "thumbnail"):
        headers = ann.get(told["links"][way], headers={"Accept": "text/html"}).headers
        assert headers["content-type"] in ("image/png", "image/jpeg")
        assert headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.png", bytes(50 * MEBIBYTE))
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: png(50_000, 50_000, bytes(10 * MEBIBYTE)),
        lambda: png(2**31 - 1, 2**31 - 1, b""),
        lambda: png(1, 2**31 - 1, b""),
        zip_bomb,
    ],
    ids=["large", "largest", "tall", "zip"],
)
def test_bombs_do_not_go_off(ann: httpx.Client, make: Callable[[], bytes]) -> None:
    codes = (
        "too_large",
        "unsupported_format",
        "unreadable_image",
        "out_of_memory",
        "check_timeout",
    )
    refused(send(ann, make(), "bomb.png"), (413, 415, 422, 503), *codes)


# Sizes and speeds


def test_a_body_that_says_to_be_too_large_is_refused_before_it_comes(site: Inhabited) -> None:
    for path in ("/v1/files", "/v1/check", "/nowhere"):
        for length in (3 * 1024**3, 10**30):
            head = f"POST {path} HTTP/1.1\nContent-Length: {length}\nExpect: 100-continue"
            answer = answers(site, request(site, head))
            if length == 3 * 1024**3:
                assert answer.startswith(b"HTTP/1.1 413"), (path, answer)
                assert b'"code":"upload_too_large"' in answer
            else:  # a number of more than 20 digits is none
                assert answer.startswith(b"HTTP/1.1 400"), (path, answer)


@pytest.mark.slow
def test_a_body_without_an_end_is_cut_off(site: Inhabited, ann: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 3 * 1024**3:
            sent += MEBIBYTE
            yield bytes(MEBIBYTE)

    before, began = memory(site), time.monotonic()
    headers = {"Content-Type": "application/octet-stream"}
    try:
        refused(ann.post("/v1/files", content=endless(), headers=headers), 413, "upload_too_large")
    except httpx.TransportError:
        pass  # closed while it was being sent
    # What is still on its way is thrown away for a moment, so that the answer can be read.
    assert sent < 3 * 1024**3 and time.monotonic() - began < 30
    assert memory(site) - before < 48 * MEBIBYTE
    assert not [
        path
        for path in (site.server_folder / "uploads").iterdir()
        if not (path / "about.json").exists()
    ]


@pytest.mark.slow
def test_whoever_sends_or_reads_too_slowly_is_cut_off(site: Inhabited) -> None:
    body = "Content-Type: application/octet-stream\nContent-Length: 1000000"
    slow = {
        "body": (request(site, f"POST /v1/files HTTP/1.1\n{body}"), b"x"),
        "json": (request(site, "POST /v1/jobs HTTP/1.1\nContent-Type: application/json\n"
                         "Content-Length: 1000"), b" "),
        "chunks": (request(site, "POST /v1/files HTTP/1.1\nTransfer-Encoding: chunked"),
                   b"1\r\nx\r\n"),
        "head": (f"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:{site.server.port}\r\n".encode(), b"X"),
        "nothing": (b"", b""),
    }  # fmt: skip

    def drip(begin: bytes, drop: bytes) -> tuple[float, bytes]:
        began, answer = time.monotonic(), b""
        with socket.create_connection(("127.0.0.1", site.server.port)) as connection:
            connection.settimeout(1.5)  # slower than a byte a second
            connection.sendall(begin)
            while time.monotonic() - began < 60:
                try:
                    got = connection.recv(1 << 16)
                    answer += got
                    if not got:
                        break
                except TimeoutError:
                    connection.sendall(drop)
                except OSError:
                    break
        return time.monotonic() - began, answer

    with ThreadPoolExecutor(len(slow)) as pool, site.http("bob") as other:
        ways = {name: pool.submit(drip, *given) for name, given in slow.items()}
        for _ in range(10):
            began = time.monotonic()
            assert other.get("/v1/jobs").status_code == 200
            assert time.monotonic() - began < 1
            time.sleep(0.5)
        for name, way in ways.items():
            seconds, answer = way.result()
            assert seconds < 50, name
            if name in ("body", "json", "chunks"):
                assert b'"code":"too_slow"' in answer, (name, answer)


def test_a_result_is_sent_no_faster_than_it_is_read(site: Inhabited) -> None:
    job = site.job("succeeded")
    path = Path(site.server.record(job)["output"])
    with path.open("r+b") as file:
        file.truncate(200 * MEBIBYTE)
    before = memory(site)
    with ExitStack() as held:
        for _ in range(8):
            connection = held.enter_context(
                socket.create_connection(("127.0.0.1", site.server.port))
            )
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(request(site, f"GET /v1/jobs/{job}/result HTTP/1.1"))
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        time.sleep(1)
        assert memory(site) - before < 48 * MEBIBYTE
        assert served_within(site, 1.0)


def served_within(site: Inhabited, seconds: float) -> bool:
    """Whether somebody else is answered within some seconds."""
    with site.http("bob") as other:
        began = time.monotonic()
        assert other.get("/v1/jobs").status_code == 200
        assert other.get("/jobs", headers={"Accept": "text/html"}).status_code == 200
        return time.monotonic() - began < seconds


@pytest.mark.slow
def test_five_hundred_idle_streams_keep_nobody_waiting(site: Inhabited) -> None:
    head = request(site, "GET /v1/events HTTP/1.1")
    with ExitStack() as held:
        streams = []
        for _ in range(500):
            stream = held.enter_context(
                socket.create_connection(("127.0.0.1", site.server.port), timeout=30)
            )
            stream.sendall(head)
            streams.append(stream)
        first = [stream.recv(12) for stream in streams]
        assert first.count(b"HTTP/1.1 200") == 256
        assert first.count(b"HTTP/1.1 429") == 244
        assert served_within(site, 1.0)
    deadline = time.monotonic() + 10
    with site.http("ann") as http:  # their places are free again
        while True:
            with http.stream("GET", "/v1/events") as answer:
                if answer.status_code == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)


# What is sent


JSON_BODIES: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "deep": (b"[" * 200_000, (400, 422)),
    "deep objects": (b'{"source":' * 20_000, (400, 422)),
    "NaN": (b'{"source":"%s","driving":"%s","smoothing":NaN}', (400, 422)),
    "infinite": (b'{"source":"%s","driving":"%s","smoothing":Infinity}', (400, 422)),
    "huge": (b'{"source":"%s","driving":"%s","smoothing":1e999999}', (400, 422)),
    "long": (b'{"source":"%s","driving":"%s","size":' + b"9" * 100_000 + b"}", (400, 422)),
    "text": (b"\xff\xfe{}", (400, 422)),
    "halves": (b'{"source":"\\ud800","driving":"\\udfff"}', (400, 422)),
    "nothing": (b"", (400, 422)),
    "null": (b"null", (400, 422)),
    "list": (b"[]", (400, 422)),
    "proto": (b'{"source":"%s","driving":"%s","__proto__":{"a":1}}', (422,)),
    "owner": (b'{"source":"%s","driving":"%s","owner":"root"}', (422,)),
    "output": (b'{"source":"%s","driving":"%s","output":"/etc/cron.d/a"}', (422,)),
    "large": (b'{"source":"%s","driving":"%s","key":"' + b"a" * 10 * MEBIBYTE + b'"}', (413,)),
}  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/check"])
@pytest.mark.parametrize("which", JSON_BODIES)
def test_json_that_is_none_is_refused(
    site: Inhabited, ann: httpx.Client, path: str, which: str
) -> None:
    body, statuses = JSON_BODIES[which]
    for name in ("source", "driving"):
        body = body.replace(b"%s", site.files[name].encode(), 1)
    headers = {"Content-Type": "application/json"}
    answer = ann.post(path, content=body, headers=headers)
    refused(answer, statuses, "bad_request", "invalid_option", "upload_too_large")


def test_the_last_of_two_equal_keys_counts(site: Inhabited, ann: httpx.Client) -> None:
    body = {"source": site.files["source"], "driving": site.files["driving"]}
    twice = json.dumps(body)[:-1] + ', "priority": "high", "priority": "low"}'
    headers = {"Content-Type": "application/json"}
    told = site.server.taken(ann.post("/v1/jobs", content=twice, headers=headers))
    assert told["priority"] == "low"


def test_forms_with_too_much_in_them_are_refused(site: Inhabited, ann: httpx.Client) -> None:
    part = b'Content-Disposition: form-data; name="f%d"'
    many = form(*((part % number, b"") for number in range(100_000)))
    for path in ("/v1/files", "/v1/jobs"):
        refused(ann.post(path, **many), (400, 413), "bad_request", "upload_too_large")
    forms = {
        "a long field": form((part % 1, bytes(MEBIBYTE))),
        "a long name": form((b'Content-Disposition: form-data; name="' + b"n" * 3000 + b'"', b"")),
        "many headers": form((b"\r\n".join([part % 1] + [b"A: b"] * 100), b"")),
        "a long header": form((part % 1 + b"\r\nA: " + b"b" * 10_000, b"")),
        "no name": form((b"Content-Disposition: form-data", b"")),
        "two files": form(*[(b'Content-Disposition: form-data; name="file"; filename="a"', b"x")] * 3),
        "a wrong field": form((b'Content-Disposition: form-data; name="evil"; filename="a"', b"x")),
    }  # fmt: skip
    for path in ("/v1/files", "/v1/jobs"):
        for what, given in forms.items():
            answer = ann.post(path, **given)
            assert answer.status_code in (400, 422), (path, what)
            refused(answer, (400, 422), "bad_request", "invalid_option")
    broken = form((part % 1, b"x"))
    broken["content"] = broken["content"][:-10]
    refused(ann.post("/v1/files", **broken), 400, "bad_request")
    broken["headers"] = {"Content-Type": "multipart/form-data; boundary=" + "b" * 500}
    refused(ann.post("/v1/files", **broken), 400, "bad_request")


def test_requests_that_can_be_read_in_two_ways_are_refused(site: Inhabited) -> None:
    inner = b"GET /v1/queue HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for extra in (
        "Content-Length: 5\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 5",
        "Content-Length: 5\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 5, 5, 6",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Content-Length: -1",
    ):
        head = request(site, f"POST /v1/files HTTP/1.1\n{extra}")
        answer = answers(site, head + b"0\r\n\r\n" + inner)
        assert re.match(rb"HTTP/1\.1 (400|501) ", answer), (extra, answer)
        assert answer.count(b"HTTP/1.1 ") == 1, (extra, answer)


def test_chunks_that_lie_are_refused(site: Inhabited) -> None:
    head = request(site, "POST /v1/files HTTP/1.1\nTransfer-Encoding: chunked")
    for chunks in (
        b"5\r\nab\r\n0\r\n\r\n",
        b"zz\r\nab\r\n0\r\n\r\n",
        b"-1\r\nab\r\n0\r\n\r\n",
        b"ffffffffffffffffffffffff\r\nab\r\n",
        b"1;" + b"a" * 100_000 + b"\r\nx\r\n0\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as connection:
            connection.sendall(head + chunks)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1 << 16)
        assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer), (chunks[:20], answer)


def test_odd_ways_of_http_are_answered_plainly(site: Inhabited) -> None:
    old = answers(site, b"GET /livez HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 200") and old.endswith(b'{"status": "alive"}')
    assert answers(site, b"GET /livez HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400")
    # One after the other, in order
    head = request(site, "GET /livez HTTP/1.1") + request(site, "GET /v1/nowhere HTTP/1.1")
    both = answers(site, head + request(site, "GET /livez HTTP/1.1\nConnection: close"))
    assert re.findall(rb"HTTP/1\.1 (\d+)", both) == [b"200", b"404", b"200"]
    for junk in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ):
        answer = answers(site, junk + b"\r\n" * 2)
        assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer), (junk[:30], answer[:100])
    upgrade = "GET /livez HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade, close"
    assert answers(site, request(site, upgrade)).startswith(b"HTTP/1.1 200")


def test_methods_are_what_they_are(site: Inhabited, ann: httpx.Client) -> None:
    job = site.jobs["failed"]
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        ann.get(f"/v1/jobs/{job}", headers={name: "DELETE"})
        refused(ann.post(f"/v1/jobs/{job}", headers={name: "DELETE"}), 405, "method_not_allowed")
    ann.get(f"/v1/jobs/{job}?_method=DELETE")
    assert ann.get(f"/v1/jobs/{job}").status_code == 200
    for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PUT"):
        answer = ann.request(method, f"/v1/jobs/{job}")
        assert answer.status_code in (400, 405), method
        assert site.tokens["ann"] not in answer.text


# Who asks


def test_other_names_and_other_sites_are_refused(site: Inhabited, ann: httpx.Client) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example", "[::1"):
        for way in ("GET /v1/jobs", "GET /", "GET /livez", "POST /v1/jobs", "GET /login"):
            head = f"{way} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            answer = answers(site, head.encode())
            assert re.match(rb"HTTP/1\.1 (400|403) ", answer), (host, way, answer)
            assert b"evil" not in answer.lower()
    # Nor by what a proxy would say
    told = ann.get("/v1/jobs", headers={"X-Forwarded-Host": "evil.example", "X-Original-URL": "/"})
    assert told.status_code == 200 and "evil" not in told.text
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{site.server.port}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        refused(ann.post("/v1/jobs", json={}, headers=headers), 403, "not_allowed")
        job = site.jobs["queued"]
        refused(ann.delete(f"/v1/jobs/{job}", headers=headers), 403, "not_allowed")
        answer = ann.get("/v1/jobs", headers=headers)
        assert "access-control-allow-origin" not in answer.headers


def test_who_has_no_token_or_a_wrong_one_gets_nothing(site: Inhabited) -> None:
    token = site.tokens["ann"]
    with httpx.Client(base_url=site.server.url) as http:
        for given in (
            "", "Bearer", "Bearer x", f"Bearer {token}x", f"Bearer {token[:-1]}",
            f"Basic {token}", token, f"Bearer {token.upper()}", "Bearer " + "a" * 20_000,
        ):  # fmt: skip
            headers = {"Authorization": given} if given else {}
            for path in ("/v1/jobs", "/v1/files", "/v1/events", "/v1/queue", "/v1/nowhere"):
                answer = http.get(path, headers=headers)
                refused(answer, 401, "not_signed_in")
                assert answer.headers["www-authenticate"] == "Bearer"
            assert token not in answer.text
        for path in ("/", "/jobs", "/workers", "/nowhere"):
            answer = http.get(path, headers={"Accept": "text/html"})
            assert answer.status_code == 303 and answer.headers["location"].startswith("/login?")


def test_a_token_in_an_address_is_refused(site: Inhabited) -> None:
    token = site.tokens["ann"]
    with httpx.Client(base_url=site.server.url) as http:
        for query in (f"token={token}", f"access_token={token}", f"x={token}", f"ToKeN={token}"):
            for path in ("/v1/jobs", "/", "/livez", "/login"):
                refused(http.get(f"{path}?{query}"), (400, 401), "bad_request", "not_signed_in")
        for path in ("/livez", "/login"):
            refused(http.get(f"{path}?token={token}"), 400, "bad_request")
    assert token not in site.server.log()


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


def test_forms_of_other_pages_and_sessions_are_refused(site: Inhabited) -> None:
    job = site.jobs["failed"]
    with signed_in(site) as (browser, csrf), signed_in(site, "bob") as (_, foreign):
        cookie = browser.cookies["animator"]
        for value in (None, "", foreign, csrf[:-1], csrf + "0", csrf.upper(), "\u00e9" * 64):
            fields = {} if value is None else {"csrf": value}
            for path in (
                f"/jobs/{job}/delete", "/jobs/actions", "/sample", "/logout", "/login", "/jobs",
            ):  # fmt: skip
                answer = browser.post(path, data=fields)
                assert answer.status_code in (400, 403), (path, value, answer.status_code)
            headers = {b"Accept": b"application/json"}
            if value is not None:
                headers[b"X-CSRF-Token"] = value.encode()
            answer = browser.post("/v1/jobs", json={}, headers=headers)
            refused(answer, 403, "not_allowed")
            refused(browser.delete(f"/v1/jobs/{job}", headers=headers), 403, "not_allowed")
        # What is signed out is worth nothing, whoever kept it.
        assert browser.post("/logout", data={"csrf": csrf}).status_code == 303
        with httpx.Client(base_url=site.server.url, cookies={"animator": cookie}) as again:
            refused(again.get("/v1/jobs"), 401, "not_signed_in")
            headers = {"X-CSRF-Token": csrf}
            refused(again.post("/v1/jobs", json={}, headers=headers), 401, "not_signed_in")
            assert again.get("/", headers={"Accept": "text/html"}).status_code == 303
    assert site.server.record(job)["state"] == "failed"


def test_nobody_is_sent_elsewhere_after_signing_in(site: Inhabited) -> None:
    for after in (
        "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)",
        "/%09/evil.example", "\t//evil.example", "/\t/evil.example", "/\r\nLocation: //evil.example",
        "///evil.example", "\\\\evil.example", "http:evil.example", ".evil.example", "@evil.example",
    ):  # fmt: skip
        with browser_of(site) as browser:
            shown = browser.get("/login", params={"next": after})
            fields = {"csrf": csrf_of(shown), "token": site.tokens["ann"], "next": after}
            answer = browser.post("/login", data=fields)
            assert answer.status_code == 303
            place = httpx.URL(site.server.url).join(answer.headers["location"])
            assert place.host == "127.0.0.1" and place.port == site.server.port, after
            assert not re.search(r"^[^/]|^/[/\\\t]", answer.headers["location"]), after
    # Also where the address itself asks for it
    for path in ("//evil.example/", "/%5cevil.example", "/..//evil.example"):
        head = f"GET {path} HTTP/1.1\nAccept: text/html\nConnection: close"
        bare = re.sub(rb"Authorization: [^\r]+\r\n", b"", request(site, head))
        answer = answers(site, bare)
        place = re.search(rb"(?i)\r\nlocation: ([^\r]+)", answer)
        assert place is None or place[1].startswith(b"/login?next="), answer


def test_guesses_of_tokens_are_counted(site: Inhabited) -> None:
    with browser_of(site) as browser:
        csrf = csrf_of(browser.get("/login"))
        fields = {"csrf": csrf, "token": "anim_wrong", "next": ""}
        statuses = [browser.post("/login", data=fields).status_code for _ in range(30)]
        assert statuses == [401] * 10 + [429] * 20


# What belongs to others


def test_what_others_own_is_not_there(
    site: Inhabited, ann: httpx.Client, bob: httpx.Client
) -> None:
    file = site.files["driving"]
    for state, job in site.jobs.items():
        for part in (
            "", "/events", "/logs", "/result", "/preview.jpg", "/poster.jpg", "/driving",
            "/extras/landmarks",
        ):  # fmt: skip
            answer = bob.get(f"/v1/jobs/{job}{part}")
            refused(answer, 404, "no_such_job")
            unknown = bob.get(f"/v1/jobs/{'0' * 12}{part}").text
            assert answer.text.replace(job, "0" * 12) == unknown, (state, part)
        for part in ("cancel", "retry"):
            refused(bob.post(f"/v1/jobs/{job}/{part}"), 404, "no_such_job")
        refused(bob.delete(f"/v1/jobs/{job}"), 404, "no_such_job")
        assert bob.get(f"/jobs/{job}", headers={"Accept": "text/html"}).status_code == 404
        assert bob.get(f"/jobs/{job}/picture").status_code == 404
        assert bob.get(f"/?again={job}", headers={"Accept": "text/html"}).status_code == 404
    for part in ("", "/content", "/thumbnail.jpg"):
        refused(bob.get(f"/v1/files/{file}{part}"), 404, "no_such_upload")
    bob.delete(f"/v1/files/{file}")
    assert ann.get(f"/v1/files/{file}").status_code == 200
    for path in ("/v1/jobs", "/v1/check"):
        body = {"source": file, "driving": file}
        refused(bob.post(path, json=body), 404, "no_such_upload")
    told = bob.get("/v1/jobs").text + bob.get("/v1/files").text + bob.get("/v1/workers").text
    told += bob.get("/jobs").text + bob.get("/").text + bob.get("/workers").text
    for hidden in (*site.jobs.values(), *site.files.values()):
        assert hidden not in told
    with bob.stream("GET", "/v1/events") as stream:
        began = next(stream.iter_bytes()).decode()
        assert not any(job in began for job in site.jobs.values())


def test_keys_of_others_lead_to_nothing_of_theirs(
    site: Inhabited, ann: httpx.Client, bob: httpx.Client
) -> None:
    theirs = {"source": site.files["source"], "driving": site.files["driving"], "key": "mine"}
    headers = {"Idempotency-Key": "one"}
    made = site.server.taken(ann.post("/v1/jobs", json=theirs, headers=headers))
    assert site.server.taken(ann.post("/v1/jobs", json=theirs, headers=headers))["id"] == made["id"]
    ids = [
        site.server.taken(send(bob, path.read_bytes(), path.name))["id"]
        for path in (site.source, site.driving)
    ]
    for key in ("mine", "ann:mine", "bob:mine"):
        own = {"source": ids[0], "driving": ids[1], "key": key}
        answer = bob.post("/v1/jobs", json=own, headers={"Idempotency-Key": f"one-{key}"})
        if answer.is_success:
            assert (answer.json()["owner"], answer.json()["id"] == made["id"]) == ("bob", False)
        else:
            assert made["id"] not in answer.text
    other = {"source": ids[0], "driving": ids[1], "size": 512}
    told = site.server.taken(bob.post("/v1/jobs", json=other, headers=headers))
    assert (told["owner"], told["id"] == made["id"]) == ("bob", False)
    changed = {**theirs, "size": 512}
    refused(ann.post("/v1/jobs", json=changed, headers=headers), 422, "idempotency_mismatch")


# Where inputs and outputs lie


def test_inputs_and_weights_are_never_paths(site: Inhabited, ann: httpx.Client) -> None:
    ok = {"source": site.files["source"], "driving": site.files["driving"]}
    for url in (
        "file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "http://localhost:6379/",
        "http://127.0.0.1:8420/v1/jobs", "https://[::1]/a.png", "s3://bucket/key", "gopher://a/b",
        "ftp://a/b", "concat:///etc/passwd", "pipe://0", "data://text/plain,a", "memory://a",
        "local:///etc/passwd", "file://localhost/etc/passwd", "FILE:///etc/passwd",
        "/etc/passwd", "../../etc/passwd", "etc/passwd", f"{site.files['source']}/../x",
        "simplecache::file:///etc/passwd", "", "-", ".", "\u0000",
    ):  # fmt: skip
        for name in ("source", "driving"):
            for path in ("/v1/jobs", "/v1/check"):
                answer = ann.post(path, json={**ok, name: url})
                refused(answer, (403, 404, 422), "url_refused", "invalid_option", "no_such_upload")
    for weights in (
        "/etc/passwd", "../default", "..", ".", "a/b", "a\\b", "default\0", "%2e%2e", "file:///a",
        str(site.source), "x" * 65, "no-such-weights",
    ):  # fmt: skip
        answer = ann.post("/v1/jobs", json={**ok, "weights": weights})
        refused(answer, (404, 422), "invalid_option", "no_such_weights")
        fields = {name: (None, text) for name, text in {**ok, "weights": weights}.items()}
        answer = ann.post("/v1/jobs", files=fields)
        refused(answer, (404, 422), "invalid_option", "no_such_weights")
    for webhook in (
        "http://127.0.0.1/", "http://localhost:6379/", "http://169.254.169.254/", "http://[::1]/",
        "http://0x7f000001/", "http://2130706433/", "http://a@127.0.0.1/", "http://evil.example/",
        "file:///etc/passwd", "javascript:alert(1)", "gopher://127.0.0.1:6379/_FLUSHALL",
    ):  # fmt: skip
        answer = ann.post("/v1/jobs", json={**ok, "webhook": webhook})
        refused(answer, (403, 422), "webhook_refused", "invalid_option")


def test_tricks_with_paths_lead_nowhere(site: Inhabited) -> None:
    file, job = site.files["source"], site.jobs["succeeded"]
    for path in (
        "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py",
        "/static/..%5cserver.py", "/static/%2e%2e%2f%2e%2e%2fsettings.py", "/static//etc/passwd",
        "/static/%00", "/static/style.css%00.png", "/static/page.js/", "/static/", "/static/.",
        "/static/....//server.py", "/static/%252e%252e%252fserver.py", "//static/style.css",
        f"/v1/files/{file}/../../../etc/passwd", "/v1/files/..%2f..%2fetc%2fpasswd",
        f"/v1/files/{file}%00/content", f"/v1/files/{file}%2f%2fcontent", f"/v1/files/{file.upper()}",
        f"/v1/files/{file}/content/", "/v1/files/%2e%2e/content", f"/v1//files/{file}",
        f"/v1/jobs/{job}%00", f"/v1/jobs/{job}%0a", f"/v1/jobs/{job.upper()}X",
        f"/v1/jobs/..%2f{job}", f"/v1/jobs/{job}/extras/..%2fresult",
        f"/v1/jobs/{job}/extras/%2e%2e", f"/jobs/{job}/../../etc", f"/jobs/..%5c{job}",
        "/%2e%2e/%2e%2e/etc/passwd", "/\\etc\\passwd", "/v1/jobs/%ff%fe", "/v1/jobs/" + "a" * 5000,
    ):  # fmt: skip
        head = f"GET {path} HTTP/1.1\nConnection: close\nAccept: text/html"
        answer = answers(site, request(site, head))
        assert re.match(rb"HTTP/1\.1 (400|404|405|422|307) ", answer), (path, answer[:300])
        assert b"root:" not in answer and b"import " not in answer and b"Traceback" not in answer


def test_a_result_that_is_replaced_by_a_link_is_not_sent(
    site: Inhabited, ann: httpx.Client, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    places: dict[str, Callable[[Path], object]] = {
        "link": lambda path: path.symlink_to(secret),
        "folder": lambda path: path.mkdir(),
        "pipe": lambda path: os.mkfifo(path),
        "nothing": lambda path: None,
    }
    for name, put in places.items():
        job = site.job("succeeded")
        path = Path(site.server.record(job)["output"])
        path.unlink()
        put(path)
        began = time.monotonic()
        refused(ann.get(f"/v1/jobs/{job}/result"), 404, "no_result")
        for picture in ("poster.jpg", "preview.jpg"):
            answer = ann.get(f"/v1/jobs/{job}/{picture}")
            assert answer.status_code != 200, (name, picture)
            refused(answer, (404, 415, 422))
        assert ann.get(f"/jobs/{job}", headers={"Accept": "text/html"}).status_code == 200
        assert time.monotonic() - began < 30
        assert ann.delete(f"/v1/jobs/{job}").status_code == 204
        assert secret.read_text() == "hidden"


def test_files_that_a_job_needs_stay_and_may_vanish(site: Inhabited, ann: httpx.Client) -> None:
    content = site.source.read_bytes() + b"another"
    source = site.server.taken(send(ann, content))["id"]
    job = site.server.submit(source, site.files["driving"])["id"]
    refused(ann.delete(f"/v1/files/{source}"), 409, "wrong_state")
    # Somebody cleans up behind the server's back.
    shutil.rmtree(site.server_folder / "uploads" / source)
    record = site.server.record(job)
    assert record["state"] == "queued" and record["files"]["source"] == source
    refused(ann.get(f"/v1/files/{source}/content"), 404, "no_such_upload")
    refused(ann.get(f"/v1/jobs/{job}/poster.jpg"), 404, "no_preview")
    for page in (f"/jobs/{job}", "/jobs", f"/?again={job}"):
        assert ann.get(page, headers={"Accept": "text/html"}).status_code == 200
    refused(ann.post("/v1/jobs", json={"source": source, "driving": source}), 404)
    assert ann.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"


def test_parts_of_files_are_asked_for_in_vain_ways(site: Inhabited, ann: httpx.Client) -> None:
    path = f"/v1/jobs/{site.jobs['succeeded']}/result"
    size = len(ann.get(path).content)
    for wanted in (
        "bytes=" + ",".join(f"{n}-{n}" for n in range(3000)),
        "bytes=" + ",".join(["0-"] * 5000),
        "bytes=0-,-1", "bytes=-", "bytes=a-b", "bytes=5-2", "items=0-5", "bytes 0-5", "bytes=--5",
        "bytes=0x0-0x5", "bytes=" + "9" * 5000 + "-", "bytes=\u00b2-", "", "bytes=",
    ):  # fmt: skip
        answer = ann.get(path, headers={"Range": wanted.encode()})
        assert answer.status_code in (200, 416), wanted[:40]
        assert len(answer.content) <= size
    refused(ann.get(path, headers={"Range": f"bytes={size}-"}), 416, "bad_request")
    refused(ann.get(path, headers={"Range": "bytes=999999999999999999-"}), 416, "bad_request")
    assert len(ann.get(path, headers={"Range": "bytes=-999999999999999999"}).content) == size
    for junk in ("*junk", '"', ",,,,", "W/", '"a"' * 5000, "\u00e9", "{{7*7}}", '"a\\"'):
        for name in ("If-None-Match", "If-Range", "If-Modified-Since", "If-Match"):
            answer = ann.get(path, headers={name: junk.encode()})
            assert answer.status_code in (200, 304), (name, junk[:20])


# What is shown again


def assert_harmless(answer: httpx.Response) -> None:
    """Nothing of what was sent is markup, a template or a script in what comes back."""
    kind, text = answer.headers["content-type"], answer.text
    assert answer.status_code < 500
    if not kind.startswith("text/html"):
        assert kind.startswith(("application/", "image/", "text/css", "text/event-stream")), kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        return
    assert "8642039" not in text, "a template was filled in"
    for sign in ("<script>alert", "<img src=x", "<svg/onload", "onerror=alert(1)>", "root:x:0"):
        assert sign not in text, sign
    assert not re.search(r"(?i)(href|src|action)\s*=\s*[\"']?\s*javascript:", text)
    scripts = re.findall(r"(?i)<script\b[^>]*>", text)
    assert all(
        re.fullmatch(r'<script type="module" src="/static/page\.js\?v=\w+">', s) for s in scripts
    )
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy


@pytest.mark.parametrize("text", MARKUP, ids=range(len(MARKUP)))
def test_markup_stays_text_wherever_it_is_shown(
    site: Inhabited, ann: httpx.Client, text: str
) -> None:
    page = {"Accept": "text/html"}
    # In names of files, and the jobs made of them
    content = site.source.read_bytes() + text.encode()
    file = site.server.taken(send(ann, content, text + ".png"))
    job = site.server.submit(file["id"], site.files["driving"], key=re.sub(r"\s", "", text))["id"]
    failed = site.job("running")
    fail(site, failed, text)
    shown = ["/", "/jobs", f"/jobs/{job}", f"/jobs/{failed}", f"/?source={file['id']}", "/workers"]
    shown += [f"/?again={job}", f"/v1/jobs/{job}", f"/v1/jobs/{failed}/logs", "/v1/files"]
    for path in shown:
        assert_harmless(ann.get(path, headers=page))
    seen = ann.get(f"/jobs/{failed}", headers=page).text
    assert text in html.unescape(seen)
    # In addresses
    for path in (
        "/", "/jobs", "/login", "/workers", "/v1/jobs", "/v1/files", "/v1/events", "/static/style.css",
    ):  # fmt: skip
        for name in (
            "source", "driving", "again", "state", "cursor", "next", "size", "weights", "webhook",
            "key", "told", "why", "done", "left", "look", "last_event_id", "v", text,
        ):  # fmt: skip
            if path == "/v1/events" and name == "last_event_id":
                continue
            with ann.stream("GET", path, params={name: text}, headers=page) as answer:
                if not answer.headers["content-type"].startswith("text/event-stream"):
                    answer.read()
                    assert_harmless(answer)
    for path in (
        "/{}",
        "/jobs/{}",
        "/v1/jobs/{}",
        "/v1/files/{}",
        "/static/{}",
        "/jobs/{}/picture",
    ):
        quoted = httpx.URL(path="/" + text).raw_path[1:].decode().replace("/", "%2F")
        assert_harmless(ann.get(path.format(quoted), headers=page))
        assert_harmless(ann.get(path.format(quoted)))


def fail(site: Inhabited, job: str, message: str) -> None:
    """Have a running job fail for a reason that somebody made up, with a log that is no better."""
    from animator.spec import JobError

    attempt = site.store.get(job).attempt
    assert site.store.fail(job, attempt, JobError("no_face", message, False))


@pytest.mark.parametrize("text", MARKUP, ids=range(len(MARKUP)))
def test_markup_in_forms_stays_text(site: Inhabited, text: str) -> None:
    with signed_in(site, "root") as (browser, csrf):
        names = (
            "source",
            "driving",
            "size",
            "start",
            "weights",
            "webhook",
            "key",
            "face",
            "device",
        )
        for name in names:
            answer = browser.post("/jobs", files={"csrf": (None, csrf), name: (None, text)})
            assert answer.status_code in (403, 404, 422), (name, answer.status_code)
            assert_harmless(answer)
        fields = {"csrf": csrf, "action": text, "job": text, "state": text}
        assert_harmless(browser.post("/jobs/actions", data=fields, follow_redirects=True))
        assert_harmless(
            browser.post(f"/jobs/{site.jobs['failed']}/{httpx.QueryParams(a=text)}", data=fields)
        )
        wrong = {"csrf": csrf, "token": text, "next": text}
        assert_harmless(browser.post("/login", data=wrong))
