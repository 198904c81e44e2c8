"""Fixtures of the page's tests: a browser, and a server with a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from animator.broker.embedded import EmbeddedRedis
from animator.settings import Settings
from tests.animator.web.browsing import chromium
from tests.serving import Server, import_narrow_weights, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a worker and narrow weights, with a state folder that is the environment's."""
    folder: Path = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("ANIMATOR_"):
                patch.delenv(name)
        patch.setenv("ANIMATOR_STATE_DIR", str(folder))
        import_narrow_weights(Settings.from_environment())
        try:
            with serving() as running:
                yield running
        finally:
            EmbeddedRedis(folder).stop()
