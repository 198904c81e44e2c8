"""Requests for the head of an answer: HEAD wherever there is GET, without the work for a body."""

from __future__ import annotations

from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Answers HEAD with the status and the headers that GET would have.

    Args:
        app: what answers GET.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            # Whatever would make the body, such as a stream without an end, ends here.
            raise _Told

        with suppress(_Told):
            await self._app({**scope, "method": "GET"}, receive, send_head)


class _Told(Exception):
    """That all was sent."""
