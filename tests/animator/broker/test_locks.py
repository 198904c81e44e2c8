"""Locks of the kernel and of a real Redis, with real holders that are released, hang or die."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from animator.broker.locks import FileLock, Lock, held, lock_of
from animator.broker.redis_lock import RedisLock
from animator.errors import JobCancelled
from animator.jobs.store import JobStore
from animator.settings import Settings

Make = Callable[..., Lock]
EXPIRY = 1.0


@pytest.fixture(params=["file", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes locks of one name."""
    if request.param == "file":
        return lambda patience=60.0: FileLock(tmp_path / "locks" / "name", patience)
    store: JobStore = request.getfixturevalue("store")
    del store
    url = request.getfixturevalue("redis_url")
    return lambda patience=60.0: RedisLock(url, "name", patience, EXPIRY)


def waiting(seconds: float = 60, pause: float = 0.02) -> Callable[[], Generator[None, None, None]]:
    """What ends a wait that takes too long."""

    def tries() -> Generator[None, None, None]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield
            time.sleep(pause)
        raise TimeoutError

    return tries


def test_one_holds_it_at_a_time(make: Make) -> None:
    one, other = make(), make()
    assert one.acquire() and not other.acquire() and not other.abandoned()
    one.release()
    assert other.acquire() and not make().acquire()
    other.release()


def test_it_is_kept_for_as_long_as_its_holder_lives(make: Make) -> None:
    one = make()
    assert one.acquire()
    time.sleep(2 * EXPIRY)
    assert not make().acquire()
    one.release()


def test_many_threads_hold_it_one_after_another(make: Make) -> None:
    inside, most, done = 0, 0, []

    def work(number: int) -> None:
        nonlocal inside, most
        with held(make(), waiting(pause=0.005)):
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1
            done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, sorted(done)) == (1, list(range(8)))


def test_a_failure_inside_frees_it(make: Make) -> None:
    with pytest.raises(KeyError), held(make(), waiting()):
        raise KeyError
    lock = make()
    assert lock.acquire()
    lock.release()


HOLDER = """
import sys, time
from pathlib import Path
from animator.broker.locks import FileLock
from animator.broker.redis_lock import RedisLock
kind, where = sys.argv[1:]
lock = FileLock(Path(where), 60) if kind == "FileLock" else RedisLock(where, "name", 60, 0.4)
assert lock.acquire()
print("holding", flush=True)
time.sleep(100)
"""


@pytest.fixture
def holder(make: Make, tmp_path: Path, redis_url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds it."""
    kind = type(make()).__name__
    where = str(tmp_path / "locks" / "name") if kind == "FileLock" else redis_url
    command = [sys.executable, "-c", HOLDER, kind, where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "holding\n"
        yield process
        process.kill()


def test_a_killed_holder_frees_it(make: Make, holder: subprocess.Popen[str]) -> None:
    assert not make().acquire()
    holder.kill()
    with held(make(), waiting()):
        assert not make().acquire()


def test_a_holder_that_gets_nowhere_is_not_waited_for(make: Make) -> None:
    lock = make(1.2)
    assert lock.acquire()
    for _ in range(4):
        lock.keep()
        time.sleep(0.5)
        assert not make(1.2).acquire() and not make(1.2).abandoned()
    with held(make(1.2), waiting()):  # nothing has kept it since
        pass
    lock.release()


def test_a_wait_can_be_ended(make: Make) -> None:
    lock = make()
    assert lock.acquire()
    ended = []

    def cancelled() -> Generator[None, None, None]:
        try:
            yield
            raise JobCancelled
        finally:
            ended.append(True)

    with pytest.raises(JobCancelled), held(make(), cancelled):
        raise AssertionError
    assert ended == [True]
    lock.release()


def test_without_a_lock_the_work_is_done_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for lock in (
        FileLock(tmp_path / "file" / "name", 60),
        RedisLock(f"redis+socket://{tmp_path}/none.sock", "name", 60),
    ):
        done = []
        with held(lock, waiting(0)):
            done.append(True)
        assert done == [True]


def test_no_file_is_left(tmp_path: Path) -> None:
    for _ in itertools.repeat(None, 3):
        with held(FileLock(tmp_path / "name", 60), waiting()):
            assert (tmp_path / "name").exists()
        assert not list(tmp_path.iterdir())


def test_which_lock_it_is_depends_on_what_is_shared(settings: Settings) -> None:
    shared = replace(settings, storage="/shared")
    assert isinstance(lock_of("name", shared), RedisLock)
    for alone in (settings, replace(shared, broker_url=None)):
        assert isinstance(lock_of("name", alone), FileLock)
