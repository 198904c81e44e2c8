from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from animator.jobs.store import JobStore
from animator.web.access import guard as guard_module
from animator.web.access.callers import Who
from animator.web.access.guard import COOKIE, Guard, GuardMiddleware, cookie
from animator.web.access.sessions import Sessions
from animator.web.access.tokens import Tokens, add_token
from animator.web.problems import handle_errors
from animator.web.settings import ServerSettings
from tests.animator.web.served import served, talk

app = FastAPI()
handle_errors(app)


@app.get("/page", response_class=HTMLResponse)
def page(request: Request) -> str:
    return f"<p>{request.state.csrf}</p>"


@app.get("/livez")
def livez() -> str:
    return "alive"


@app.get("/v1/me")
def me(who: Who) -> dict[str, object]:
    return {"name": who.name, "all": who.sees_all}


@app.post("/v1/jobs")
async def body(request: Request, who: Who) -> dict[str, object]:
    count = 0
    async for part in request.stream():
        count += len(part)
    return {"name": who.name, "bytes": count}


@app.post("/v1/small")
def small(value: dict[str, int]) -> int:
    return len(value)


@pytest.fixture
def server(tmp_path: Path) -> ServerSettings:
    return ServerSettings(tmp_path / "server", hosts=("animator.example",), max_upload_bytes=10**6)


@pytest.fixture
def open_site(store: JobStore, server: ServerSettings) -> Iterator[str]:
    """A server without tokens."""
    guard = Guard(server, Sessions(store.client, server.folder))
    with served(GuardMiddleware(app, guard)) as address:
        yield address


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "tokens"
    names = {"a": False, "b": False, "boss": True}
    return {name: add_token(path, name, sees_all=all_) for name, all_ in names.items()}


@pytest.fixture
def guard(store: JobStore, server: ServerSettings, tokens: object, tmp_path: Path) -> Guard:
    sessions = Sessions(store.client, server.folder)
    return Guard(server, sessions, Tokens(tmp_path / "tokens"))


@pytest.fixture
def site(guard: Guard) -> Iterator[str]:
    """A server with tokens."""
    with served(GuardMiddleware(app, guard)) as address:
        yield address


def is_problem(answer: httpx.Response, status: int, code: str) -> bool:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert set(found) == {"type", "title", "status", "detail", "code", "retryable"}
    return bool(found["code"] == code and found["status"] == status)


# Hosts and origins


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a@127.0.0.1"])
def test_another_host_is_refused(open_site: str, host: str) -> None:
    assert is_problem(httpx.get(f"{open_site}/v1/me", headers={"Host": host}), 403, "not_allowed")


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "[::1]:8420", "animator.example"])
def test_own_names_are_hosts(open_site: str, host: str) -> None:
    assert httpx.get(f"{open_site}/v1/me", headers={"Host": host}).status_code == 200


def test_two_hosts_are_none(open_site: str) -> None:
    answer = talk(open_site, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    ],
)  # fmt: skip
def test_what_another_site_has_a_browser_send_is_refused(
    open_site: str, headers: dict[str, str]
) -> None:
    answer = httpx.post(f"{open_site}/v1/small", json={}, headers=headers)
    assert is_problem(answer, 403, "not_allowed")


# The page's own requests


def signed(address: str) -> tuple[httpx.Client, str]:
    """A browser that has loaded the page, and what its forms carry."""
    browser = httpx.Client(base_url=address, headers={"Origin": address})
    return browser, browser.get("/page", headers={"Accept": "text/html"}).text[3:-4]


def test_a_browser_needs_what_the_page_carries(open_site: str) -> None:
    browser, csrf = signed(open_site)
    assert browser.cookies.get(COOKIE)
    assert is_problem(browser.post("/v1/small", json={}), 403, "not_allowed")
    for wrong in ("", "x", csrf[:-1], signed(open_site)[1]):
        answer = browser.post("/v1/small", json={}, headers={"X-CSRF-Token": wrong})
        assert is_problem(answer, 403, "not_allowed")
    answer = browser.post("/v1/small", json={}, headers={"X-CSRF-Token": csrf})
    assert answer.status_code == 200
    # A browser without a cookie is no exception.
    origin = {"Origin": open_site}
    answer = httpx.post(f"{open_site}/v1/small", json={}, headers=origin)
    assert is_problem(answer, 403, "not_allowed")


def test_a_program_needs_no_more_than_the_address(open_site: str) -> None:
    assert httpx.post(f"{open_site}/v1/small", json={"a": 1}).json() == 1
    assert httpx.get(f"{open_site}/v1/me").json() == {"name": "", "all": True}


def test_every_answer_has_the_headers_that_protect_the_page(open_site: str) -> None:
    for path in ("/page", "/livez", "/nothing", "/v1/me"):
        headers = httpx.get(open_site + path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store" and "server" not in headers


def test_a_cookie_is_for_this_server_alone() -> None:
    plain = cookie({"scheme": "http", "root_path": "/a"}, "x")
    assert plain == "animator=x; Path=/a; Max-Age=604800; HttpOnly; SameSite=Lax"
    assert cookie({"scheme": "https"}, "x").endswith("; Secure")


# Tokens


def test_without_a_token_nothing_but_life_is_told(site: str) -> None:
    answer = httpx.get(f"{site}/v1/me")
    assert is_problem(answer, 401, "not_signed_in")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert httpx.get(f"{site}/livez").status_code == 200
    answer = httpx.get(f"{site}/page", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/page")


def test_a_token_says_who_asks(site: str, tokens: dict[str, str]) -> None:
    for name, token in tokens.items():
        answer = httpx.get(f"{site}/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.json() == {"name": name, "all": name == "boss"}


@pytest.mark.parametrize("given", ["Bearer x", "Basic YTpi", "Bearer", "bearer x", "x"])
def test_a_wrong_token_is_refused(site: str, given: str) -> None:
    answer = httpx.get(f"{site}/v1/me", headers={"Authorization": given})
    assert is_problem(answer, 401, "not_signed_in")


def test_a_token_in_the_address_is_refused(site: str, tokens: dict[str, str]) -> None:
    for query in (f"token={tokens['a']}", f"access_token={tokens['a']}", f"x={tokens['a']}"):
        assert is_problem(httpx.get(f"{site}/v1/me?{query}"), 400, "bad_request")


def test_a_cookie_is_worth_nothing_after_signing_out(
    site: str, guard: Guard, tokens: dict[str, str]
) -> None:
    session = guard.sign_in(tokens["a"], "127.0.0.1")
    browser = httpx.Client(base_url=site, cookies={COOKIE: session})
    assert browser.get("/v1/me").json()["name"] == "a"
    csrf = guard.sessions.csrf(session)
    assert is_problem(browser.post("/v1/small", json={}), 403, "not_allowed")
    assert browser.post("/v1/small", json={}, headers={"X-CSRF-Token": csrf}).status_code == 200
    guard.sign_out(session)
    assert is_problem(browser.get("/v1/me"), 401, "not_signed_in")


def test_signing_in_is_tried_only_so_often(guard: Guard) -> None:
    codes = []
    for _ in range(guard_module.LOGINS_PER_MINUTE + 1):
        with pytest.raises(Exception) as caught:  # noqa: B017, PT011
            guard.sign_in("wrong", "10.0.0.9")
        codes.append(caught.value.code)  # type: ignore[attr-defined]
    assert set(codes[:-1]) == {"not_signed_in"} and codes[-1] == "too_many_requests"


# Bodies


def test_a_body_that_says_that_it_is_too_large_is_refused_unread(open_site: str) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3221225472\r\n\r\n"
    began = time.monotonic()
    answer = talk(open_site, head)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"upload_too_large" in answer
    assert b"connection: close" in answer.lower() and time.monotonic() - began < 3


def test_a_client_that_reads_only_when_all_is_sent_gets_its_answer(open_site: str) -> None:
    host, _, port = open_site.removeprefix("http://").partition(":")
    size = 20 * 1024**2
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + bytes(size))
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ") and b'"upload_too_large"' in answer


def test_a_body_that_grows_too_large_is_refused(open_site: str) -> None:
    parts = (b"x" * 65536 for _ in range(100))
    answer = httpx.post(f"{open_site}/v1/jobs", content=parts)
    assert is_problem(answer, 413, "upload_too_large")
    answer = httpx.post(f"{open_site}/v1/small", content=(b" " * 65536 for _ in range(100)))
    assert is_problem(answer, 413, "upload_too_large")


def test_a_slow_body_is_given_up_and_others_are_served_meanwhile(
    open_site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "SLOW_SECONDS", 1.0)
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    with ThreadPoolExecutor(20) as pool:
        # One rests; the other sends a byte in every fifth of a second.
        slow = [pool.submit(talk, open_site, head, b"x") for _ in range(9)]
        drip = pool.submit(talk, open_site, head, *[b"x"] * 20, pause=0.2)
        began = time.monotonic()
        assert httpx.get(f"{open_site}/v1/me").status_code == 200
        assert time.monotonic() - began < 1.0
        for answer in (*slow, drip):
            assert answer.result().startswith(b"HTTP/1.1 408 ")


def test_requests_that_are_work_are_counted(store: JobStore, server: ServerSettings) -> None:
    from dataclasses import replace

    guard = Guard(replace(server, rate=3), Sessions(store.client, server.folder))
    with served(GuardMiddleware(app, guard)) as address:
        answers = [httpx.post(f"{address}/v1/jobs", content=b"x") for _ in range(5)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
    assert is_problem(answers[-1], 429, "too_many_requests")
    assert int(answers[-1].headers["retry-after"]) > 0


# What is no request


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 100,
        b"GET /v1/%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /v1/%ff%fe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(open_site: str, sent: bytes) -> None:
    answer = talk(open_site, sent)
    assert answer.startswith(b"HTTP/1.1 4")
    assert httpx.get(f"{open_site}/livez").status_code == 200
