"""The tutorial of data sets is run, command by command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[1] / "docs" / "datasets.md"


def test_the_tutorial_of_data_sets(state_dir: Path, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL)
    assert [language for language, _ in blocks].count("sh") >= 4
    folder = tmp_path / "tutorial"
    folder.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for language, code in blocks:
        command = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*command, code], cwd=folder, env={**os.environ, "PATH": path}, timeout=240,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        if "index.parquet" in code:
            assert "source--driving succeeded" in done.stdout and "68, 2" in done.stdout
    assert (folder / "report.html").is_file() and "3 0 True" in done.stdout
