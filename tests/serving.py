"""Real servers for tests: `animator serve` in a process of its own, and a client that asks it.

with serving() as server:
    source = server.upload(path)
    job = server.submit(source, driving, end="0.5")
    record = server.ended(job)
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from animator.settings import Settings
from animator.weights.importing import import_weights
from gfla import checkpoint
from tests.helpers import NARROW, small_generator

NARROW_WEIGHTS = "narrow"
"""Name of weights with random values, with which frames are made fast."""


def import_narrow_weights(settings: Settings) -> str:
    """Put small weights into the library of a state folder; returns their name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "narrow.safetensors")
        checkpoint.save(path, small_generator(NARROW), {"name": "narrow", "structure_size": 64})
        import_weights(path, NARROW_WEIGHTS, settings=settings)
    return NARROW_WEIGHTS


class Server:
    """A server's process, and an HTTP client.

    Args:
        options: of `animator serve`.
        token: that the client brings.

    Attributes:
        process: the process.
        url: its address, without a slash at its end.
        http: the client.
    """

    def __init__(self, *options: str, token: str | None = None) -> None:
        self._log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "animator", "serve", *options],
            stdout=self._log, stderr=self._log, text=True,
        )  # fmt: skip
        self.url = self._address().removesuffix("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=60)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return httpx.URL(self.url).port or 80

    def log(self) -> str:
        """What it has written."""
        self._log.seek(0)
        return self._log.read()

    def upload(self, path: Path, name: str | None = None) -> dict[str, Any]:
        """Send a file; what the server says of it."""
        files = {"file": (name or path.name, path.read_bytes())}
        return self.taken(self.http.post("/v1/files", files=files))

    def submit(self, source: Any, driving: Any, **options: Any) -> dict[str, Any]:
        """Submit a job of two uploads, or their ids."""
        ids = [one if isinstance(one, str) else one["id"] for one in (source, driving)]
        body = {"source": ids[0], "driving": ids[1], **options}
        return self.taken(self.http.post("/v1/jobs", json=body))

    def record(self, job: Any) -> dict[str, Any]:
        """A job's record as it is now."""
        return self.taken(self.http.get(f"/v1/jobs/{job if isinstance(job, str) else job['id']}"))

    def ended(self, job: Any, seconds: float = 120) -> dict[str, Any]:
        """A job's record once it has ended."""
        deadline = time.monotonic() + seconds
        while (record := self.record(job))["state"] in ("queued", "running"):
            assert time.monotonic() < deadline, record
            time.sleep(0.1)
        return record

    @staticmethod
    def taken(answer: httpx.Response) -> dict[str, Any]:
        """The JSON of an answer that is none of an error."""
        assert answer.is_success, answer.text
        return dict(answer.json())

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ask it to end, and wait for that; returns its status."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            print(self.log())  # noqa: T201 - shown if a test fails
            self._log.close()

    def _address(self) -> str:
        deadline = time.monotonic() + 60
        while (found := re.search(r"at (http://\S+)", self.log())) is None:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return found[1]


@contextmanager
def serving(*options: str, token: str | None = None) -> Iterator[Server]:
    """A server with the environment's settings, on a port that is free unless one is given."""
    port = () if "--port" in options else ("--port", "0")
    server = Server(*port, *options, token=token)
    try:
        yield server
    finally:
        server.end()


def pids_under(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                parent = int(Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry.name), *pids_under(int(entry.name))]
    return found
