"""The first script that somebody runs, in a checkout of its own whose packages are installed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the packages of this process in place of those that would be installed."""
    folder = tmp_path / "check out"
    shutil.copytree(REPOSITORY / "scripts", folder / "scripts")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, command in (("python", ""), ("animator", " -m animator")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{command} "$@"\n')
        program.chmod(0o755)
    return folder


def installed(checkout: Path, extras: str) -> None:
    """Note, as the script does, that what the extras need is there."""
    project = (checkout / "pyproject.toml").resolve()
    seen = repr([str(project), extras, sys.version])
    stamp = hashlib.sha256(project.read_bytes() + seen.encode()).hexdigest()
    (checkout / ".venv" / f".installed-{extras}").write_text(f"{stamp}\n")


def quickstart(checkout: Path, *words: str) -> list[str]:
    return ["bash", str(checkout / "scripts" / "quickstart.sh"), *words]


def run(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = quickstart(checkout, *words)
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_says_how_it_is_used(checkout: Path) -> None:
    help_page = run(checkout, "--help")
    assert help_page.returncode == 0
    assert "SOURCE DRIVING" in help_page.stdout and "serve [OPTIONS]" in help_page.stdout
    for words in (("portrait.jpg",), ("one", "two", "three", "four")):
        refused = run(checkout, *words)
        assert refused.returncode == 2 and refused.stderr == help_page.stdout


@pytest.mark.slow
def test_serve_starts_a_server_and_prints_its_address(
    checkout: Path, settings: object, tmp_path: Path
) -> None:
    installed(checkout, "serve")
    command = quickstart(checkout, "serve", "--port", "0", "--no-worker")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert found, line
            assert httpx.get(f"{found[0]}livez", timeout=10).status_code == 200
            # The script has become the server, so what ends the one ends the other.
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        finally:
            process.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{found[0]}livez", timeout=5)
    assert not os.path.exists(checkout / "sample")
