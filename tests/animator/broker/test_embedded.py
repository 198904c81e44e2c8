from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from animator.broker import embedded
from animator.broker.embedded import EmbeddedRedis, find_server
from animator.errors import AnimatorError
from animator.jobs.store import JobStore, connect
from animator.spec import JobSpec

pytestmark = pytest.mark.skipif(find_server() is None, reason="there is no Redis server")

SPEC = JobSpec("/a", "/b", "/c.mp4")


@pytest.fixture(params=["plain", "with 'a\n\"quote ж", "long" * 40])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / request.param)
    yield server
    server.stop()


def program(path: Path, banner: str) -> Path:
    """A program that tells its version as servers do."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{banner}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("banner", "taken"),
    [
        ("Redis server v=7.2.0 sha=00000000:0 malloc=libc bits=64 build=1", True),
        ("Redis server v=8.0.3 sha=00000000:0 malloc=libc bits=64 build=1", True),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=libc bits=64 build=1", False),
        ("something else", False),
    ],
)
def test_a_recent_server_of_the_system_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banner: str, taken: bool
) -> None:
    installed = program(tmp_path / "bin" / "redis-server", banner)
    of_wheel = program(tmp_path / "wheel", "Valkey server v=8.1.8 sha=0 bits=64")
    monkeypatch.setenv("PATH", str(installed.parent))
    monkeypatch.setattr(embedded, "_in_wheels", lambda: iter([of_wheel]))
    assert find_server() == (installed if taken else of_wheel)
    monkeypatch.setattr(embedded, "_in_wheels", lambda: iter([]))
    assert find_server() == installed  # whatever there is


def test_a_recent_server_goes_on_with_the_jobs_of_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = sorted({*embedded._in_wheels()}, key=embedded.server_version)
    if len(servers) < 2:
        pytest.skip("there is one server only")
    old, new = servers[0], servers[-1]
    assert not embedded.is_recent(old) and embedded.is_recent(new)
    server = EmbeddedRedis(tmp_path)
    for binary in (old, new):
        monkeypatch.setattr(embedded, "find_server", lambda binary=binary: binary)
        server.start()
        store = JobStore(connect(server.url))
        if binary == old:
            job = store.create(SPEC)
        assert store.get(job.id) == job
        assert server.stop()


def test_jobs_survive_a_stop_and_a_kill(server: EmbeddedRedis) -> None:
    assert not server.status().running
    assert not server.stop()
    server.start()
    store = JobStore(connect(server.url))
    first = store.create(SPEC)
    assert server.stop()
    server.start()
    assert store.get(first.id) == first
    second = store.create(SPEC)
    time.sleep(1.2)  # what was written a second ago is on the disk
    status = server.status()
    assert status.pid is not None and status.jobs == 2
    os.kill(status.pid, signal.SIGKILL)
    while server.status().running:
        time.sleep(0.01)
    server.start()
    assert store.get(second.id) == second


def test_only_the_user_can_reach_it(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    try:
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        client = connect(server.url)
        assert client.config_get("port")["port"] == "0"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    finally:
        server.stop()


def test_many_processes_start_one_server(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from animator.broker.embedded import EmbeddedRedis; "
        "server = EmbeddedRedis(Path(sys.argv[1])); server.start(); print(server.status().pid)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    try:
        assert len({start.communicate(timeout=60)[0] for start in starts}) == 1
        assert all(start.returncode == 0 for start in starts)
    finally:
        assert EmbeddedRedis(tmp_path).stop()


def test_no_server_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: None)
    server = EmbeddedRedis(tmp_path)
    with pytest.raises(AnimatorError, match="ANIMATOR_BROKER_URL") as caught:
        server.start()
    assert caught.value.code == "queue_unavailable"
    assert server.status().binary is None


def test_a_server_that_fails_tells_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedRedis(tmp_path)
    monkeypatch.setattr(server, "_config", lambda: "port nonsense\n")
    with pytest.raises(AnimatorError, match="does not start: .*integer"):
        server.start()


def test_a_state_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnimatorError, match="ANIMATOR_STATE_DIR") as caught:
        EmbeddedRedis(tmp_path / "file").start()
    assert caught.value.code == "queue_unavailable"


def test_a_socket_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    server = EmbeddedRedis(tmp_path / "state")
    monkeypatch.setattr(server, "socket", open_to_all / "redis.sock")
    with pytest.raises(AnimatorError, match="yours alone"):
        server.start()
    assert isinstance(server.status().running, bool)
    with pytest.raises(redis.ConnectionError):
        connect(server.url).ping()
