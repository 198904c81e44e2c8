"""Fixtures for tests of the server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from animator.broker.embedded import EmbeddedRedis
from animator.jobs.store import JobStore
from animator.sandbox import Ended, Message, SandboxLimits
from animator.settings import Settings
from animator.web.files import looking
from tests.animator.web.job_server import JobServer, job_server
from tests.serving import Server, import_narrow_weights, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def looker() -> Iterator[ThreadPoolExecutor]:
    """A thread that has loaded the detector of faces once for all tests."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def looks_here(looker: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at as ever, but without a child, which takes two seconds of a processor.

    For tests of what is around a look; those of `looking` itself have children.
    """

    def look(target: str, task: Message) -> tuple[Message, ...]:
        module, _, name = target.partition(":")
        answers: list[str] = []
        getattr(import_module(module), name)(task, lambda one: answers.append(json.dumps(one)))
        return tuple(map(json.loads, answers))

    def run_here(target: str, task: Message, limits: SandboxLimits) -> Ended:
        return Ended("done", "", looker.submit(look, target, task).result(limits.seconds))

    monkeypatch.setattr(looking, "run_limited", run_here)


@pytest.fixture
def server(settings: Settings, store: JobStore, tmp_path: Path) -> Iterator[JobServer]:
    """A server that everybody on this machine may use."""
    with job_server(settings, store, tmp_path / "server", rate=10_000) as running:
        yield running


@pytest.fixture
def shared_server(settings: Settings, store: JobStore, tmp_path: Path) -> Iterator[JobServer]:
    """A server with the tokens of ann and bob, and of root, who sees all."""
    owners = {"ann": False, "bob": False, "root": True}
    with job_server(settings, store, tmp_path / "server", owners, rate=10_000) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of a module."""
    from tests.animator.web.browsing import chromium

    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def live_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of `live`."""
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def live(live_folder: Path) -> Iterator[Server]:
    """A server in a process of its own, with a worker and narrow weights, for a module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ANIMATOR_")]:
            patch.delenv(name)
        patch.setenv("ANIMATOR_STATE_DIR", str(live_folder))
        import_narrow_weights(Settings.from_environment())
        try:
            with serving() as running:
                yield running
        finally:
            EmbeddedRedis(live_folder).stop()


@pytest.fixture
def beside_live(live: Server, live_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that a test starts have the jobs of `live`."""
    monkeypatch.setenv("ANIMATOR_STATE_DIR", str(live_folder))
