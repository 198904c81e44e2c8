"""The hunt for media that crash what reads them: finds nothing, and would find what is planted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from animator.errors import AnimatorError

REPOSITORY = Path(__file__).parents[2]
_asked = 0


def fuzz(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "scripts" / "fuzz_media.py"), *options]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_two_hundred_damaged_files_end_in_frames_or_in_coded_errors(tmp_path: Path) -> None:
    done = fuzz("--cases", "200", "--keep", str(tmp_path / "found"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 cases" in done.stdout and "0 failures" in done.stdout
    # Some got through the damage and some did not, in each reader.
    for reader in ("image", "frames", "sound", "timing", "probe"):
        assert f" {reader} read" in done.stdout
        assert f" {reader} unreadable_" in done.stdout
    assert " check read" in done.stdout
    for suffix in ("mp4", "webm", "gif", "png", "avi", "wav"):
        assert suffix in done.stdout.splitlines()[0].split()


def misbehave(path: Path, look: bool) -> dict[str, str]:
    """What a bad reader does; files are numbered in their order by the child that reads them."""
    global _asked
    _asked += 1
    if path.suffix == ".mp4":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.suffix == ".mov":
        raise IndexError("list index out of range")
    if path.suffix == ".avi":
        until = time.process_time() + 5.2
        while time.process_time() < until:
            pass
    if path.suffix == ".webm":
        raise AnimatorError("unreadable_video", "It is damaged.")
    return {"reader": f"call {_asked}"}


def test_crashes_uncoded_errors_and_slow_files_are_found_and_kept(tmp_path: Path) -> None:
    found = tmp_path / "found"
    done = fuzz("--cases", "5", "--target", f"{__name__}:misbehave", "--keep", str(found))
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"0 mp4: status {-signal.SIGSEGV}" in done.stdout
    assert "1 mov: uncoded IndexError: list index out of range" in done.stdout
    assert "2 avi: took 5." in done.stdout
    # A target of one's own sees to its coded errors itself; the one after it is read as usual.
    assert "3 webm: uncoded AnimatorError" in done.stdout
    assert "call 4" in done.stdout and "4 failures" in done.stdout
    assert {path.name for path in found.iterdir()} == {"0.mp4", "1.mov", "2.avi", "3.webm"}


@pytest.mark.parametrize("number", [0, 7])
def test_a_case_follows_from_its_number_alone(tmp_path: Path, number: int) -> None:
    kept = []
    for name in ("once", "again"):
        folder = tmp_path / name
        fuzz(
            *("--first", str(number), "--cases", "1", "--keep", str(folder)),
            *("--target", f"{__name__}:refuse"),
        )
        kept += [path.read_bytes() for path in folder.iterdir()]
    assert len(kept) == 2 and kept[0] == kept[1]


def refuse(path: Path, look: bool) -> dict[str, str]:
    """Nothing is good enough."""
    raise ValueError("no")
