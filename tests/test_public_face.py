"""What `from animator import ...` gives, and that asking for it costs nothing more."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import animator
from animator.broker.embedded import EmbeddedRedis


def test_public_names_are_those_of_their_modules():
    from animator.animation.pipeline import animate
    from animator.jobs.client import Client
    from animator.settings import Settings
    from animator.spec import JobSpec

    assert animator.animate is animate and animator.Client is Client
    assert animator.Settings is Settings and animator.JobSpec is JobSpec
    for name in animator.__all__:
        assert getattr(animator, name).__name__ == name


def test_other_names_are_refused_as_usual():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = animator.nothing
    with pytest.raises(ImportError):
        exec("from animator import nothing")


def test_the_examples_of_the_documents_run(
    samples: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = Path(__file__).parents[1] / "docs" / "python.md"
    examples = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("ANIMATOR_STATE_DIR", str(tmp_path / "environment"))
    for path in samples:  # as `animator sample .` writes them
        shutil.copy(path, tmp_path)
    program = [sys.executable, "-c", "\n".join(examples)]
    try:
        done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    finally:
        EmbeddedRedis(tmp_path / "state").stop()
    assert done.returncode == 0, done.stderr
    assert "stopped; nothing" in done.stdout and done.stdout.count("is new") == 2
    assert "succeeded" in done.stdout
    assert (tmp_path / "first.mp4").is_file() and (tmp_path / "state").is_dir()


def test_a_specification_is_made_without_the_networks():
    names = "Client, JobSpec, Settings"
    code = f"import sys; from animator import {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
