"""Children that crash, hang, eat and lie, and a parent that does not mind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from animator.sandbox import Ended, SandboxLimits, run_limited

HERE = "tests.animator.misbehaviour:"
REPOSITORY = Path(__file__).parents[2]


def run(name: str, folder: Path, seconds: float = 20, memory_mb: int | None = 1024) -> Ended:
    return run_limited(HERE + name, {"folder": str(folder)}, SandboxLimits(seconds, memory_mb))


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds; a dead one that nobody took away counts."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def pids(folder: Path, count: int) -> list[int]:
    """The processes that have made a folder of their number."""
    for _ in range(400):
        if len(found := [int(path.name) for path in folder.iterdir()]) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError("the child has not begun")


def test_what_a_child_answers_arrives_and_chatter_does_not(tmp_path: Path) -> None:
    ended = run("answer", tmp_path)
    assert (ended.how, ended.reason) == ("done", "")
    assert ended.messages[0]["pid"] != os.getpid()


def test_secrets_stay_with_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMATOR_WEBHOOK_SECRET", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    (message,) = run("answer", tmp_path).messages
    assert "hush" not in message["environment"].values()
    trusted = run_limited(HERE + "answer", {}, SandboxLimits(), trusted=True)
    assert trusted.messages[0]["environment"]["ANIMATOR_WEBHOOK_SECRET"] == "hush"


def test_a_crash_is_told_with_what_came_before(tmp_path: Path) -> None:
    ended = run("crash", tmp_path)
    assert (ended.how, ended.reason) == ("crashed", "was killed by SIGSEGV")
    assert ended.messages == ({"before": True},)


def test_a_stopped_child_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    ended = run("stop", tmp_path, seconds=2)
    assert (ended.how, ended.reason) == ("timeout", "took more than 2 s")
    assert time.monotonic() - began < 15
    assert all(gone(pid) for pid in pids(tmp_path, 1))


@pytest.mark.parametrize("name", ["have_child", "leave_child"])
def test_what_the_child_has_started_is_killed_with_it(name: str, tmp_path: Path) -> None:
    assert run(name, tmp_path, seconds=3).how == "timeout"
    assert all(gone(pid) for pid in pids(tmp_path, 1))


def test_memory_is_limited(tmp_path: Path) -> None:
    ended = run("eat", tmp_path, memory_mb=512)
    assert (ended.how, ended.reason) == ("memory", "needed more memory than the 512 MiB allowed")


@pytest.mark.parametrize("name", ["flood", "lie"])
def test_nonsense_is_not_listened_to(name: str, tmp_path: Path) -> None:
    ended = run(name, tmp_path)
    assert (ended.how, ended.reason) == ("crashed", "gave an answer that makes no sense")


def test_nothing_can_be_written(tmp_path: Path) -> None:
    (message,) = run("write", tmp_path).messages
    assert message == {"written": False, "errno": errno.EFBIG}


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from tests.animator.test_sandbox import run\n"
        f"run('stop', Path({str(tmp_path)!r}), seconds=600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
    try:
        (child,) = pids(tmp_path, 1)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert gone(child)


def test_an_exception_is_told_by_its_last_line(tmp_path: Path) -> None:
    ended = run_limited(HERE + "stop", {}, SandboxLimits())
    assert (ended.how, ended.reason) == ("crashed", "ended with status 1 (KeyError: 'folder')")


@pytest.mark.parametrize("limits", [(0, 1), (1, 0), (float("nan"), 1), (float("inf"), None)])
def test_limits_are_positive(limits: tuple[float, int | None]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        SandboxLimits(*limits)
