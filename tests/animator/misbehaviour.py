"""What a hostile file may do to the process that opens it, for tests of the check."""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from animator.checks import media
from animator.sandbox import Send

Task = dict[str, Any]


def answer(task: Task, send: Send) -> None:
    """Behave; with chatter of a library on standard output."""
    os.write(1, b"chatter")
    send({"pid": os.getpid(), "environment": dict(os.environ)})


def crash(task: Task, send: Send) -> None:
    send({"before": True})
    ctypes.string_at(0)


def stop(task: Task, send: Send) -> None:
    """Hang in a way that no signal but SIGKILL ends; say who does."""
    Path(task["folder"], str(os.getpid())).mkdir()
    os.kill(os.getpid(), signal.SIGSTOP)


def have_child(task: Task, send: Send) -> None:
    """Hang together with a child."""
    Path(task["folder"], str(os.fork() or os.getpid())).mkdir(exist_ok=True)
    time.sleep(600)


def leave_child(task: Task, send: Send) -> None:
    """End, but for a child that holds the pipe."""
    if os.fork():
        return
    Path(task["folder"], str(os.getpid())).mkdir()
    time.sleep(600)


def eat(task: Task, send: Send) -> None:
    hoard = []
    while True:
        hoard.append(b"\1" * (1 << 26))


def flood(task: Task, send: Send) -> None:
    while True:
        send({"flood": "x" * 60_000})


def hang(task: Task, send: Send) -> None:
    time.sleep(600)


def lie(task: Task, send: Send) -> None:
    os.write(_answers(), b'{"about": "source", "facts": {"width": NaN}}\n')


def _answers() -> int:
    return max(int(name) for name in os.listdir("/proc/self/fd") if _is_pipe(name))


def _is_pipe(name: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith("pipe:") and int(name) > 2
    except OSError:
        return False


def write(task: Task, send: Send) -> None:
    """Try to write a file."""
    try:
        with tempfile.TemporaryFile(dir=task["folder"]) as file:
            file.write(b"1" * 100_000)
        send({"written": True})
    except OSError as error:
        send({"written": False, "errno": error.errno})


def crash_on_source(task: Task, send: Send) -> None:
    """A decoder of pictures that crashes, and all else as it is."""
    if task["subjects"][0] == "source":
        ctypes.string_at(0)
    media.look(task, send)


def hang_on_driving(task: Task, send: Send) -> None:
    """A decoder of videos that never comes back."""
    media.look({**task, "subjects": ["source"]}, send)
    signal.pause()


def eat_on_source(task: Task, send: Send) -> None:
    if task["subjects"][0] == "source":
        eat(task, send)
    media.look(task, send)


def nonsense(task: Task, send: Send) -> None:
    send({"about": "source", "facts": {"width": "wide"}})
    send({"about": "driving", "code": "no_such_code", "message": 7})
