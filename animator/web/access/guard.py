"""The guard before all routes: who asks, from which page, and how much at once."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from animator.errors import AnimatorError
from animator.web.access.callers import Caller
from animator.web.access.rates import Rates
from animator.web.access.sessions import SECONDS, Sessions, new_session
from animator.web.access.tokens import PREFIX, Tokens, digest_of
from animator.web.problems import problem
from animator.web.settings import ServerSettings

COOKIE = "animator"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"
LOGINS_PER_MINUTE = 10
MOST_HEAD = 32 * 1024
"""Bytes of a request's address and headers."""
SMALL_BODY = 1024**2
"""Bytes of a request that brings no file."""
_FORM_ROOM = 1024**2
"""Bytes that a form may have beside its files."""
SLOW_SECONDS = 20.0
"""How long a body may rest, and after how long it must have come as fast as `SLOWEST`."""
SLOWEST = 1024
"""Bytes a second."""
_DRAIN_SECONDS = 2.0
"""How long what comes is thrown away after a request was answered without it."""
SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN = re.compile(r"/(livez|readyz|openapi\.json|login|static/[^/]*)")
"""What is told without a token."""
_UPLOADS = ("/v1/files", "/v1/jobs", "/files", "/jobs")
_COUNTED = {
    "/v1/files": "uploads", "/files": "uploads",
    "/v1/jobs": "jobs", "/jobs": "jobs",
    "/v1/check": "checks", "/v1/sample": "checks", "/sample": "checks",
}  # fmt: skip
"""Posts that are counted, as what."""
_SECRET_NAMES = ("token", "access_token")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
"""Headers of every answer."""


@dataclass
class Guard:
    """Who may use a server.

    Attributes:
        server: the server's settings.
        sessions: of its page.
        tokens: None lets everybody in, which is for a server that only its machine reaches.
        rates: how often what was asked for.
    """

    server: ServerSettings
    sessions: Sessions
    tokens: Tokens | None = None
    rates: Rates = field(default_factory=Rates)

    def sign_in(self, token: str, address: str) -> str:
        """A new session for whoever has a token; returns its cookie.

        Raises:
            AnimatorError: `not_signed_in`; `too_many_requests`.
        """
        self.rates.take("logins", address, LOGINS_PER_MINUTE)
        caller = self.tokens.caller_of(token, address) if self.tokens else None
        if caller is None:
            raise AnimatorError("not_signed_in", "The server does not know this token.")
        return self.sessions.open(caller.name, digest_of(token))

    def sign_out(self, session: str) -> None:
        """End a session; its cookie is worth nothing from now on."""
        self.sessions.close(session)

    def check_csrf(self, request: Request, given: str | None) -> None:
        """Refuse a form that is not one of the page.

        Args:
            request: that sends it.
            given: what its field says; None if it has none.

        Raises:
            AnimatorError: `not_allowed`.
        """
        given = given or request.headers.get(CSRF_HEADER, "")
        if not self.sessions.is_csrf(request.state.session, given):
            message = "The form is not from this page, or too old; load the page again."
            raise AnimatorError("not_allowed", message)

    def check_host(self, headers: Headers) -> None:
        """Refuse a request that asks for another machine: a name may lead here that is not ours.

        Raises:
            AnimatorError: `bad_request`, `not_allowed`.
        """
        given = headers.getlist("host")
        if len(given) != 1:
            raise AnimatorError("bad_request", "A request has exactly one Host header.")
        name = _hostname(given[0])
        known = {self.server.host, "localhost", "127.0.0.1", "::1", *self.server.hosts}
        if self.server.host in ("0.0.0.0", "::"):
            # Reached by an address, there is no name that could be somebody else's.
            if _is_address(name):
                return
            known.add(socket.gethostname().lower())
        if name not in {one.lower() for one in known}:
            message = "This server is not called so; ANIMATOR_SERVE_HOSTS names what it is called."
            raise AnimatorError("not_allowed", message)

    def check_origin(self, headers: Headers) -> None:
        """Refuse what another site has a browser send.

        Raises:
            AnimatorError: `not_allowed`.
        """
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "none")
        own = origin is None or _netloc(origin) == _netloc("//" + headers["host"])
        if not own or site in ("cross-site", "same-site"):
            raise AnimatorError("not_allowed", "The request comes from another site's page.")

    def caller_by_token(self, headers: Headers, address: str) -> Caller | None:
        """The caller of a request that brings a token; None if it brings none.

        Raises:
            AnimatorError: `not_signed_in` for one that is not known.
        """
        given = headers.get("authorization")
        if given is None or self.tokens is None:
            return None
        scheme, _, token = given.partition(" ")
        caller = None
        if scheme.lower() == "bearer":
            caller = self.tokens.caller_of(token.strip(), address)
        if caller is None:
            raise AnimatorError("not_signed_in", "The server does not know this token.")
        return caller

    def caller_by_session(self, session: str, address: str) -> Caller | None:
        """The caller of a request with a cookie; None if it stands for nobody any more."""
        if self.tokens is None:
            return Caller(address=address)
        found = self.sessions.find(session) if session else None
        return None if found is None else self.tokens.caller_named(*found, address)

    def largest_body(self, path: str) -> int:
        """How many bytes a request to a path may have."""
        if path not in _UPLOADS:
            return SMALL_BODY
        # A form with both files of a job
        files = 1 if path == "/v1/files" else 2
        return files * self.server.max_upload_bytes + _FORM_ROOM

    def count(self, path: str, caller: Caller) -> None:
        """Count a request that is work.

        Raises:
            AnimatorError: `too_many_requests`.
        """
        if path in _COUNTED:
            self.rates.take(_COUNTED[path], caller.counted_as, self.server.rate)


class GuardMiddleware:
    """The guard as a part of the app, around all routes.

    Args:
        app: what is guarded.
        guard: says who may.
        as_page: what is answered for an error where somebody looks at a page; None where nobody
            does.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: Guard,
        as_page: Callable[[Scope, AnimatorError], Response | None] = lambda scope, error: None,
    ) -> None:
        self._app, self._guard, self._as_page = app, guard, as_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        body = _Body(receive, self._guard.largest_body(path))
        reply = _Reply(send, scope, body)
        try:
            body.check_length(headers)
            await self._admit(scope, headers, path, reply)
        except AnimatorError as error:
            if error.code == "not_signed_in" and _wants_page(scope, headers):
                login = f"{scope.get('root_path', '')}/login?next={quote(scope['path'])}"
                await RedirectResponse(login, 303)(scope, receive, reply.send)
                return
            answer = self._as_page(scope, error) or problem(error)
            await answer(scope, receive, reply.send)
            return
        await self._app(scope, body.receive, reply.send)

    async def _admit(self, scope: Scope, headers: Headers, path: str, reply: _Reply) -> None:
        """Find out who asks, and refuse what may not be asked so."""
        guard, address = self._guard, (scope.get("client") or ("", 0))[0]
        unsafe = scope["method"] not in SAFE
        _check_size(scope)
        guard.check_host(headers)
        if unsafe:
            guard.check_origin(headers)
        _check_query(scope)
        # Who it is: by a token, else by a cookie
        session = _cookie(headers) or ""
        caller = guard.caller_by_token(headers, address)
        by_token = caller is not None
        if caller is None and guard.tokens is None:
            caller = Caller(address=address)
        elif caller is None and session:
            caller = await run_in_threadpool(guard.caller_by_session, session, address)
        if caller is None:
            if not _OPEN.fullmatch(path):
                raise AnimatorError("not_signed_in", "The server needs a token.")
            caller = Caller("", False, address)
        # Whether it is the page that asks, where it is a browser: a form says so in a field of its
        # own, which its route looks at.
        if not session and not by_token:
            session = reply.new_session = new_session()
        asks_as_page = not by_token and ("cookie" in headers or "origin" in headers)
        if unsafe and asks_as_page and path.startswith("/v1/"):
            given = headers.get(CSRF_HEADER, "")
            if not guard.sessions.is_csrf(session, given):
                message = f"A browser's request needs the page's own {CSRF_HEADER}."
                raise AnimatorError("not_allowed", message)
        if scope["method"] == "POST":
            guard.count(path, caller)
        state = scope.setdefault("state", {})
        state["caller"], state["session"] = caller, session
        state["csrf"] = guard.sessions.csrf(session)


class _Reply:
    """What is added to every answer."""

    def __init__(self, send: Send, scope: Scope, body: _Body) -> None:
        self._send, self._scope, self._body = send, scope, body
        self.new_session = ""

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            # What of a body nobody has read would be read, and thrown away, to its end.
            if self._unread():
                headers["Connection"] = "close"
            # Forms of a page need something that binds them to this browser.
            is_page = headers.get("content-type", "").startswith("text/html")
            if self.new_session and is_page and "set-cookie" not in headers:
                headers.append("Set-Cookie", cookie(self._scope, self.new_session))
            message["headers"] = headers.raw
        elif self._unread() and not message.get("more_body", False):
            # To close while a client still sends has its system throw away what was answered.
            await self._send({**message, "more_body": True})
            await self._body.drain()
            message = {"type": "http.response.body"}
        await self._send(message)

    def _unread(self) -> bool:
        return not self._body.ended


class _Body:
    """The body of a request, of which not too much may come, nor too slowly."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._bytes, self._waited, self._asked = 0, 0.0, False
        self.ended = False

    def check_length(self, headers: Headers) -> None:
        """Refuse a body that says itself that it is too large, or that has two ends."""
        length = headers.get("content-length", "")
        self.ended = not length.strip("0") and "transfer-encoding" not in headers
        if length and "transfer-encoding" in headers:
            # A proxy in front may see another request's beginning where this one's end is seen.
            message = "A request has Content-Length or Transfer-Encoding, not both."
            raise AnimatorError("bad_request", message)
        if length.isdecimal() and int(length) > self._most:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next part."""
        if self.ended and self._asked:  # whoever waits here waits for the client to go
            return await self._receive()
        began, self._asked = time.monotonic(), True
        try:
            message = await asyncio.wait_for(self._receive(), SLOW_SECONDS)
        except TimeoutError:
            raise self._too_slow() from None
        self._waited += time.monotonic() - began
        self._bytes += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)
        if self._bytes > self._most:
            raise self._too_large()
        if self._waited > SLOW_SECONDS and self._bytes < SLOWEST * self._waited:
            raise self._too_slow()
        return message

    async def drain(self) -> None:
        """Throw away what still comes from a client that reads the answer only when it is done."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while (await self._receive()).get("more_body", False):
                    pass

    def _too_large(self) -> AnimatorError:
        return AnimatorError("upload_too_large", f"At most {self._most:,} bytes are taken here.")

    def _too_slow(self) -> AnimatorError:
        return AnimatorError("too_slow", "The request came too slowly.", retryable=True)


def cookie(scope: Scope, session: str, *, seconds: int = SECONDS) -> str:
    """The header that gives a browser its session; with 0 seconds it takes it away."""
    path = scope.get("root_path") or "/"
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"{COOKIE}={session}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def _cookie(headers: Headers) -> str | None:
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and re.fullmatch(r"[A-Za-z0-9_-]{43}", value):
            return value
    return None


def _check_size(scope: Scope) -> None:
    """Refuse a head that is too long, which the protocol sees only where it comes in parts."""
    size = len(scope["path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MOST_HEAD:
        message = f"The address and the headers of a request have at most {MOST_HEAD} bytes."
        raise AnimatorError("bad_request", message)


def _check_query(scope: Scope) -> None:
    """Refuse tokens in addresses, which end up in logs and histories."""
    for name, value in parse_qsl(scope["query_string"].decode("latin-1")):
        if name.lower() in _SECRET_NAMES or value.startswith(PREFIX):
            message = "A token never goes into an address; send it as: Authorization: Bearer TOKEN"
            raise AnimatorError("bad_request", message)


def _wants_page(scope: Scope, headers: Headers) -> bool:
    api = scope["path"].removeprefix(scope.get("root_path", "")).startswith("/v1/")
    return not api and scope["method"] in SAFE and "text/html" in headers.get("accept", "")


def _netloc(url: str) -> str:
    """Name and port of a URL; a port that is the scheme's own is left out."""
    scheme, _, rest = url.rpartition("//")
    name = rest.partition("/")[0].lower()
    return name.removesuffix({"http:": ":80", "https:": ":443"}.get(scheme.lower(), ":80"))


def _hostname(host: str) -> str:
    """A Host header without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        name, closed, _ = host[1:].partition("]")
        return name if closed else host
    return host.rpartition(":")[0] if ":" in host else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
