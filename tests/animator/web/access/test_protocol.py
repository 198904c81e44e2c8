from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from animator.web.access import protocol
from tests.animator.web.served import served, talk

app = FastAPI()
ended: list[float] = []


@app.get("/quick")
def quick() -> str:
    return "quick"


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            ended.append(time.monotonic())

    return StreamingResponse(parts())


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(protocol, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 1.0)
    monkeypatch.setattr(protocol, "READ_SECONDS", 1.0)
    with served(app) as address:
        yield address


@pytest.mark.parametrize("parts", [(), (b"GET /quick HTTP/1.1\r\n",), (b"G",) * 20])
def test_headers_that_do_not_come_end_the_connection(address: str, parts: tuple[bytes]) -> None:
    began = time.monotonic()
    assert talk(address, *parts, pause=0.2) == b""
    assert time.monotonic() - began < 6


def test_headers_of_a_second_request_are_bounded_too(address: str) -> None:
    whole = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
    began = time.monotonic()
    answer = talk(address, whole, *[b"G"] * 10, pause=0.2)
    assert answer.count(b"HTTP/1.1 200") == 1 and time.monotonic() - began < 6


def test_a_client_that_does_not_read_is_let_go(address: str) -> None:
    ended.clear()
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + 30
        while not ended and time.monotonic() < deadline:
            assert httpx.get(f"{address}/quick").status_code == 200
            time.sleep(0.1)
    assert ended


def test_a_client_that_reads_slowly_keeps_its_connection(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(15):
            time.sleep(0.2)
            for _ in range(20):
                assert connection.recv(1 << 16)


def test_only_so_many_connections_are_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 5)
    host, port = address.removeprefix("http://").split(":")
    open_ones = [socket.create_connection((host, int(port))) for _ in range(20)]
    time.sleep(2)  # the first ones have ended by now, for want of headers
    assert httpx.get(f"{address}/quick").status_code == 200
    for one in open_ones:
        one.close()
