"""The server that is attacked, and whether it is none the worse after each attack."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import httpx
import pytest

from animator.broker.embedded import EmbeddedRedis
from tests.animator.web.attacks.tools import (
    MAX_UPLOAD,
    MEBIBYTE,
    memory,
)
from tests.animator.web.inhabited import Inhabited, inhabit

OWNERS = {"ann": False, "bob": False, "root": True}


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inhabited]:
    """A server with three tokens, with files and jobs of ann."""
    folder = tmp_path_factory.mktemp("attacked")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("ANIMATOR_"):
                patch.delenv(name)
        patch.setenv("ANIMATOR_STATE_DIR", str(folder / "state"))
        patch.setenv("ANIMATOR_SERVE_RATE", "100000")
        patch.setenv("ANIMATOR_SERVE_MAX_UPLOAD_BYTES", str(MAX_UPLOAD))
        inhabited = inhabit(folder, owners=OWNERS)
        try:
            yield inhabited
        finally:
            inhabited.server.end()
            EmbeddedRedis(folder / "state").stop()


@pytest.fixture
def ann(site: Inhabited) -> Iterator[httpx.Client]:
    with site.http("ann") as http:
        yield http


@pytest.fixture
def bob(site: Inhabited) -> Iterator[httpx.Client]:
    with site.http("bob") as http:
        yield http


@pytest.fixture(autouse=True)
def the_server_goes_on(site: Inhabited) -> Iterator[None]:
    """Whatever is done, memory stays bounded, nobody else waits, and nothing fails inside."""
    before, log = memory(site), len(site.server.log())
    yield
    with site.http("root") as other:
        began = time.monotonic()
        assert other.get("/v1/queue").status_code == 200
        assert time.monotonic() - began < 5
    assert memory(site) - before < 64 * MEBIBYTE
    assert site.server.process.poll() is None
    assert "Traceback" not in site.server.log()[log:]
