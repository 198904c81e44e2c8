"""Whose server a client talks to: this user's own, whatever somebody else has put in its place."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from kombu.exceptions import OperationalError

from animator.broker.connection import connect
from animator.broker.embedded import EmbeddedRedis, find_server
from animator.broker.private_socket import private_url
from animator.errors import AnimatorError
from worker.celery import make_app

OTHER = 40002
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="needs root, to be two users"
)
needs_server = pytest.mark.skipif(find_server() is None, reason="there is no Redis server")

LISTENER = """
import os, socket, sys
os.setgid({user}); os.setuid({user})
listening = socket.socket(socket.AF_UNIX)
record = open(sys.argv[1] + ".got", "ab", buffering=0)
listening.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777); listening.listen(); print(flush=True)
while True:
    client, _ = listening.accept()
    try:
        record.write(client.recv(9999))
        client.sendall(b"+PONG\\r\\n" * 9)
    except OSError:
        pass  # the client went away
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name that anybody could enter."""
    path = Path(f"/tmp/animator-test-{os.getpid()}")
    path.mkdir(mode=0o700)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def foreign(folder: Path) -> Iterator[Path]:
    """The socket of a server of another user, in a folder that is closed once it listens."""
    folder.chmod(0o777)
    path = folder / "redis.sock"
    command = [sys.executable, "-c", LISTENER.format(user=OTHER), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        folder.chmod(0o700)
        yield path
        process.kill()


def got(path: Path) -> bytes:
    """What was sent to the server."""
    return path.with_name(path.name + ".got").read_bytes()


@needs_root
def test_the_server_of_another_user_gets_no_byte(foreign: Path) -> None:
    foreign.parent.chmod(0o700)
    with pytest.raises(redis.ConnectionError, match=f"user {OTHER}.*yours alone"):
        connect(private_url(foreign)).ping()
    assert got(foreign) == b""


@needs_root
def test_celery_sends_another_user_nothing(foreign: Path) -> None:
    connection = make_app(private_url(foreign)).connection_for_write()
    with pytest.raises(OperationalError, match="yours alone"):
        connection.default_channel.client.ping()
    assert got(foreign) == b""


@needs_root
def test_a_socket_that_the_setting_names_is_not_examined(foreign: Path) -> None:
    foreign.parent.chmod(0o755)
    client = connect(f"redis+socket://{foreign}")
    with suppress(redis.RedisError, AttributeError):  # it is no Redis; that it is asked is enough
        client.ping()
    assert b"PING" in got(foreign) or b"HELLO" in got(foreign)


@needs_root
def test_each_new_connection_is_checked(folder: Path) -> None:
    """The server went away between two commands, and somebody else took its place."""
    path = folder / "redis.sock"
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(str(path))
        ours.listen()
        served: list[bytes] = []
        thread = threading.Thread(target=serve, args=(ours, served), daemon=True)
        thread.start()
        client = connect(private_url(path))
        with suppress(redis.RedisError, AttributeError):  # it is no Redis, but it is asked
            client.ping()
        assert served
    path.unlink()
    client.connection_pool.disconnect()
    folder.chmod(0o777)
    command = [sys.executable, "-c", LISTENER.format(user=OTHER), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        folder.chmod(0o700)
        with pytest.raises(redis.ConnectionError, match="yours alone"):
            client.ping()
        process.kill()
    assert got(path) == b""


def serve(listening: socket.socket, served: list[bytes]) -> None:
    connection, _ = listening.accept()
    with connection:
        while data := connection.recv(9999):
            served.append(data)
            connection.sendall(b"+PONG\r\n" * data.count(b"*"))


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_may_enter(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(redis.ConnectionError, match="yours alone"):
        connect(private_url(folder / "redis.sock")).ping()


def test_a_link_to_a_folder(folder: Path) -> None:
    (folder / "real").mkdir(mode=0o700)
    (folder / "link").symlink_to("real")
    with pytest.raises(redis.ConnectionError, match="yours alone"):
        connect(private_url(folder / "link" / "redis.sock")).ping()


@needs_root
def test_a_folder_of_somebody_else(folder: Path) -> None:
    os.chown(folder, OTHER, OTHER)
    with pytest.raises(redis.ConnectionError, match="yours alone"):
        connect(private_url(folder / "redis.sock")).ping()


@needs_server
def test_the_runtime_folder_is_preferred_and_remembered(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / ("long" * 40)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    server = EmbeddedRedis(state)
    assert server.socket.parent == folder / "animator"
    server.start()
    try:
        # A process with another environment, such as one of cron, finds the same server.
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        other = EmbeddedRedis(state)
        other.start()
        assert other.status().pid == server.status().pid
        assert connect(other.url).ping()
    finally:
        assert server.stop()


@needs_server
def test_a_server_whose_socket_is_gone_makes_room_for_one_that_can_be_reached(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the runtime folder went with the user's last session: two would spoil the data."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))
    (folder / "runtime").mkdir(mode=0o700)
    server = EmbeddedRedis(tmp_path / ("long" * 40))
    server.start()
    first = server.status().pid
    assert first is not None
    connect(server.url).set("kept", "yes")
    shutil.rmtree(folder / "runtime")
    again = EmbeddedRedis(server.folder.parent)
    again.start()
    try:
        assert not Path(f"/proc/{first}/cwd").exists()
        assert connect(again.url).get("kept") == b"yes"
    finally:
        assert again.stop()


@needs_server
@pytest.mark.parametrize("runtime", ["missing", "open", "link"])
def test_a_runtime_folder_that_is_not_ones_own_is_not_used(
    tmp_path: Path, folder: Path, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "closed").mkdir(mode=0o700)
    (folder / "link").symlink_to("closed")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / runtime))
    assert EmbeddedRedis(tmp_path / ("long" * 40)).socket.parent == Path(
        f"/tmp/animator-{os.getuid()}"
    )


@needs_server
@needs_root
def test_start_refuses_what_another_user_put_where_the_socket_goes(
    tmp_path: Path, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedRedis(tmp_path / "state")
    monkeypatch.setattr(server, "socket", foreign)
    with pytest.raises(AnimatorError, match="yours alone") as caught:
        server.start()
    assert caught.value.code == "queue_unavailable"
    assert not server.status().running
    assert got(foreign) == b""
