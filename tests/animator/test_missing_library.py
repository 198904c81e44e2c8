"""A machine without a library of the system, such as a server without libGL for OpenCV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from animator.errors import missing_library
from worker.failures import describe

GL = "libGL.so.1: cannot open shared object file: No such file or directory"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which OpenCV's import fails as it does without libGL."""
    package = tmp_path / "broken" / "cv2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise ImportError({GL!r})\n")
    path = os.pathsep.join([str(package.parent), str(Path(__file__).parents[2])])
    state = str(tmp_path / "state")
    return {**os.environ, "PYTHONPATH": path, "ANIMATOR_STATE_DIR": state}


def animator(environment: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "animator", *words]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
    )


def test_a_command_names_both_cures(
    environment: dict[str, str], samples: tuple[Path, Path], tmp_path: Path
) -> None:
    done = animator(environment, "run", *samples, "-o", tmp_path / "out.mp4")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "[missing_library]" in line]
    assert "libGL.so.1" in line and "apt install libgl1" in line
    assert "pip install opencv-python-headless" in line
    assert "Traceback" not in done.stderr


def test_a_check_does_not_blame_the_files(
    environment: dict[str, str], samples: tuple[Path, Path]
) -> None:
    done = animator(environment, "check", "--json", *samples)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "missing_library"


def test_a_worker_puts_it_on_record() -> None:
    error = describe(ImportError(GL))
    assert error.code == "missing_library" and error.retryable and "libgl1" in error.message


def test_other_libraries_are_named() -> None:
    known = missing_library("libsndfile.so.1: cannot open shared object file: No such file")
    assert (
        known is not None and "libsndfile.so.1" in known.message and "OpenCV" not in known.message
    )
    assert missing_library("/lib/x86_64-linux-gnu/libGL.so.1: file too short") is not None
    assert missing_library("/x/cv2.abi3.so: undefined symbol: f") is None
    assert missing_library("No module named 'cv2'") is None
