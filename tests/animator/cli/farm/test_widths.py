"""Tables on narrow terminals: a line for each job, whole ids, paths cut in their middle."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from animator.cli.console import cut_middle
from animator.cli.farm.watch_views import picture
from animator.record import JobRecord
from tests.animator.farm_commands import Farm

REPOSITORY = Path(__file__).parents[4]
STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
WIDTHS = [60, 80, 120, 200]


def on_a_terminal(width: int, *arguments: str) -> str:
    """What the command prints on a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "animator", *arguments]
    with subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environment):
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 65536):
                shown += piece
        except OSError:  # the terminal has been left
            pass
    os.close(master)
    return STYLES.sub("", shown.decode()).replace("\r", "")


@pytest.fixture
def jobs(farm: Farm, tmp_path: Path) -> list[JobRecord]:
    farm.folder = tmp_path / "a folder with a long name" / "of a project" / "\u5f71\u50cf\u96c6"
    farm.folder.mkdir(parents=True)
    cancelling = farm.running(40)
    farm.store.request_cancel(cancelling.id)
    records = [farm.queued(), farm.running(), farm.failed(), farm.succeeded(), cancelling]
    return [farm.store.get(record.id) for record in records]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_list_has_a_line_for_each_job(jobs: list[JobRecord], width: int) -> None:
    lines = on_a_terminal(width, "list").splitlines()
    assert len(lines) == 1 + len(jobs)
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    for record in jobs:
        (line,) = (line for line in lines if line.startswith(record.id + " "))
        assert line.rstrip().endswith(Path(record.spec.output).name[-4:])
        if width < 200:
            assert "\u2026" in line
    assert [line.split()[1] for line in lines[1:]].count("running") >= 1


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_watched_has_a_line_for_each_job(jobs: list[JobRecord], width: int) -> None:
    console = Console(width=width, force_terminal=True, no_color=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(picture(jobs, {}, 10))
    shown = STYLES.sub("", capture.get())
    lines = shown.splitlines()
    assert len(lines) == 2 + len(jobs)
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    for record in jobs:
        (line,) = (line for line in lines if record.id in line)
        assert Path(record.spec.output).name in line
    assert "12/48" in shown and ("here-1" in shown) == (width >= 110)


def test_a_pipe_has_whole_paths(farm: Farm, jobs: list[JobRecord]) -> None:
    lines = farm.call("list").stdout.splitlines()
    assert len(lines) == 1 + len(jobs)
    assert all(any(record.spec.output in line for line in lines) for record in jobs)


@pytest.mark.parametrize("width", range(1, 12))
def test_cut_in_the_middle(width: int) -> None:
    for text in (
        "",
        "a",
        "abcdefghijk",
        "\u5f71\u50cf\u96c6\u5f71\u50cf\u96c6",
        "a\u5f71b\u50cfc\u96c6",
    ):
        cut = cut_middle(text, width)
        assert cell_len(cut) <= width
        assert cut == text or "\u2026" in cut
