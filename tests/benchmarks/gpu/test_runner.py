"""The runner's limits and its report, with processes that only pretend to be parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PART = """#!/usr/bin/env bash
# Asked whether there is CUDA, and then for a part, whose folder is the third argument.
[[ $1 == -c ]] && exit %(cuda)d
folder=$3
echo '{"rows": [{"a": 1.5, "b": "x|y"}], "notes": ["n"], "faults": []}' > "$folder/sheet.json"
case "$5" in
machine) ;;
suite) exit 3 ;;
parity) sleep 60 & echo $! > %(pid)s; wait ;;
kernel) echo '{"rows": [], "notes": [], "faults": ["off"]}' > "$folder/sheet.json" ;;
esac
"""


@pytest.fixture
def pretending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def pretend(cuda: bool) -> Path:
        script = tmp_path / "python"
        script.write_text(PART % {"cuda": 0 if cuda else 3, "pid": tmp_path / "pid"})
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        return tmp_path / "pid"

    return pretend


def checked(out: Path, budget: float, *names: str, seconds: float = 1.0) -> dict[str, str]:
    from gpu.parts import Part
    from gpu.runner import Request, Runner

    parts = [Part(name, f"what {name} finds", seconds) for name in names]
    return {one.name: one.status for one in Runner(Request(out, parts, budget)).run()}


def test_parts_end_by_themselves_by_a_fault_or_by_their_time(pretending, tmp_path: Path) -> None:
    pid, out = pretending(cuda=True), tmp_path / "out"
    began = time.monotonic()
    found = checked(out, 100, "machine", "suite", "parity", "kernel")
    assert found == {
        "machine": "done", "suite": "failed", "parity": "over its time", "kernel": "failed",
    }  # fmt: skip
    assert 1 <= time.monotonic() - began < 30
    # What a part had started has ended with it.
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(int(pid.read_text()), 0)
            time.sleep(0.05)
    # What it had found is there all the same.
    parts = {part["name"]: part for part in json.loads((out / "results.json").read_text())["parts"]}
    assert parts["parity"]["rows"] == [{"a": 1.5, "b": "x|y"}]
    assert parts["suite"]["faults"] == ["it ended with status 3; see log.txt"]
    table = (out / "results.md").read_text()
    assert "| parity | over its time | 1 | what parity finds |" in table
    assert "| 1.5 | x\\|y |" in table and "- **wrong**: off" in table
    assert sorted(path.name for path in out.iterdir()) == ["log.txt", "results.json", "results.md"]


def test_without_cuda_no_part_is_run_but_the_machine_is_told(pretending, tmp_path: Path) -> None:
    pretending(cuda=False)
    found = checked(tmp_path / "out", 100, "machine", "suite", "parity")
    assert set(found.values()) == {"no CUDA"}
    parts = json.loads((tmp_path / "out" / "results.json").read_text())["parts"]
    assert [bool(part["rows"]) for part in parts] == [True, False, False]


def test_what_there_is_no_time_for_is_said(pretending, tmp_path: Path) -> None:
    pretending(cuda=True)
    found = checked(tmp_path / "out", 5, "machine", "suite")
    assert found == {"machine": "no time left", "suite": "no time left"}


def test_the_parts_are_there_and_fit_into_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from gpu.__main__ import BUDGET
    from gpu.parts import PARTS

    assert all((ROOT / "benchmarks" / "gpu" / f"{part.name}.py").is_file() for part in PARTS)
    assert BUDGET + 25 <= 475 < 8 * 60  # the shell's own limit
    assert "timeout --kill-after=5 475 " in (ROOT / "scripts" / "gpu_check.sh").read_text()


@pytest.mark.slow
def test_the_script_ends_well_without_cuda(tmp_path: Path) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHON": sys.executable}
    command = ["bash", "scripts/gpu_check.sh", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads((tmp_path / "out" / "results.json").read_text())["parts"]
    assert len(parts) == 11 and {part["status"] for part in parts} == {"no CUDA"}
