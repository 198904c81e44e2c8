"""The app without its guard, for callers that a header names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from animator.jobs.client import Client
from animator.settings import Settings
from animator.web.access.callers import Caller
from animator.web.app import make_api
from animator.web.context import ServerContext
from animator.web.files.folder import ResultFolder
from animator.web.files.uploads import UploadStore
from animator.web.heads import HeadMiddleware
from animator.web.settings import ServerSettings
from tests.animator.web.served import served


class Named:
    """Has every request come from whom its header `X-Caller` names; `admin` sees all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = dict(scope["headers"]).get(b"x-caller", b"ann").decode()
            scope.setdefault("state", {})["caller"] = Caller(name, name == "admin")
        await self._app(scope, receive, send)


def make_app(settings: Settings, server: ServerSettings, client: Client | None = None) -> ASGIApp:
    """The app, whose queue is asked only where files are removed."""
    app = make_api()
    app.state.context = ServerContext(
        settings=settings,
        server=server,
        client=cast("Client", client),
        uploads=UploadStore(settings, server),
        results=ResultFolder(server.folder),
        events=cast("Any", None),
        guard=cast("Any", None),
    )
    return Named(HeadMiddleware(app))


def left_in(folder: Path) -> list[Path]:
    """What lies in the folder of uploads."""
    return sorted((folder / "uploads").iterdir())


@contextmanager
def client_of(app: ASGIApp) -> Iterator[httpx.Client]:
    """A client of a real server with the app."""
    with served(app) as address, httpx.Client(base_url=address, timeout=100) as client:
        yield client
