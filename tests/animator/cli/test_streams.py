"""Commands whose standard streams are closed, full, or read by nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
Sh = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def sh(tmp_path: Path, state_dir: Path) -> Sh:
    """Runs a line of a shell in which `$A` is the command, in a folder with two inputs."""
    (tmp_path / "me.png").write_bytes(b"picture")
    (tmp_path / "clip.mp4").write_text(json.dumps({"frames": 5, "seconds": 0.1}))
    (tmp_path / "bad.mp4").write_text(json.dumps({"error": "no_face", "message": "None."}))
    command = f"{sys.executable} -m tests.animator.cli.fake_command"

    def run(line: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "A": command}
        return subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, text=True, timeout=60,
            capture_output=True,
        )  # fmt: skip

    return run


ENDS = [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"]


@pytest.mark.parametrize(
    ("streams", "json"), [(streams, "--json" * (i % 2)) for i, streams in enumerate(ENDS)]
)
def test_a_job_that_is_done_has_succeeded(sh: Sh, tmp_path: Path, streams: str, json: str) -> None:
    done = sh(f"$A run me.png clip.mp4 -o out.mp4 {json} {streams}; echo rc $?")
    assert "rc 0" in done.stdout, done.stderr
    assert (tmp_path / "out.mp4").stat().st_size and "Traceback" not in done.stderr
    failed = sh(f"$A run me.png bad.mp4 -o bad.out.mp4 {json} {streams}; echo rc $?")
    assert "rc 1" in failed.stdout, failed.stderr
    assert "[internal]" not in failed.stderr + failed.stdout


@pytest.mark.parametrize("command", ["run", "submit --no-wait"])
def test_a_pipe_that_is_closed_early(sh: Sh, tmp_path: Path, command: str) -> None:
    for pipe in ("", "2>&1 >/dev/null"):
        line = f"{{ sleep 0.2; $A {command} me.png clip.mp4 -f -o out.mp4; echo rc $? >&3; }}"
        done = sh(f"{line} 3>rc {pipe} | true; cat rc")
        assert "rc 0" in done.stdout, done.stderr
    if "--no-wait" not in command:
        assert (tmp_path / "out.mp4").stat().st_size


def test_what_is_asked_for_and_cannot_be_said_is_an_error(sh: Sh) -> None:
    """A list that is lost is no success; one that nobody reads on ends quietly."""
    for line in ("list --json", "queue", "check me.png clip.mp4 --no-such"):
        done = sh(f"$A {line} >/dev/full; echo rc $?")
        assert "rc 0" not in done.stdout and "Traceback" not in done.stderr
    done = sh("$A list --json >/dev/full")
    assert "error [output_not_writable]: Standard output cannot be written" in done.stderr
    done = sh("{ sleep 0.2; $A queue; echo rc $? >&3; } 3>rc | true; cat rc")
    assert done.stdout == "rc 141\n" and not done.stderr


def test_files_do_not_take_the_place_of_a_closed_stream(sh: Sh, tmp_path: Path) -> None:
    """What is printed later would be written into them."""
    sh("$A run me.png clip.mp4 -o out.mp4 2>both.txt")
    whole = (tmp_path / "out.mp4").read_bytes()
    sh("$A run me.png clip.mp4 -f -o out.mp4 <&- >&- 2>&-")
    assert (tmp_path / "out.mp4").read_bytes() == whole
