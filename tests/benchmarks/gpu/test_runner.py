"""The runner's limits and its report, with processes that only pretend to be parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REAL = sys.executable
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


def gone(pid: Path) -> None:
    """Wait for the end of the process whose number stands there."""
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(int(pid.read_text()), 0)
            time.sleep(0.05)


def test_parts_end_by_themselves_by_a_fault_or_by_their_time(pretending, tmp_path: Path) -> None:
    pid, out = pretending(cuda=True), tmp_path / "out"
    began = time.monotonic()
    found = checked(out, 100, "machine", "suite", "parity", "kernel")
    assert found == {
        "machine": "done", "suite": "failed", "parity": "over its time", "kernel": "failed",
    }  # fmt: skip
    assert 1 <= time.monotonic() - began < 30
    gone(pid)  # what a part had started has ended with it
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


def test_time_is_kept_for_later_parts(pretending, tmp_path: Path) -> None:
    pretending(cuda=True)
    from gpu.parts import Part
    from gpu.runner import Request, Runner

    parts = [Part("suite", "", 1), Part("machine", "", 1, kept=20)]
    outcomes = Runner(Request(tmp_path / "out", parts, 25)).run()
    assert [one.status for one in outcomes] == ["no time left", "done"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_found_outlives_the_runner(pretending, tmp_path: Path, ending: int) -> None:
    pid, out, found = pretending(cuda=True), tmp_path / "out", tmp_path / "out" / "results.json"
    code = "import sys; sys.executable = sys.argv.pop(1); from gpu.__main__ import main; main()"
    command = [REAL, "-c", code, str(tmp_path / "python"), str(out), "--only", "machine", "parity"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as runner:
        while not (found.exists() and '"runs"' in found.read_text()):
            assert runner.poll() is None
            time.sleep(0.02)
        runner.send_signal(ending)
    done, half = json.loads(found.read_text())["parts"]
    assert done["status"] == "done"
    assert half["status"] == ("broken off" if ending == signal.SIGTERM else "runs")
    assert half["rows"] == done["rows"] == [{"a": 1.5, "b": "x|y"}]
    if ending == signal.SIGTERM:
        assert runner.returncode == 1
        gone(pid)
    else:  # what only pretends to be a part does not look after itself
        os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.slow
def test_a_part_ends_when_its_runner_is_killed(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}"}
    command = [sys.executable, "-m", "gpu", str(tmp_path), "--part", "machine"]
    part = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, start_new_session=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert part.stdin is not None
    part.stdin.close()  # as if its runner were gone
    assert part.wait(60) == -signal.SIGKILL


def test_results_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = os.environ | {"PYTHON": sys.executable}
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        command = ["bash", str(ROOT / "scripts" / "gpu_check.sh"), str(out)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr.startswith("gpu_check: the results cannot be written: ")
        assert done.stderr.count("\n") == 1


def test_the_parts_are_there_and_fit_into_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from gpu.__main__ import BUDGET
    from gpu.parts import PARTS
    from gpu.runner import ASKING_SECONDS, LEAST_SECONDS

    assert all((ROOT / "benchmarks" / "gpu" / f"{part.name}.py").is_file() for part in PARTS)
    assert BUDGET + 20 <= 470 < 8 * 60 - 5  # the shell's own limit
    script = (ROOT / "scripts" / "gpu_check.sh").read_text()
    assert "timeout --kill-after=5 $((470 - SECONDS)) " in script
    # Whatever the others do, there are two minutes for training, and something for each.
    first, *others = PARTS
    assert others[-1].name == "learning" and others[-1].kept == 120
    assert all(LEAST_SECONDS < part.kept <= part.seconds for part in others)
    assert ASKING_SECONDS + first.seconds + sum(part.kept for part in others) < BUDGET


@pytest.mark.slow
def test_the_script_ends_well_without_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHON": sys.executable}
    # Without what tells of the machine, which is tested by itself and takes a while.
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from gpu.parts import PARTS

    names = [part.name for part in PARTS if part.name != "machine"]
    command = ["bash", "scripts/gpu_check.sh", str(tmp_path / "out"), "--only", *names]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads((tmp_path / "out" / "results.json").read_text())["parts"]
    assert [part["name"] for part in parts] == names and {part["status"] for part in parts} == {
        "no CUDA"
    }
