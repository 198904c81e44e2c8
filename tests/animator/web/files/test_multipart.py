"""Forms with files, whole, malformed and broken off, over real connections."""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from animator.errors import AnimatorError
from animator.settings import Settings
from animator.web.files.multipart import file_name, read_file, read_form
from animator.web.files.uploads import Incoming, UploadStore
from animator.web.problems import handle_errors
from animator.web.settings import ServerSettings
from tests.animator.web.served import served


@pytest.fixture
def store(tmp_path: Path) -> UploadStore:
    server = ServerSettings(tmp_path / "server", max_upload_bytes=64_000_000)
    return UploadStore(Settings(tmp_path), server)


@pytest.fixture
def address(store: UploadStore) -> Iterator[str]:
    """An app that says what a form had, and how its files began and ended."""
    app = FastAPI()
    handle_errors(app, lambda request, error: None)

    def check(fields: Any) -> None:
        if fields.get("csrf") == "wrong":
            raise AnimatorError("not_allowed", "No.")

    def begin(field: str, called: str) -> Incoming:
        return store.begin("ann", called)

    @app.post("/form")
    async def form(request: Request) -> dict:
        read = await read_form(request, begin, before_files=check, most_files=2)
        told = {name: _content(store, file) for name, file in read.files.items()}
        await read.abandon()
        return {"texts": read.texts, "files": told}

    @app.post("/file")
    async def file(request: Request) -> dict:
        read = await read_file(request, lambda: store.begin("ann", ""))
        size = read.size
        read.abandon()
        return {"size": size}

    with served(app) as address:
        yield address


def _content(store: UploadStore, file: Incoming) -> list[Any]:
    with (store.root / file.id / "incoming").open("rb") as content:
        first = content.read(8)
        content.seek(max(file.size - 8, 0))
        return [file.size, first.decode("latin-1"), content.read().decode("latin-1")]


def part(headers: str, content: bytes = b"x", boundary: str = "b") -> bytes:
    return f"--{boundary}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n"


def text(name: str, content: bytes = b"x") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', content)


def file(name: str = "f", called: str = "a.png", content: bytes = b"x") -> bytes:
    header = f'Content-Disposition: form-data; name="{name}"; filename="{called}"'
    return part(f"{header}\r\nContent-Type: text/html", content)


END = b"--b--\r\n"


def post(address: str, body: bytes, kind: str = "multipart/form-data; boundary=b") -> Any:
    answer = httpx.post(f"{address}/form", content=body, headers={"Content-Type": kind})
    return answer.json() if answer.status_code == 200 else answer.json()["code"]


def test_texts_and_files(address: str) -> None:
    content = b"12345678" + b"\r\n--bx\r\n-" * 400_000 + b"abcdefgh"
    body = text("a", "ä".encode()) + text("a", b"2") + file("f", content=content) + text("z") + END
    assert post(address, body) == {
        "texts": {"a": ["ä", "2"], "z": ["x"]},
        "files": {"f": [len(content), "12345678", "abcdefgh"]},
    }


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_form_may_come_in_pieces(address: str, size: int) -> None:
    # What nearly is a boundary is content.
    body = text("a") + file("f", content=b"\r\n--c\r-\r\n-" * 9) + END
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    headers = {"Content-Type": 'multipart/form-data; boundary="b"'}
    answer = httpx.post(f"{address}/form", content=pieces, headers=headers).json()
    assert answer["texts"] == {"a": ["x"]}
    assert answer["files"] == {"f": [90, "\r\n--c\r-\r", "--c\r-\r\n-"]}


def test_a_form_without_anything_is_one(address: str) -> None:
    assert post(address, END) == post(address, END[:-2]) == {"texts": {}, "files": {}}


def test_a_field_for_a_file_that_was_left_empty_is_none(address: str) -> None:
    assert post(address, file(called="", content=b"") + END) == {"texts": {}, "files": {}}
    assert post(address, file(called="a", content=b"") + END)["files"] == {"f": [0, "", ""]}
    assert post(address, file(called="", content=b"x") + END)["files"] == {"f": [1, "x", "x"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        text("a"),
        text("a") + b"--b",
        file(content=b"x" * 100_000),
        part("Content-Disposition: form-data") + END,
        part('Content-Disposition: attachment; name="a"') + END,
        part("Content-Type: text/plain") + END,
        part('Content-Disposition: form-data; name=""') + END,
        part('Content-Disposition: form-data; name="a\0b"') + END,
        part('Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data') + END,
        part("Content Disposition: form-data") + END,
        part("\xff: form-data") + END,
        part(f'Content-Disposition: form-data; name="{"a" * 201}"') + END,
        part(f'Content-Disposition: form-data; name="a"; x="{"a" * 5000}"') + END,
        part("\r\n".join(f"X-{number}: 1" for number in range(9))) + END,
        text("a", b"\xff\xfe") + END,
        text("a", b"x" * 65_537) + END,
        b"".join(text(f"a{number}") for number in range(65)) + END,
        b"".join(file(f"f{number}") for number in range(3)) + END,
        file("f") + file("f") + END,
        b"\r\n" * 1_100_000 + text("a") + END,
        text("a") + END + b"x" * 2_100_000,
    ],
    ids=range(23),
)
def test_malformed_forms(address: str, store: UploadStore, body: bytes) -> None:
    assert post(address, body) == "bad_request"
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 71,
        "multipart/form-data; boundary=\xff",
        "multipart/form-data; boundary*=utf-8''b",
        "multipart/mixed; boundary=b",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_types_that_are_no_form(address: str, kind: str) -> None:
    headers = [(b"Content-Type", kind.encode("latin-1"))]
    answer = httpx.post(f"{address}/form", content=text("a") + END, headers=headers)
    assert answer.json()["code"] == "bad_request"


def test_the_page_is_asked_before_the_first_file_begins(address: str, store: UploadStore) -> None:
    wrong = text("csrf", b"wrong")
    assert post(address, wrong + file() + END) == "not_allowed"
    assert post(address, wrong + END) == "not_allowed"
    assert post(address, text("csrf", b"right") + file() + END)["files"]
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('form-data; name="f"; filename="a.png"', "a.png"),
        ('form-data; name="f"; filename="a%22b.png"', 'a"b.png'),
        ('form-data; name="f"; filename="a\\"b.png"', 'a"b.png'),
        ("form-data; name=f; filename=a.png", "a.png"),
        ("form-data; name=f; filename*=UTF-8''%C3%A4.png", "ä.png"),
        ("form-data; filename=\"x\"; filename*=utf-8'de'%C3%A4.png", "ä.png"),
        ("form-data; filename*=UTF-8''%FF%00", "\N{REPLACEMENT CHARACTER}\0"),
        ("form-data; name=f; filename*=latin-1''%E4", None),
        ("form-data; name=f", None),
        ("", None),
        ("ä".encode().decode("latin-1").join(['x; filename="', '"']), "ä"),
        ('x; filename="\xe4"', "ä"),
    ],
)
def test_what_a_file_is_called(header: str, name: str | None) -> None:
    assert file_name(header) == name


def test_a_body_that_breaks_off_leaves_nothing(address: str, store: UploadStore) -> None:
    head = (
        b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    begun = file(content=b"x" * 3_000_000)[:2_500_000]
    for path in (b"form", b"file"):
        _send_and_close(address, head % path + begun)
        for _ in range(100):
            if not list(store.root.iterdir()):
                break
            time.sleep(0.05)
        assert list(store.root.iterdir()) == []


def _send_and_close(address: str, content: bytes) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(content)
        time.sleep(0.3)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(address: str) -> None:
    def body() -> Iterator[bytes]:
        yield file(content=b"")[:-2]
        for _ in range(60):
            yield bytes(1_000_000)
        yield b"\r\n" + END

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    tracemalloc.start()
    answer = httpx.post(f"{address}/form", content=body(), headers=headers, timeout=60)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.json()["files"]["f"][0] == 60_000_000 and peak < 16_000_000
