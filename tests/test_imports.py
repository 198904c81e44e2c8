"""Who may import whom, and what may be imported at the start of a command."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

FORBIDDEN = {
    "gfla": {"animator", "worker", "celery", "kombu", "redis", "av", "typer"},
    "animator": {"worker", "celery", "kombu"},
    "worker": {"torch", "cv2", "av", "typer"},
}

LIGHT = (
    "animator.checks.job",
    "animator.cli",
    "animator.cli.farm.change",
    "animator.cli.check",
    "animator.cli.explain",
    "animator.cli.farm.fetch",
    "animator.cli.jobs",
    "animator.cli.farm.listing",
    "animator.cli.farm.logs",
    "animator.cli.farm.overview",
    "animator.cli.pose",
    "animator.cli.farm.purge",
    "animator.cli.farm.status",
    "animator.cli.farm.watch",
    "animator.jobs.client",
    "animator.errors",
    "animator.settings",
    "animator.spec",
    "animator.jobs.store",
    "worker",
    "worker.tasks",
    "worker.dispatch",
)
HEAVY = ("torch", "torchvision", "cv2", "dlib", "av", "face_alignment", "scipy", "skimage")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} has a relative import"
            yield node.module or ""


@pytest.mark.parametrize("package", FORBIDDEN)
def test_directions(package: str) -> None:
    files = sorted((REPOSITORY / package).rglob("*.py"))
    assert files
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in files
        for name in imported(path)
        if name.split(".")[0] in FORBIDDEN[package]
    ]
    assert not wrong


def test_model_files_wheel_is_never_imported() -> None:
    """`face_recognition_models` needs pkg_resources, which newer Pythons lack."""
    files = [path for name in FORBIDDEN for path in (REPOSITORY / name).rglob("*.py")]
    assert not [path for path in files if "face_recognition_models" in set(imported(path))]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_stay_light(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.strip() == ""
