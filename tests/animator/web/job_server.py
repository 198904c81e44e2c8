"""A server of the API about jobs, for tests: real sockets, a real queue, quick looks at uploads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from animator.animation.motion.file import begins_as_motion
from animator.checks.report import UploadFacts
from animator.jobs.client import Client
from animator.jobs.queue import load_queue
from animator.jobs.store import JobStore
from animator.record import JobRecord, Progress, Result
from animator.settings import Settings
from animator.web.access.guard import Guard
from animator.web.access.sessions import Sessions
from animator.web.access.tokens import Tokens, add_token
from animator.web.api.events import EventHub
from animator.web.app import make_app
from animator.web.context import ServerContext
from animator.web.files.folder import ResultFolder
from animator.web.files.looking import Looked
from animator.web.files.uploads import Upload, UploadStore
from animator.web.settings import ServerSettings
from tests.animator.web.served import served

PORTRAIT = b"a portrait"
PLAN = {"frames": 10, "seconds": 0.2}
"""What the pipeline of `tests.fake_pipeline` does, in place of a driving video."""


def quick_look(path: Path, settings: Settings) -> Looked:
    """Takes plans of the test's pipeline for videos, and what is no motion file for a picture."""
    if begins_as_motion(path.read_bytes()[:64]):
        facts = UploadFacts("motion", "motion", 64, 64, 1.0, 10, False, (), (), 0.0)
    elif path.read_bytes()[:1] == b"{":
        facts = UploadFacts("video", "mp4", 64, 64, 1.0, 10, False, (), (), 0.0)
    else:
        facts = UploadFacts("picture", "png", 64, 64, None, None, False, (), (), 0.0)
    return Looked(facts, b"\xff\xd8thumbnail of " + path.read_bytes()[:20])


@dataclass
class JobServer:
    """A server that runs, and what stands behind it."""

    address: str
    context: ServerContext
    tokens: Mapping[str, str]

    def http(self, owner: str = "") -> httpx.Client:
        """A client, with the token of an owner."""
        token = self.tokens.get(owner)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=30)

    def upload(self, content: bytes | Mapping[str, Any], owner: str = "") -> Upload:
        """A file of an owner that is there."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        incoming = self.context.uploads.begin(owner, "clip.mp4" if data[:1] == b"{" else "me.png")
        incoming.write(data)
        return incoming.finish()

    def new_job(self, owner: str = "", **options: Any) -> dict[str, Any]:
        """What is sent for a job whose files are there."""
        plan = options.pop("plan", PLAN)
        files = {
            "source": self.upload(PORTRAIT, owner).id,
            "driving": self.upload(plan, owner).id,
        }
        return {**files, **options}

    def submit(self, owner: str = "", **options: Any) -> dict[str, Any]:
        """A job that was submitted, as the API answers it."""
        with self.http(owner) as http:
            answer = http.post("/v1/jobs", json=self.new_job(owner, **options))
        assert answer.status_code == 202, answer.text
        return answer.json()

    # What a worker does, step by step

    def begin(self, job_id: str) -> JobRecord:
        """Claim a job as a worker does."""
        record = self.context.client.store.claim(job_id, "worker", 60_000)
        assert record is not None
        return record

    def progress(self, record: JobRecord, frame: int) -> None:
        """Report a frame."""
        progress = Progress("generate", frame, 10, 5.0, 1.0)
        assert self.context.client.store.report(record.id, record.attempt, progress)

    def finish(self, record: JobRecord, content: bytes = b"video") -> Path:
        """Write the video and end the job."""
        output = record.spec.output.path
        output.write_bytes(content)
        made = Result(str(output), 10, 1.0, 10.0, {"generate": 1.0}, ("look",), ((2, 3),))
        assert self.context.client.store.succeed(record.id, record.attempt, made)
        return output


@contextmanager
def job_server(
    settings: Settings,
    store: JobStore,
    folder: Path,
    owners: Mapping[str, bool] | None = None,
    **given: Any,
) -> Iterator[JobServer]:
    """A server that answers while the block runs.

    Args:
        settings: which queue.
        store: its store.
        folder: the server's.
        owners: names of tokens, and whether each sees all.
        given: further settings of the server.
    """
    tokens, file = {}, folder.with_name("tokens")
    for name, sees_all in (owners or {}).items():
        tokens[name] = add_token(file, name, sees_all=sees_all)
    server = ServerSettings(folder=folder, token_file=file if tokens else None, **given)
    guard = Guard(
        server, Sessions(store.client, folder), Tokens(file) if server.token_file else None
    )
    context = ServerContext(
        settings=settings,
        server=server,
        client=Client(settings, store, load_queue(settings, store)),
        uploads=UploadStore(settings, server, look=quick_look),
        results=ResultFolder(folder),
        events=EventHub(store, server.streams),
        guard=guard,
    )
    context.events.start()
    app = make_app(context)
    try:
        with served(app, server.root_path) as address:
            yield JobServer(address, context, tokens)
            context.events.close()
    finally:
        context.events.close()
