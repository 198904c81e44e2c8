"""Common parts of all commands: printing whatever a file is called, errors, signals."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table

from animator.cli.streams import need_output
from animator.errors import AnimatorError, missing_library
from animator.record import JobState
from animator.values import without_users

P = ParamSpec("P")
_WIDE = 10_000
"""Columns of a table that goes into a pipe or a file: nothing is cut or broken there."""


def printable(text: str) -> str:
    """The text on one line, with what a terminal would act on written as escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def say(text: str = "") -> None:
    """A line for a person, on standard error so that standard output stays for programs."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2), flush=True)


def print_json_array(values: Iterable[object]) -> None:
    """A JSON array on standard output, of which one value at a time is in memory."""
    between = "[\n"
    for value in values:
        print(between + json.dumps(value, indent=2), end="")
        between = ",\n"
    print("[]" if between == "[\n" else "\n]", flush=True)


def print_table(table: Table) -> None:
    """A table on standard output, as wide as the terminal."""
    Console(width=table_width(), highlight=False).print(table)


def table_width() -> int:
    """How wide a table on standard output may be: as wide as the terminal, if it is one."""
    return Console().width if sys.stdout.isatty() else _WIDE


def cut_middle(text: str, width: int) -> str:
    """The text in so many cells of a terminal, with a mark for what was left out in its middle."""
    if cell_len(text) <= width:
        return text
    head, tail = (width - 1) // 2, width - 1 - (width - 1) // 2
    after = len(text)
    while after and cell_len(text[after - 1 :]) <= tail:
        after -= 1
    return set_cell_size(text, max(head, 0)).rstrip() + "\u2026" + text[after:]


def print_path(path: str) -> None:
    """A path on standard output: readable on a terminal, byte for byte into a pipe."""
    if sys.stdout.isatty():
        print(printable(path), flush=True)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.buffer.flush()


def error_object(error: AnimatorError, state: JobState | None) -> dict[str, Any]:
    """What `--json` prints in place of the record of a job."""
    return {
        "id": None,
        "state": state,
        "output": None,
        "progress": None,
        "error": {"code": error.code, "message": error.message, "retryable": error.retryable},
    }


def show_error(code: str, message: str) -> None:
    """A failure as a person and a script can read it."""
    say(f"error [{code}]: {printable(message)}")


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Turn what a command raises into a sentence and an exit status.

    An expected error ends with 1, Ctrl-C with 130. Anything else is our fault: its traceback goes
    into a file, which is named. With `--json` there is also an object: a job that failed before it
    had a record.
    """
    return _guarded(function, JobState.FAILED)


def making_command(function: Callable[P, None]) -> Callable[P, None]:
    """The same for a command that makes something: what it says of it is no part of it.

    If nobody can be told, as standard output is closed or full, it ends as if somebody had been.
    """
    return _guarded(function, JobState.FAILED, talks=False)


def farm_command(function: Callable[P, None]) -> Callable[P, None]:
    """The same for a command about jobs that are there; its own mistake is no job that failed."""
    return _guarded(function, None)


def farm_making_command(function: Callable[P, None]) -> Callable[P, None]:
    """The same for one that changes or copies something, whoever is told of it."""
    return _guarded(function, None, talks=False)


def _guarded(
    function: Callable[P, None], state: JobState | None, *, talks: bool = True
) -> Callable[P, None]:
    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            need_output(talks)
            function(*args, **kwargs)
            sys.stdout.flush()
        except AnimatorError as error:
            _fail(error, bool(kwargs.get("as_json")), state)
        except KeyboardInterrupt:
            raise typer.Exit(128 + signal.SIGINT) from None
        except BrokenPipeError:
            # Whoever read our output has gone, as `head` does. Nothing is left to be written.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(128 + signal.SIGPIPE) from None
        except typer.Exit:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort of the program
            known = missing_library(str(error)) if isinstance(error, ImportError) else None
            known = known or _unsaid(error) or _internal(error)
            _fail(known, bool(kwargs.get("as_json")), state)

    return run


def _unsaid(error: Exception) -> AnimatorError | None:
    """The error for what could not be said, None if it is about something else."""
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    try:
        sys.stdout.flush()
    except OSError as again:
        if again.errno == error.errno:
            message = f"Standard output cannot be written: {again.strerror}."
            return AnimatorError("output_not_writable", message)
    return None


def _fail(error: AnimatorError, as_json: bool, state: JobState | None) -> None:
    need_output(False)
    if as_json:
        print_json(error_object(error, state))
    show_error(error.code, error.message)
    raise typer.Exit(1) from None


def _internal(error: Exception) -> AnimatorError:
    what = f"{type(error).__name__}: {without_users(str(error))}"
    report = "".join(traceback.format_exception(error))
    try:
        from animator.files.private import private_folder
        from animator.settings import Settings

        folder = Settings.from_environment().log_dir
        private_folder(folder)
        path = folder / f"error-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
        path.write_text(report, encoding="utf-8", errors="backslashreplace")
    except (AnimatorError, OSError):
        say(report)
        return AnimatorError("internal", what)
    return AnimatorError("internal", f"{what} (the traceback is in {str(path)!r}).")


class StopSignals:
    """While it is entered, the first Ctrl-C, SIGTERM or SIGHUP is a request that work polls for.

    The second one raises KeyboardInterrupt.

    Args:
        quiet: whether nothing is said about a Ctrl-C, as nothing takes long to stop.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.received: int | None = None
        self._quiet = quiet
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_IGN:  # as nohup asks for
                continue
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.received is not None

    def exit(self) -> typer.Exit:
        """The exit that says which signal ended the command."""
        return typer.Exit(128 + (self.received or signal.SIGINT))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        if number == signal.SIGINT and not self._quiet:
            # Not by print(), which this signal may have interrupted.
            with suppress(OSError):
                os.write(2, b"\nstopping; Ctrl-C again stops at once\n")


def absolute(path: str | Path) -> str:
    """The path from the root, as it is: links are not followed."""
    return os.path.abspath(path)
