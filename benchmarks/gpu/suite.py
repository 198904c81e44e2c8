"""The tests that are marked as needing a GPU, in pytest."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from gpu.parts import Setting
from gpu.sheet import Sheet

ROOT = Path(__file__).parents[2]
REPORT_SECONDS = 8.0
"""What is left to pytest for its report when it is stopped."""
_MARK = "pytest.mark.gpu"


def measure(setting: Setting, sheet: Sheet) -> None:
    """Run them, and tell of each."""
    files = marked_files()[-1 if setting.small else 0 :]
    found = setting.folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
    # A file whose packages are missing here must not take the others along.
    command += ["--continue-on-collection-errors", f"--junit-xml={found}", *map(str, files)]
    status = tested(command, setting.seconds - REPORT_SECONDS, sheet)
    if not found.exists():
        sheet.fault(f"pytest ended with status {status} and without a report")
        return
    for case in ElementTree.parse(found).iter("testcase"):
        outcome, why = _outcome(case)
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        sheet.row(test=name, outcome=outcome, s=float(case.get("time", 0)), why=why)
        if outcome == "failed":
            sheet.fault(f"{name} failed: {why}")
        elif outcome == "skipped" and setting.cuda:
            sheet.note(f"Not tested here: {name}, {why}")
    if not sheet.rows:
        sheet.fault("no test was found")


def tested(command: list[str], seconds: float, sheet: Sheet) -> int:
    """Run pytest, which reports on what it has done when it is stopped; gives its status."""
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        return process.wait(max(seconds, 1))
    except subprocess.TimeoutExpired:
        sheet.fault(f"stopped after {seconds:.0f} s: not all tests were run")
        process.send_signal(signal.SIGINT)
        return process.wait()


def marked_files() -> list[Path]:
    """The files with such tests; others are not even imported."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path for path in files if _MARK in path.read_text(encoding="utf-8")]


def _outcome(case: ElementTree.Element) -> tuple[str, str]:
    for tag, outcome in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        element = case.find(tag)
        if element is not None:
            return outcome, (element.get("message") or "")[:200]
    return "passed", ""
