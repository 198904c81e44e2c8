"""A Redis that wants a password, and what is said of a wrong one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from animator.broker.connection import RedisBase, connect
from animator.broker.embedded import find_server
from animator.cli import app
from animator.errors import AnimatorError


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Path]:
    """The socket of a Redis whose password is `right`."""
    server = find_server()
    if server is None:
        pytest.skip("there is no Redis server on this machine")
    socket = tmp_path / "redis.sock"
    command = [str(server), "--port", "0", "--unixsocket", str(socket), "--requirepass", "right"]
    with subprocess.Popen(
        [*command, "--save", "", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL
    ) as process:
        while not socket.exists():
            time.sleep(0.02)
        yield socket
        process.kill()


@pytest.mark.parametrize("who", ["", ":hunter2@", "me:hunter2@"])
def test_a_wrong_password_is_one_sentence(
    guarded: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    url = f"redis+socket://{who}{guarded}"
    with pytest.raises(AnimatorError) as caught:
        RedisBase(connect(url)).ping()
    assert (caught.value.code, caught.value.retryable) == ("queue_unavailable", False)
    monkeypatch.setenv("ANIMATOR_BROKER_URL", url)
    for command in (["list"], ["doctor"] if who.startswith(":") else ["queue"]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 1 and "hunter2" not in done.output
        assert "Redis refuses the user or the password of ANIMATOR_BROKER_URL" in done.output
    monkeypatch.setenv("ANIMATOR_BROKER_URL", f"redis+socket://:right@{guarded}")
    assert CliRunner().invoke(app, ["list"]).exit_code == 0
