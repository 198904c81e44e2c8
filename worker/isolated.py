"""Suspect jobs, each run in a process of its own that it may kill.

This is the parent's side: `animate` is called as `animator.animation.pipeline.animate` is. The
child is `worker.child`. It is told the job, and when to stop, on its standard input and answers on
its standard output, one JSON object a line. It dies with its parent, which says how it died.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animator.errors import AnimatorError, JobCancelled, LeaseLost
from animator.record import JobError, Progress, Result
from animator.spec import JobSpec

if TYPE_CHECKING:
    from animator.settings import Settings
    from animator.watch import PreviewSink
    from animator.workspace.attempt import Workspace

COMMAND = [sys.executable, "-m", "worker.child"]
"""What is started; the job's id is added for those who look at the list of processes."""
POLL_SECONDS = 0.1
STOP_SECONDS = 10.0
"""How long a child that is told to stop may take."""
EXIT_SECONDS = 5.0
"""How long a child that has closed its output may take to end."""
MEMORY_EVENTS = Path("/proc/vmstat")


class Died(Exception):
    """The process that ran the job died, or had to be killed.

    Args:
        error: the reason, as it is put on record.
    """

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class Bounds:
    """What a job in a process of its own may take."""

    stall_seconds: float
    """How long it may make no progress."""
    memory_mb: int | None = None
    """Memory in MiB; None is no bound."""


def animate(
    spec: JobSpec,
    *,
    settings: Settings,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    workspace: Workspace,
    priority: int,
    may_publish: Callable[[], bool],
    preview: PreviewSink,
    bounds: Bounds,
    job_id: str,
) -> Result:
    """Animate in a child process; the arguments are those of `animator.animation.pipeline.animate`.

    Raises:
        Died: if the child ended without a word, or made no progress and was killed.
        AnimatorError, JobCancelled, LeaseLost: as the pipeline.
    """
    # All that the child is told at the beginning; it reads its settings by itself.
    order = {
        "spec": spec.to_json(),
        "settings": settings.to_environment(),
        "output": str(workspace.output),
        "job": job_id,
        "attempt": workspace.attempt,
        "replaces": workspace.replaces,
        "priority": priority,
        "memory_mb": bounds.memory_mb,
    }
    # Counted before and after: the kernel does not say whom it killed.
    kills = _out_of_memory_kills()
    child = _Child(job_id)
    try:
        child.tell(order)
        return _converse(child, report, should_stop, may_publish, preview, bounds.stall_seconds)
    except _ChildSilent as silence:
        # One that stalls is killed at once; else it is dying, and its status says of what.
        status = child.end(0.0 if silence.stalled else EXIT_SECONDS)
        raise Died(_reason(status, silence, _out_of_memory_kills() > kills)) from None
    finally:
        child.end()


class _ChildSilent(Exception):
    """The child says nothing more; with the stage that it was in, and whether it had stalled."""

    def __init__(self, stage: str, stalled: float | None = None) -> None:
        super().__init__(stage)
        self.stage, self.stalled = stage, stalled


def _converse(
    child: _Child,
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    may_publish: Callable[[], bool],
    preview: PreviewSink,
    stall_seconds: float,
) -> Result:
    """Hear what the child has to say until it says how it ended."""
    last = Progress("start")
    moved, stopped = time.monotonic(), None
    watched = False
    while True:
        # What it says: progress, its newest frame, a question, or how it ended.
        for kind, value in child.listen(POLL_SECONDS, last.stage):
            if kind == "progress":
                progress = Progress(**value)
                if (progress.stage, progress.frame) != (last.stage, last.frame):
                    moved = time.monotonic()
                last = progress
                report(progress)
            elif kind == "preview":
                preview.show_preview(base64.b64decode(value))
            elif kind == "publish":
                child.tell({"publish": may_publish()})
                moved = time.monotonic()
            else:
                return _outcome(kind, value)
        # What it is told: whether somebody looks, and to stop. One that does not is killed.
        if preview.preview_wanted != watched:
            watched = not watched
            child.tell({"preview": watched})
        if stopped is None and should_stop():
            stopped = time.monotonic()
            child.tell({"stop": True})
        if stopped is not None and time.monotonic() - stopped > STOP_SECONDS:
            raise JobCancelled
        # What it does not say: it hangs.
        if time.monotonic() - moved > stall_seconds:
            raise _ChildSilent(last.stage, stall_seconds)


def _outcome(kind: str, value: Any) -> Result:
    if kind == "result":
        return Result.from_json(value)
    if kind == "error":
        raise AnimatorError(value["code"], value["message"], retryable=value["retryable"])
    if kind == "stopped":
        raise JobCancelled
    if kind == "lost":
        raise LeaseLost(value)
    raise AssertionError(f"the child said {kind!r}")


class _Child:
    """The child process and the two pipes to it."""

    def __init__(self, job_id: str) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, job_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Signals from a terminal are for the parent, which tells the child what to do.
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._unread = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a line; one that does not read any more has ended, which is found out elsewhere."""
        with contextlib.suppress(BrokenPipeError):
            self._input.write(json.dumps(message).encode() + b"\n")
            self._input.flush()

    def listen(self, seconds: float, stage: str) -> Iterator[tuple[str, Any]]:
        """What the child has said, waiting a while for it.

        Raises:
            _ChildSilent: once it has closed its end.
        """
        if not self._selector.select(seconds):
            return
        # What came may end within a line.
        received = os.read(self._output.fileno(), 1 << 16)
        if not received:
            raise _ChildSilent(stage)
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            yield from json.loads(line).items()

    def end(self, patience: float = 0.0) -> int:
        """Kill the child unless it ends within some seconds; returns its status."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        self._output.close()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        return self._process.returncode


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory; 0 where that is not told."""
    try:
        lines = MEMORY_EVENTS.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _reason(status: int, silence: _ChildSilent, memory: bool) -> JobError:
    """How a child died, as a sentence."""
    where = f"in the stage {silence.stage!r}"
    if silence.stalled is not None:
        message = f"The job made no progress for {silence.stalled:g} seconds {where}."
        return JobError("stalled", message, True)
    if status == -signal.SIGKILL and memory:
        message = f"The machine ran out of memory {where}, and the kernel ended the job's process."
        return JobError("out_of_memory", message, True)
    if status < 0:
        name, what = _signal(-status)
        message = f"The job's process was ended by {name} ({what}) {where}."
    else:
        message = f"The job's process ended with status {status} and without a word {where}."
    return JobError("worker_crashed", message, True)


def _signal(number: int) -> tuple[str, str]:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return name, signal.strsignal(number) or "unknown"
