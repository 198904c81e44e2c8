"""What lives as long as a server, and how routes come by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from animator.jobs.client import Client
from animator.settings import Settings
from animator.web.settings import ServerSettings

if TYPE_CHECKING:
    from animator.web.access.guard import Guard
    from animator.web.api.events import EventHub
    from animator.web.files.folder import ResultFolder
    from animator.web.files.uploads import UploadStore


@dataclass(frozen=True)
class ServerContext:
    """All that routes work with.

    Attributes:
        settings: of the process.
        server: of the server.
        client: of the queue.
        uploads: files that callers have sent.
        results: where videos are written that were asked for here.
        events: tells of changes of jobs.
        guard: who may do what, and how often.
    """

    settings: Settings
    server: ServerSettings
    client: Client
    uploads: UploadStore
    results: ResultFolder
    events: EventHub
    guard: Guard


async def get_context(request: Request) -> ServerContext:
    """The context of the server that answers; a coroutine, which takes no thread."""
    context: ServerContext = request.app.state.context
    return context


Context = Annotated[ServerContext, Depends(get_context)]
