"""Rows of a manifest in Parquet, read in a process of its own.

Some damage does not make pyarrow raise an error but ends its process, and a small file can unpack
to more than there is memory. Both happen to a child here, which `animator.sandbox` confines; what
it has read comes over a pipe.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import IO, Any, BinaryIO

from animator import sandbox
from animator.dataset.manifest.text import Broken, Ignored, Record
from animator.errors import AnimatorError
from animator.sandbox import SandboxLimits
from animator.settings import Settings

_TARGET = "animator.dataset.manifest.parquet_child:send_rows"
_SECONDS = 600
_MAX_MESSAGE = 1 << 26
_REAP_SECONDS = 5


def parquet_records(
    file: BinaryIO, ignored: Ignored, settings: Settings, resources: ExitStack
) -> Iterator[Record]:
    """Rows of a Parquet file, of the columns that mean something; its footer is read at once.

    Args:
        file: the open file.
        ignored: takes the names of columns that mean nothing.
        settings: how much memory the child may use (`check_memory_mb`).
        resources: ends the child when they are closed.

    Raises:
        AnimatorError: `bad_manifest` for a file that is damaged, of other columns or types, or has
            row groups that are too large; while rows are read, too.
    """
    limits = SandboxLimits(_SECONDS, settings.check_memory_mb)
    # The child opens no name, only what has been looked at already.
    task, files = {"file": file.fileno()}, [file.fileno()]
    process = sandbox.spawn(_TARGET, task, limits, files=files, errors=subprocess.DEVNULL)
    resources.callback(sandbox.end, process)
    assert process.stdout is not None
    first = _message(process.stdout, process)
    for name in first["ignored"]:
        ignored.add(name)
    return _records(process.stdout, process, first["columns"])


def _records(
    answers: IO[bytes], process: subprocess.Popen[bytes], columns: list[str]
) -> Iterator[Record]:
    while "rows" in (message := _message(answers, process)):
        for row in message["rows"]:
            if isinstance(row, dict):
                yield Broken(**row)
            else:
                yield dict(zip(columns, row, strict=True))


def _message(answers: IO[bytes], process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the child says next.

    Raises:
        AnimatorError: `bad_manifest` if that is an error, or nothing because it has died.
    """
    line = answers.readline(_MAX_MESSAGE)
    if not line.endswith(b"\n"):
        raise AnimatorError("bad_manifest", f"The manifest cannot be read: {_fate(process)}.")
    message: dict[str, Any] = json.loads(line)
    if "error" in message:
        raise AnimatorError("bad_manifest", message["error"])
    return message


def _fate(process: subprocess.Popen[bytes]) -> str:
    with suppress(subprocess.TimeoutExpired):
        status = process.wait(_REAP_SECONDS)
        if status < 0:
            return f"the process that read it was killed by {signal.Signals(-status).name}"
        return f"the process that read it ended with status {status}, perhaps for want of memory"
    return "the process that read it makes no sense"
