"""Processes that do the same at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def racing(code: str, count: int) -> list[str]:
    """What some processes print that run one program at once.

    The program prints a line when it is ready, then waits for a line on its standard input.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
