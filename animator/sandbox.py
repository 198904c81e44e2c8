"""A function in a process of its own, with limits on time and memory, that may die unharmed.

What opens a hostile file can crash, hang or eat memory without raising anything. Here that happens
to a child: it gets its task as JSON, answers in lines of JSON over a pipe, and is killed when it is
over its time or when its parent dies. It can write nothing into a file. This keeps accidents and
crude attacks away; it is no wall against an attacker who gets code to run, who would have the
user's rights.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

from animator.errors import missing_library

Message = dict[str, Any]
Send = Callable[[Message], None]
How = Literal["done", "crashed", "timeout", "memory"]

MAX_ANSWER = 1024**2
"""Bytes that a child may answer in all."""
_TAIL = 4096  # bytes of its standard error that are kept
_REAP_SECONDS = 5  # for a killed child to be gone; one that waits for a dead disk never is
_CORES = 2  # how many the child can keep busy, for its processor time
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_", "TMPDIR", "PYTHON", "VIRTUAL_ENV", "LD_LIBRARY")
"""How the variables begin that a child gets; secrets are none of its business."""
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",  # it could not
}
_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from animator.sandbox import child; child(sys.argv[2])"
)
_ROOT = str(Path(__file__).parents[1])
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_OUT_OF_MEMORY = 77
"""Exit status of a child that had not enough memory."""


@dataclass(frozen=True)
class SandboxLimits:
    """What a child may use.

    Attributes:
        seconds: of time on the wall; of processor time it gets twice as many.
        memory_mb: of address space in MiB, None without a limit.

    Raises:
        ValueError: if a limit is not positive.
    """

    seconds: float = 30.0
    memory_mb: int | None = 4096

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        how: "done" if it answered all that it had to.
        reason: for a person, such as "was killed by SIGSEGV"; empty when done.
        messages: what it had answered until then.
    """

    how: How
    reason: str
    messages: tuple[Message, ...]


def run_limited(
    target: str, task: Message, limits: SandboxLimits, *, trusted: bool = False
) -> Ended:
    """Call a function in a child and collect what it answers.

    Never raises for anything that the child does to a file.

    Args:
        target: "module:function"; it is called with the task and with a function that sends one
            answer, which must be a JSON object without NaN.
        task: JSON for the function.
        limits: what the child may use.
        trusted: whether it gets the whole environment and all cores, and may write files, as it
            opens none that strangers made.

    Raises:
        AnimatorError: `missing_library` if the child's modules cannot be imported for that.
    """
    process = spawn(target, task, limits, trusted=trusted)
    try:
        return _converse(process, limits)
    finally:
        end(process)


def spawn(
    target: str,
    task: Message,
    limits: SandboxLimits,
    *,
    trusted: bool = False,
    files: Sequence[int] = (),
    errors: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a child and give it its task; whoever does so hears it, and ends it.

    Args:
        target: as for `run_limited`; so are the others.
        task: JSON for the function.
        limits: what the child may use.
        trusted: whether it gets the whole environment and all cores, and may write files.
        files: descriptors that it gets, too.
        errors: where its standard error goes; a pipe has to be read.
    """
    request = {**asdict(limits), "write": trusted, "task": task}
    content = json.dumps(request).encode()
    command = [sys.executable, "-P", "-c", _START, _ROOT, target]
    kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
        pass_fds=files,
        env=None if trusted else kept | _ENVIRONMENT,
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died at once, which its status tells
        process.stdin.write(content)
        process.stdin.close()
    return process


def _converse(process: subprocess.Popen[bytes], limits: SandboxLimits) -> Ended:
    assert process.stdout is not None and process.stderr is not None
    deadline = time.monotonic() + limits.seconds
    complete, answer, errors = _listen(process.stdout, process.stderr, deadline)
    messages, whole = _parse(answer)
    # A child that was taken over may say anything; what is not the protocol is a crash.
    if len(answer) > MAX_ANSWER or not whole:
        return Ended("crashed", "gave an answer that makes no sense", messages)
    if complete:
        # It has closed both pipes, so it is about to end.
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - time.monotonic(), 0.1))
    if process.returncode is None:
        return Ended("timeout", f"took more than {limits.seconds:g} s", messages)
    if process.returncode == 0:
        return Ended("done", "", messages)
    # A library that the machine lacks is no fault of what the child looked at.
    if process.returncode > 0 and (lacking := missing_library(errors.decode(errors="replace"))):
        raise lacking
    how, reason = _describe(process.returncode, limits, errors)
    return Ended(how, reason, messages)


def _listen(out: IO[bytes], err: IO[bytes], deadline: float) -> tuple[bool, bytes, bytes]:
    """Read until both pipes are closed, until it is too much, or too late.

    Returns:
        Whether both were closed, the answer, and the last of the errors.
    """
    answer, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ, answer)
        selector.register(err, selectors.EVENT_READ, errors)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0 or len(answer) > MAX_ANSWER:
                return False, bytes(answer), bytes(errors)
            for key, _ in selector.select(left):
                block = os.read(key.fd, 1 << 16)
                if block:
                    key.data.extend(block)
                else:
                    selector.unregister(key.fileobj)
            # Only the end is kept: a child may write for ever.
            del errors[:-_TAIL]
    return True, bytes(answer), bytes(errors)


def _parse(answer: bytes) -> tuple[tuple[Message, ...], bool]:
    """The messages, and whether every line was one; the last may have been cut by death."""
    messages: list[Message] = []
    *lines, _ = answer.split(b"\n")
    for line in lines:
        try:
            message = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return tuple(messages), False
        if not isinstance(message, dict):
            return tuple(messages), False
        messages.append(message)
    return tuple(messages), True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _describe(status: int, limits: SandboxLimits, errors: bytes) -> tuple[How, str]:
    if status in (_OUT_OF_MEMORY, -signal.SIGKILL):  # the latter is the kernel short of memory
        allowed = "there is" if limits.memory_mb is None else f"the {limits.memory_mb} MiB allowed"
        return "memory", f"needed more memory than {allowed}"
    if status == -signal.SIGXCPU:
        return "timeout", f"took more than {_CORES * limits.seconds:g} s of processor time"
    if status < 0:
        return "crashed", f"was killed by {signal.Signals(-status).name}"
    *_, last = errors.decode(errors="replace").strip().splitlines() or [""]
    return "crashed", f"ended with status {status}" + (f" ({last})" if last else "")


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the child and what it has started, and take the body away."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # also after its end: others may be left
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_REAP_SECONDS)


def child(target: str) -> NoReturn:
    """What runs in the child: take the task, take on the limits, work, end."""
    request = json.loads(sys.stdin.buffer.read())
    # Answers go to a copy of the pipe.
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # no library's chatter between the answers
    _confine(request["seconds"], request["memory_mb"])
    if not request["write"]:
        _limit(resource.RLIMIT_FSIZE, 0)

    def send(message: Message) -> None:
        line = json.dumps(message, allow_nan=False).encode() + b"\n"
        while line:
            line = line[os.write(answers, line) :]

    module, function = target.split(":")
    try:
        getattr(importlib.import_module(module), function)(request["task"], send)
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    # Without the end of Python, in which a library might still crash.
    os._exit(0)


def become_expendable() -> None:
    """Have this process end with its parent, first when memory is short, and without a core dump.

    The kernel sees to the first, even where no Python code runs any more. It takes the thread that
    started the process for the parent.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    _limit(resource.RLIMIT_CORE, 0)  # it may be large


def _confine(seconds: float, memory_mb: int | None) -> None:
    become_expendable()
    # At the soft limit comes SIGXCPU, which tells what happened; SIGKILL at the hard one.
    _limit(resource.RLIMIT_CPU, math.ceil(_CORES * seconds), grace=1)
    if memory_mb is not None:
        _limit(resource.RLIMIT_AS, memory_mb * 1024**2)


def _limit(kind: int, value: int, grace: int = 0) -> None:
    _, hard = resource.getrlimit(kind)
    soft, most = value, value + grace
    if hard != resource.RLIM_INFINITY:
        soft, most = min(soft, hard), min(most, hard)
    resource.setrlimit(kind, (soft, most))
