"""Standard streams that a command can live without."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class _Outlet(io.FileIO):
    """A standard stream; once it cannot be written, and need not be, what is written is dropped.

    Attributes:
        needed: whether what fails is raised.
    """

    def __init__(self, number: int, *, needed: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.needed = needed

    def write(self, data: Any, /) -> int:
        """Write some bytes; gives how many."""
        try:
            return super().write(data)
        except OSError:
            if self.needed:
                raise
            return memoryview(data).nbytes


def prepare() -> None:
    """Give this process standard streams that exist, and that never fail on a file's name.

    A closed one, as services and some schedulers start programs with, is the null device, which
    also keeps files that are opened later from getting its number. Nothing depends on what a
    person is told on standard error. What happens to standard output is said by `need_output`.
    """
    for number in (0, 1, 2):
        with suppress(OSError):
            os.fstat(number)
            continue
        taken = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
        if taken != number:
            os.dup2(taken, number)
            os.close(taken)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    sys.stdout = _stream(sys.stdout, 1, needed=True)
    sys.stderr = _stream(sys.stderr, 2, needed=False)


def _stream(given: TextIO | None, number: int, *, needed: bool) -> TextIO:
    if given is not None:
        with suppress(OSError):
            given.flush()
    outlet = io.BufferedWriter(_Outlet(number, needed=needed))
    encoding = getattr(given, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        outlet,
        encoding,
        errors="backslashreplace",
        line_buffering=needed is False or outlet.isatty(),
    )


def need_output(needed: bool) -> None:
    """Say whether a command fails if its standard output cannot be written."""
    outlet = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(outlet, _Outlet):
        outlet.needed = needed
