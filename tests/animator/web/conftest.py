"""Fixtures for tests of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from animator.jobs.store import JobStore
from animator.settings import Settings
from tests.animator.web.job_server import JobServer, job_server


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
