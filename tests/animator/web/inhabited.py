"""Real servers with files and jobs in every state, for tests that ask them for everything."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.record import JobError, Result
from animator.settings import Settings
from animator.web.access.tokens import add_token
from tests.animator.media_files import write_video
from tests.serving import Server

ENDED = ("succeeded", "failed", "cancelled")
STATES = ("queued", "running", *ENDED)


@dataclass
class Inhabited:
    """A server, what it has of one owner, and who else may come.

    Attributes:
        server: the server; its client is that of the owner.
        source: a portrait's file.
        driving: a driving video's file.
        tokens: by their names.
    """

    server: Server
    source: Path
    driving: Path
    tokens: Mapping[str, str]

    def __post_init__(self) -> None:
        self.settings = Settings.from_environment()
        self.files = {
            "source": self.server.upload(self.source)["id"],
            "driving": self.server.upload(self.driving)["id"],
        }
        self.jobs = {state: self.job(state) for state in STATES}

    @cached_property
    def store(self) -> JobStore:
        """The store of the server's jobs."""
        return Client.connect(self.settings).store

    @property
    def server_folder(self) -> Path:
        """Where the server keeps its files."""
        return self.settings.state_dir / "server"

    def http(self, owner: str | None = None) -> httpx.Client:
        """A client of somebody, or of nobody."""
        headers = {"Authorization": f"Bearer {self.tokens[owner]}"} if owner else {}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=30)

    def job(self, state: str, **options: Any) -> str:
        """A new job that comes into a state as a worker brings it there; its id."""
        job = self.server.submit(self.files["source"], self.files["driving"], **options)["id"]
        if state == "cancelled":
            self.server.taken(self.server.http.post(f"/v1/jobs/{job}/cancel"))
        elif state != "queued":
            self.claim(job, state)
        return str(job)

    def claim(self, job: str, state: str) -> None:
        """Have a worker begin a job, and end it so."""
        record = self.store.claim(job, "worker", 3_600_000)
        assert record is not None
        output = record.spec.output.path
        if state == "succeeded":
            shutil.copy(self.driving, output)
            made = Result(str(output), 10, 1.0, 10.0, {"generate": 1.0}, ("A note.",), ((2, 3),))
            assert self.store.succeed(job, record.attempt, made)
        elif state == "failed":
            error = JobError("no_face", "There is none.", retryable=False)
            assert self.store.fail(job, record.attempt, error)


def write_media(folder: Path) -> tuple[Path, Path]:
    """A small portrait and a short driving video, without a face."""
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    Image.fromarray(picture).save(folder / "source.png")
    driving = write_video(folder / "driving.mp4", range(6), Fraction(1, 25))
    return folder / "source.png", driving


def inhabit(folder: Path, *options: str, owners: Mapping[str, bool] | None = None) -> Inhabited:
    """Start a server with the environment's settings, which is to be ended.

    Args:
        folder: where the media and the tokens are written.
        options: of `animator serve`.
        owners: names of tokens, and whether each sees all; of the first is what is there.
    """
    source, driving = write_media(folder)
    file, tokens = folder / "tokens", {}
    for name, sees_all in (owners or {}).items():
        tokens[name] = add_token(file, name, sees_all=sees_all)
    given = ("--token-file", str(file)) if tokens else ()
    first = next(iter(tokens.values()), None)
    server = Server("--port", "0", "--no-worker", *given, *options, token=first)
    try:
        return Inhabited(server, source, driving, tokens)
    except BaseException:
        server.end()
        raise
