"""Event streams as clients see them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Event:
    """An event as `EventSource` reads it."""

    id: str
    kind: str
    data: dict[str, Any]


class Stream:
    """What a stream has brought so far, read by a thread of its own."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.events: list[Event] = []
        self.comments = 0
        self.retry: str | None = None
        self.last_id = ""
        self.ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, count: int, seconds: float = 10) -> list[Event]:
        """The events once there are so many."""
        deadline = time.monotonic() + seconds
        while len(self.events) < count:
            assert time.monotonic() < deadline, f"there are only {self.events}"
            time.sleep(0.005)
        return self.events

    def wait_end(self, seconds: float = 10) -> list[Event]:
        """The events once the stream has ended."""
        self._thread.join(seconds)
        assert self.ended, "it goes on"
        return self.events

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with suppress(httpx.HTTPError, httpx.StreamError):
            for line in self.answer.iter_lines():
                name, _, value = line.partition(":")
                if line and not name:
                    self.comments += 1
                elif line:
                    fields[name] = value.removeprefix(" ")
                else:
                    self.retry = fields.get("retry", self.retry)
                    self.last_id = fields.get("id", self.last_id)
                    if "data" in fields:
                        data = json.loads(fields["data"])
                        self.events.append(Event(self.last_id, fields["event"], data))
                    fields = {}
        self.ended = True


@contextmanager
def stream(http: httpx.Client, path: str, last_id: str | None = None) -> Iterator[Stream]:
    """A stream that is read while the block runs."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with http.stream("GET", path, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        yield Stream(answer)
