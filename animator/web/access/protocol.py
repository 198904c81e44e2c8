"""The HTTP protocol of a connection, with an end for clients that send or read too slowly."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0
"""How long a client may take for the headers of a request."""
READ_SECONDS = 60.0
"""How long a client may take nothing of an answer that waits for it."""
MOST_CONNECTIONS = 1500
"""Connections at the same time; further ones are closed at once."""
_LOOK_SECONDS = 5.0


class BoundedProtocol(H11Protocol):
    """A connection that ends if its client keeps it without using it."""

    _timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0
    """Since when no request is being answered."""
    _unread = 0
    _read_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch a new connection."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._idle_since = self._read_at = time.monotonic()
        self._timer = self.loop.call_later(_LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Note that the next request may come."""
        self._idle_since = time.monotonic()
        super().on_response_complete()

    def _look(self) -> None:
        self._timer = self.loop.call_later(_LOOK_SECONDS, self._look)
        now = time.monotonic()
        cycle: Any = self.cycle
        # Headers that do not come to an end, or never begin
        idle = cycle is None or cycle.response_complete
        if idle and now - self._idle_since > HEADER_SECONDS:
            self.transport.abort()
            return
        # An answer that is not read. What is added to it counts as reading, too: of an answer that
        # grows the buffer is soon full, and then nothing is added any more.
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread or not unread:
            self._unread, self._read_at = unread, now
        elif now - self._read_at > READ_SECONDS:
            self.transport.abort()
