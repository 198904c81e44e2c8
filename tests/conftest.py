"""Fixtures that every test may use: a real Redis, a state folder, the shared footage."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests send these signals to processes of theirs, which inherit if they are ignored here, as
# they are in a shell's background.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Several test processes and a worker share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from animator.embedded import EmbeddedRedis, find_server
from animator.settings import Settings
from animator.store import JobStore, connect

REPOSITORY = Path(__file__).parents[1]
# Children that tests start find the tests, too, also where the package itself is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of footage and golden data beside the checkout."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}, which holds footage that may not be published")
    return folder


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sample portrait and driving video."""
    from animator.sample import write_samples

    return write_samples(tmp_path_factory.mktemp("sample") / "new" / "folder")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis that lives as long as the test session."""
    if find_server() is None:
        pytest.skip("there is no Redis server on this machine")
    server = EmbeddedRedis(tmp_path_factory.mktemp("session"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def store(redis_url: str) -> Iterator[JobStore]:
    """An empty job store."""
    store = JobStore(connect(redis_url))
    store.client.flushall()
    yield store
    store.client.flushall()


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder for an embedded queue of the test's own, which is the environment's."""
    for name in list(os.environ):
        if name.startswith("ANIMATOR_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "state"
    monkeypatch.setenv("ANIMATOR_STATE_DIR", str(folder))
    yield folder
    EmbeddedRedis(folder).stop()


@pytest.fixture
def settings(redis_url: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings, and an environment, that name the session's Redis as broker."""
    monkeypatch.setenv("ANIMATOR_BROKER_URL", redis_url)
    return Settings.from_environment()
