"""The tests that are marked as needing a GPU, in pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from gpu.parts import Setting
from gpu.sheet import Sheet

ROOT = Path(__file__).parents[2]
_MARK = "pytest.mark.gpu"


def measure(setting: Setting, sheet: Sheet) -> None:
    """Run them, and tell of each."""
    files = marked_files()[-1 if setting.small else 0 :]
    found = setting.folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
    # A file whose packages are missing here must not take the others along.
    command += ["--continue-on-collection-errors", f"--junit-xml={found}", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, timeout=setting.seconds)
    if not found.exists():
        sheet.fault(f"pytest ended with status {done.returncode} and without a report")
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
