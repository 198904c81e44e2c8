"""Command lines of scripts that draw sheets of results: shared options, and how errors are told."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

from animator.errors import AnimatorError


def add_files(parser: argparse.ArgumentParser, length: float) -> None:
    """Add the options that say what is rendered; ``length`` seconds of each driver by default."""
    parser.add_argument("out", type=Path, metavar="OUT")
    for name in ("--portraits", "--drivers"):
        parser.add_argument(name, type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--start", type=seconds, default=0, help="seconds into the drivers (0)")
    parser.add_argument(
        "--seconds", type=seconds, default=length, help="of the drivers (%(default)g)"
    )
    parser.add_argument("--size", type=int, default=256, help="of results, in pixels (%(default)s)")


def seconds(text: str) -> float:
    """A time of the command line; argparse names this function where it is none."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


def run(work: Callable[[], None]) -> int:
    """Do what a command is to do; the exit status."""
    try:
        work()
    except AnimatorError as error:
        print(f"error [{error.code}]: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0
