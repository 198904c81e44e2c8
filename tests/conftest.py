"""Fixtures that every test may use: a real Redis, an object store, a state folder, footage."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
from collections import deque
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

from animator.broker.embedded import EmbeddedRedis, find_server
from animator.jobs.store import JobStore, connect
from animator.settings import Settings
from tests.object_store import ENVIRONMENT, Bucket, make_bucket, running_server

REPOSITORY = Path(__file__).parents[1]
# Children that tests start find the tests, too, also where the package itself is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
)


_OF_A_FOLDER = "attacks"
"""Folder whose tests share a server, and stay together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a CUDA device are skipped where there is none; slow ones do not come last."""
    # Each process begins with a share of its own, of whose end the others take some in the end
    if processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
        items[:] = long_tests_not_last(items, processes)
    needy = [item for item in items if item.get_closest_marker("gpu")]
    if not needy:
        return
    from torch.cuda import is_available

    if not is_available():
        for item in needy:
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


def long_tests_not_last(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """As many shares of tests one after another, each with none but quick files in its last part.

    Slow tests wait half of their time: with quick ones between them they leave no processor idle.
    Files stay whole, as their tests share what was set up.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        folder = item.path.parent
        files.setdefault(folder if folder.name == _OF_A_FOLDER else item.path, []).append(item)
    slow = [file for file in files.values() if any(map(_is_slow, file))]
    quick = deque(file for file in files.values() if not any(map(_is_slow, file)))
    ordered: list[pytest.Item] = []
    for number in range(processes):
        long = slow[number::processes]
        end = len(items) * (number + 1) // processes
        # Two thirds of the quick ones come between them, and the rest in the end
        between, placed = (end - len(ordered) - sum(map(len, long))) * 2 // 3, 0
        for place, file in enumerate(long, 1):
            ordered += file
            while quick and placed + len(quick[0]) <= between * place // len(long):
                placed += len(quick[0])
                ordered += quick.popleft()
        while quick and len(ordered) < end:
            ordered += quick.popleft()
    return ordered


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests keep of landmarks is never the user's, and never taken from there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIMATOR_STATE_DIR", str(tmp_path_factory.mktemp("user-state")))
        yield


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of footage and golden data beside the checkout."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}, which holds footage that may not be published")
    return folder


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sample portrait and driving video, which one of several test processes makes."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "sample" / "new" / "folder"
    with (base / "sample.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            from animator.samples.media import write_samples

            write_samples(folder)
    return folder / "source.png", folder / "driving.mp4"


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


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server that lives as long as the test session."""
    with running_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, in an environment in which it may be used and no other URL.

    `Settings.from_environment()` has to be asked after it; the fixture `settings` may be older.
    """
    bucket = make_bucket(s3_endpoint, f"test-{secrets.token_hex(6)}")
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": s3_endpoint}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ANIMATOR_ALLOWED_URLS", bucket.url)
    return bucket
