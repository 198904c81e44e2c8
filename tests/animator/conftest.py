"""What tests of several modules use: a farm to command, and a disk that is soon full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from animator.jobs.store import JobStore
from animator.settings import Settings
from tests.animator.farm_commands import Farm


@pytest.fixture(autouse=True)
def own_landmarks(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test finds the landmarks that another has kept."""
    monkeypatch.setenv("ANIMATOR_STATE_DIR", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def farm(
    store: JobStore, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Farm:
    """A farm whose videos are in one folder, commanded from another."""
    folder, here = tmp_path / "videos", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    return Farm(store, folder)


@contextmanager
def mounted_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A file system of its own that holds so much; skips the test where none may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system needs root")
    # Whatever ends this process ends the input of the guard, which unmounts then.
    command = ["sh", "-c", 'cat >/dev/null; umount "$0" || umount -l "$0"', str(folder)]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield folder
    finally:
        guard.communicate()
    assert guard.returncode == 0
