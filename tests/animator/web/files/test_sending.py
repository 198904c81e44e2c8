"""Files as answers: parts of them, what a caller has already, and what changes meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from animator.errors import AnimatorError
from animator.web.files.sending import send_bytes, send_file
from animator.web.problems import handle_errors
from tests.animator.web.served import served, talk

CONTENT = bytes(range(256)) * 4000  # more than one block


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def address(path: Path) -> Iterator[str]:
    app = FastAPI()
    handle_errors(app, lambda request, error: None)

    @app.head("/file")
    @app.get("/file")
    def file(request: Request) -> Response:
        missing = AnimatorError("no_result", "It is gone.")
        return send_file(
            request, path, "video/mp4", etag="abc", name="a.mp4", inline=True, missing=missing
        )

    @app.get("/bytes")
    def small(request: Request) -> Response:
        return send_bytes(request, b"jpeg", "image/jpeg", etag="x", name="a.jpg", max_age=5)

    with served(app) as address:
        yield address


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=1023990-", 1023990, 1024000),
        ("bytes=-10", 1023990, 1024000),
        ("bytes=-99999999", 0, 1024000),
        ("bytes=10-99999999", 10, 1024000),
        ("Bytes=5-9", 5, 10),
    ],
)
def test_a_range(address: str, wanted: str, start: int, end: int) -> None:
    answer = httpx.get(f"{address}/file", headers={"Range": wanted})
    assert answer.status_code == 206 and answer.content == CONTENT[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


@pytest.mark.parametrize(
    "wanted", ["bytes=", "bytes=-", "bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "x"]
)
def test_what_is_no_single_range_is_ignored(address: str, wanted: str) -> None:
    answer = httpx.get(f"{address}/file", headers={"Range": wanted})
    assert answer.status_code == 200 and answer.content == CONTENT


@pytest.mark.parametrize("wanted", ["bytes=1024000-", "bytes=99999999999-99999999999", "bytes=-0"])
def test_a_range_behind_the_end(address: str, wanted: str) -> None:
    answer = httpx.get(f"{address}/file", headers={"Range": wanted})
    assert answer.status_code == 416 and answer.json()["status"] == 416
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_the_caller_has_is_not_sent(address: str) -> None:
    first = httpx.get(f"{address}/file")
    changed = first.headers["last-modified"]
    for headers in (
        {"If-None-Match": '"abc"'},
        {"If-None-Match": 'W/"abc", "other"'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": changed},
    ):
        answer = httpx.get(f"{address}/file", headers=headers)
        assert answer.status_code == 304 and not answer.content
        assert answer.headers["etag"] == '"abc"'
    for headers in (
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": changed},
        {"If-Modified-Since": "no date"},
    ):
        assert httpx.get(f"{address}/file", headers=headers).status_code == 200


def test_a_range_of_another_content_is_ignored(address: str) -> None:
    for tag, status in (('"abc"', 206), ('"other"', 200), ('W/"abc"', 200)):
        headers = {"Range": "bytes=0-1", "If-Range": tag}
        assert httpx.get(f"{address}/file", headers=headers).status_code == status


def test_head_tells_and_sends_nothing(address: str) -> None:
    answer = httpx.head(f"{address}/file")
    assert answer.status_code == 200 and answer.headers["content-length"] == str(len(CONTENT))
    raw = talk(address, b"HEAD /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert raw.endswith(b"\r\n\r\n")


def test_what_is_no_file_of_its_own_is_missing(address: str, path: Path, tmp_path: Path) -> None:
    path.unlink()
    assert httpx.get(f"{address}/file").status_code == 404
    other = tmp_path / "secret"
    other.write_bytes(b"secret")
    path.symlink_to(other)
    assert httpx.get(f"{address}/file").json()["code"] == "no_result"
    path.unlink()
    os.mkfifo(path)
    assert httpx.get(f"{address}/file").status_code == 404


def test_a_file_that_is_replaced_is_sent_as_it_was(address: str, path: Path) -> None:
    large = os.urandom(40_000_000)
    path.write_bytes(large)
    with httpx.stream("GET", f"{address}/file") as answer:
        blocks = answer.iter_bytes(1 << 16)
        received = [next(blocks)]
        other = path.with_name("other")
        other.write_bytes(bytes(50_000_000))
        other.replace(path)
        received += blocks
    assert b"".join(received) == large


def test_a_file_that_is_cut_is_no_whole_answer(address: str, path: Path) -> None:
    path.write_bytes(os.urandom(40_000_000))
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("GET", f"{address}/file") as answer,
    ):
        blocks = answer.iter_bytes(1 << 16)
        next(blocks)
        os.truncate(path, 1000)
        list(blocks)


def test_a_file_is_closed_when_the_caller_goes(address: str, path: Path) -> None:
    path.write_bytes(bytes(40_000_000))

    def opened() -> int:
        links = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        return links.count(str(path))

    with httpx.stream("GET", f"{address}/file") as answer:
        next(answer.iter_bytes(1 << 16))
        assert opened() == 1
    for _ in range(200):
        if not opened():
            break
        httpx.get(f"{address}/bytes")
    assert opened() == 0


def test_a_small_answer_has_a_tag_too(address: str) -> None:
    answer = httpx.get(f"{address}/bytes")
    assert answer.content == b"jpeg" and answer.headers["cache-control"] == "private, max-age=5"
    again = httpx.get(f"{address}/bytes", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
