"""Files of hostile names, contents, sizes and speeds: refused, or made harmless."""

from __future__ import annotations

import re
import socket
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from tests.animator.web.attacks.tools import (
    MARKUP,
    MAX_UPLOAD,
    MEBIBYTE,
    answers,
    form,
    memory,
    refused,
    request,
    send,
    served_within,
)
from tests.animator.web.inhabited import Inhabited

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
        while time.monotonic() - began < 30:
            sent += MEBIBYTE
            yield chunk

    chunk = bytes(MEBIBYTE)
    before, began = memory(site), time.monotonic()
    headers = {"Content-Type": "application/octet-stream"}
    try:
        refused(ann.post("/v1/files", content=endless(), headers=headers), 413, "upload_too_large")
    except httpx.TransportError:
        pass  # closed while it was being sent
    # What is still on its way is thrown away for a moment, so that the answer can be read.
    assert sent > MAX_UPLOAD and time.monotonic() - began < 30
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


@pytest.mark.slow
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
    deadline = time.monotonic() + 30
    with site.http("ann") as http:  # their places are free again
        while True:
            with http.stream("GET", "/v1/events") as answer:
                if answer.status_code == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)
