"""The commands about jobs, jobs to try them on, and terminals to try them in."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from animator.cli import app
from animator.jobs.store import JobStore
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.spec import JobOptions, JobSpec

LEASE = 60.0
SPEC = JobSpec("/a/me.png", "/a/clip.mp4", "/a/out.mp4")


class Farm:
    """The commands, and jobs to try them on."""

    def __init__(self, store: JobStore, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self._made = 0

    def call(self, *arguments: str, status: int = 0, input: str | None = None) -> Any:
        done = CliRunner().invoke(app, list(arguments), input=input)
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        return done

    def json(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self.call(*arguments, "--json", status=status).stdout)

    def error(self, *arguments: str) -> str:
        """The one line that a mistake is told by."""
        done = self.call(*arguments, status=1)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return str(line)

    def queued(self, **options: Any) -> JobRecord:
        self._made += 1
        output = str(self.folder / f"out-{self._made}.mp4")
        return self.store.create(replace(SPEC, output=output), options=JobOptions(**options))

    def running(self, frame: int = 12) -> JobRecord:
        record = self.store.claim(self.queued().id, "here-1", LEASE)
        assert record is not None
        self.store.report(record.id, record.attempt, Progress("generate", frame, 48, 6.0, 6.0))
        return self.store.get(record.id)

    def succeed(self, record: JobRecord) -> JobRecord:
        Path(record.spec.output).write_bytes(b"video of " + record.id.encode())
        result = Result(record.spec.output, 48, 8.0, 6.0)
        assert self.store.succeed(record.id, record.attempt, result)
        return self.store.get(record.id)

    def succeeded(self) -> JobRecord:
        return self.succeed(self.running())

    def failed(self) -> JobRecord:
        record = self.running()
        error = JobError("no_face", "No [b]face[/b].")
        assert self.store.fail(record.id, record.attempt, error)
        return self.store.get(record.id)

    def cancelled(self) -> JobRecord:
        record = self.queued()
        self.store.request_cancel(record.id)
        return self.store.get(record.id)

    def state(self, record: JobRecord) -> JobState:
        return self.store.get(record.id).state


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "animator", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "140", "LINES": "12"},
            start_new_session=True,
        )
        os.close(slave)
        self.shown = b""

    def wait_for(self, text: str) -> None:
        while text.encode() not in self.shown:
            self._read()

    def end(self) -> int:
        try:
            while True:
                self._read()
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(self._master)
        return self.process.wait(30)

    def _read(self) -> None:
        part = os.read(self._master, 65536)
        if not part:
            raise OSError("closed")
        self.shown += part
