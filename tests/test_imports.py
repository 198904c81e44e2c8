"""Who may import whom, and what may be imported at the start of a command."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

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
    "animator.cli.motion",
    "animator.cli.farm.listing",
    "animator.cli.farm.logs",
    "animator.cli.farm.overview",
    "animator.cli.pose",
    "animator.cli.views",
    "animator.cli.verify",
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


def load_floor_plan() -> ModuleType:
    path = REPOSITORY / "scripts" / "draw_packages.py"
    spec = importlib.util.spec_from_file_location("draw_packages", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLAN = load_floor_plan()


def test_packages_import_downwards() -> None:
    floor = {name: number for number, names in enumerate(PLAN.FLOORS) for name in names}
    upward = {
        f"{one} -> {other}": sorted(modules)
        for (one, other), modules in PLAN.package_imports().items()
        if floor[one] >= floor[other]
    }
    assert not upward


def test_no_module_is_part_of_a_circle() -> None:
    """Not even by an import within a function, or for a type alone."""
    left = {name: set(targets) for name, targets in PLAN.module_imports().items()}
    # The public face names what is above it, lazily; its version is all that modules take from it.
    left.pop("animator")
    while free := [name for name in left if not left[name] & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"these are, or lead into one: {sorted(left)}"


def test_the_top_level_holds_plain_values_alone() -> None:
    names = {path.stem for path in (REPOSITORY / "animator").glob("*.py")}
    plain = {
        "record",
        "spec",
        "options",
        "formats",
        "moving_faces",
        "settings",
        "values",
        "errors",
        "watch",
        "sandbox",
    }
    assert names == plain | {"__init__", "__main__"}


def test_the_page_of_the_architecture_is_up_to_date() -> None:
    message = "run: python scripts/draw_packages.py"
    assert PLAN.PAGE.read_text(encoding="utf-8") == PLAN.page(), message
    assert PLAN.PICTURE.read_text(encoding="utf-8") == PLAN.picture(), message


def test_the_page_of_the_architecture_names_files_that_are_there() -> None:
    text = PLAN.PAGE.read_text(encoding="utf-8")
    places = [REPOSITORY, REPOSITORY / "animator"]
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py))`", text):
        assert any((place / name).exists() for place in places) or "/" not in name, name


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
