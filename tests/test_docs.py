"""The documents say what is so."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer.main

from animator.cli import app
from animator.settings import Settings
from animator.web.settings import ServerSettings

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]


def test_the_page_of_commands_is_up_to_date() -> None:
    path = REPOSITORY / "scripts" / "generate_cli_docs.py"
    spec = importlib.util.spec_from_file_location("generate_cli_docs", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == module.page(), "run: python scripts/generate_cli_docs.py"


def every_command(group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield name, command
        if hasattr(command, "commands"):
            yield from ((f"{name} {verb}", item) for verb, item in every_command(command))


def test_every_command_and_option_has_help() -> None:
    for name, command in every_command(typer.main.get_command(app)):
        assert command.help, name
        for item in command.params:
            assert item.help, f"{name} {item.opts}"


def test_readme_commands_exist() -> None:
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    shown = set(re.findall(r"^animator (\w+)", README, re.MULTILINE))
    assert shown and shown <= known
    for script in set(re.findall(r"bash (scripts/\S+\.sh)", README)):
        assert (REPOSITORY / script).is_file()


def test_readme_python_compiles() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compile(code, "README.md", "exec")
    imports = "\n".join(line for line in code.splitlines() if line.startswith("from "))
    subprocess.run([sys.executable, "-c", imports], check=True, cwd=REPOSITORY)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_setting_is_documented() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(ANIMATOR_\w+)`", page, re.MULTILINE))
    known = {f"ANIMATOR_{item.name.upper()}" for item in fields(Settings)}
    assert documented == known | {
        f"ANIMATOR_SERVE_{item.name.upper()}" for item in fields(ServerSettings)
    }


def test_every_equation_of_the_paper_has_a_place() -> None:
    page = (REPOSITORY / "gfla" / "README.md").read_text(encoding="utf-8")
    placed: set[int] = set()
    for first, last in re.findall(r"eq\. (\d+)(?:-(\d+))?", page):
        placed |= set(range(int(first), int(last or first) + 1))
    assert placed == set(range(1, 16))
    for path in set(re.findall(r"`((?:\w+/)+\w+\.\w+)`", page)):
        places = (REPOSITORY / "gfla" / path, REPOSITORY / path)
        assert any(place.exists() for place in places), path


PAPER_TABLES = """
Def-GAN 18.457 0.2330 9.12 25.364 0.2994 0.1496 23.33 82.08
VU-Net 23.667 0.2637 2.96 20.144 0.3211 0.1747 24.48 139.36
Pose-Attn 20.739 0.2533 6.11 22.657 0.3196 0.1590 16.56 41.36
Intr-Flow 16.314 0.2131 12.61 27.163 0.2888 0.1403 30.85 49.58
model 10.573 0.2341 24.80 19.751 0.2817 0.1482 27.81 14.04
Baseline 16.008 0.2473
Global-Attn 18.616 0.2575
Bi-Sample 12.143 0.2406
Model 10.573 0.2341
"""
"""Tables 1 and 2 of the paper, and the last word of each row's name here."""


def test_the_papers_tables_stand_beside_ours() -> None:
    page = (REPOSITORY / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for row in PAPER_TABLES.strip().splitlines():
        name, *figures = row.split()
        (found,) = [line for line in rows if line.split("|")[1].split()[-1] == name]
        assert re.findall(r"\d+\.\d+", found) == figures, name
    assert "user study" in page and "competitors" in page


def test_scripts_are_valid_bash() -> None:
    scripts = [*(REPOSITORY / "scripts").glob("*.sh"), REPOSITORY / ".ci" / "run"]
    for script in scripts:
        subprocess.run(["bash", "-n", script], check=True)
