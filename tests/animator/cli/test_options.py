"""Every option of a job is written once."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main

from animator.cli import app
from animator.cli.options import OF_THE_FILE, make_spec, read_values
from animator.dataset.manifest.cells import RowDefaults
from animator.dataset.options import RunOptions
from animator.dataset.samples import COLUMNS, Sample
from animator.errors import AnimatorError
from animator.spec import OPTIONS, JobOptions, JobSpec

REPOSITORY = Path(__file__).parents[3]
DOCS = REPOSITORY / "docs"
FILES = {"source", "driving", "output"}
OF_A_CALL = {"output", "device", "key", "webhook"}
"""Options that say nothing about the samples of a data set."""


def names(kind: type) -> set[str]:
    return {item.name for item in fields(kind)}


OF_THE_FARM = names(JobOptions) - {"overwrite", "owner"}
"""How a job is treated; whether it may replace a file is the option --force of each command, and
whose it is a server says."""


def offered(command: str) -> dict[str, Any]:
    """The options of a command, by the names of its parameters."""
    group: Any = typer.main.get_command(app)
    return {item.name: item for item in group.commands[command].params}


@pytest.mark.parametrize(
    ("command", "without"),
    [
        ("submit", set()),
        ("run", OF_THE_FARM),
        ("batch", {"key", "webhook"}),
        ("explain", OF_THE_FARM | {"output_mode", *OF_THE_FILE}),
    ],
)
def test_commands_have_all_options(command: str, without: set[str]) -> None:
    there = offered(command)
    assert set(OPTIONS) - set(there) - FILES == without
    for name in set(OPTIONS) - without - FILES:
        option = OPTIONS[name]
        default = [option.default] if there[name].multiple else option.default
        assert (there[name].help, there[name].default) == (option.help, default)
        assert there[name].opts == [f"--{name.replace('_', '-')}"]


def test_faces_may_be_given_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def made(driving: str | None, *face: str) -> JobSpec:
        return make_spec("a.png", driving, None, weights="default", face=list(face))

    spec = made(None, "2=b.mp4", "1=s3://bucket/c.mp4")
    assert spec.face == f"2={tmp_path}/b.mp4;1=s3://bucket/c.mp4"
    assert spec.driving == f"{tmp_path}/b.mp4"
    assert spec.output == f"{tmp_path}/a--b.mp4"
    assert made("d.mp4", "all", "2=b.mp4").face == made("d.mp4", "2=b.mp4;all").face
    assert (made("d.mp4", "largest").face, made("d.mp4", "2").face) == ("largest", 2)
    for driving, face in ((None, ["all"]), ("d.mp4", ["1", "2"]), ("d.mp4", ["2=b.mp4"])):
        with pytest.raises(AnimatorError) as caught:
            made(driving, *face)
        assert caught.value.code == "invalid_option"


def test_a_data_set_has_all_options() -> None:
    """Each of them once: a row chooses it, or it is the same for the whole run."""
    wanted = set(OPTIONS) - OF_A_CALL
    assert wanted <= set(COLUMNS) | names(RunOptions)
    assert not set(COLUMNS) & names(RunOptions)
    assert set(OPTIONS) & set(COLUMNS) == set(OPTIONS) & names(Sample)
    assert {name for name, option in OPTIONS.items() if option.kind == "location"} == FILES
    assert names(RowDefaults) == (set(COLUMNS) & {*OPTIONS, "seed"}) - FILES


def test_a_table_tells_what_a_form_needs() -> None:
    assert names(JobSpec) | names(JobOptions) >= set(OPTIONS)
    for name, option in OPTIONS.items():
        assert option.name == name and option.help and "\n" not in option.help
        assert bool(option.choices) == (option.kind == "choice")
        if option.kind == "number":
            assert option.minimum is not None and option.maximum is not None
            assert option.minimum <= option.default <= option.maximum
        if option.kind == "choice":
            assert option.default in option.choices


@pytest.mark.parametrize(("text", "size"), [("auto", "auto"), ("300", 300), ("9999", 9999)])
def test_a_size_is_a_word_or_a_number(text: str, size: object) -> None:
    values = {"size": text}
    read_values(values)
    assert values == {"size": size}


@pytest.mark.parametrize("text", ["", "Auto", "12.5", "-2", "large", "9" * 99, "２５６"])
def test_a_size_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(AnimatorError, match="allowed is auto, or an even number from") as error:
        read_values({"size": text})
    assert error.value.code == "invalid_option"


def test_documents_have_all_options() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    table = page.partition("## The options of a job")[2].partition("## ")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(OPTIONS)
    sets = (DOCS / "datasets.md").read_text(encoding="utf-8")
    columns = sets.partition("| column |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", re.sub(r"\|[^|]*\|\n", "\n", columns))) == set(COLUMNS)


ONE_MORE = """
import importlib.util, sys
from pathlib import Path

path = Path(importlib.util.find_spec("animator").origin).with_name("options.py")
text = path.read_text(encoding="utf-8")
begin = text.index("    precision: Precision = option(")
field = '    glow: int = option(3, "How it glows.", LOOK, shown="N", minimum=1, maximum=9)\\n'
spec = importlib.util.spec_from_loader("animator.options", None, origin=str(path))
module = importlib.util.module_from_spec(spec)
sys.modules["animator.options"] = module
exec(compile(text[:begin] + field + text[begin:], str(path), "exec"), module.__dict__)

import typer.main
from animator.cli import app
from animator.dataset.options import RunOptions
from animator.dataset.samples import Sample
from animator.errors import AnimatorError
from animator.spec import JobSpec
from scripts.generate_cli_docs import page

commands = typer.main.get_command(app).commands
for name in ("submit", "run", "batch", "check", "explain", "views"):
    (found,) = [item for item in commands[name].params if item.opts == ["--glow"]]
    assert (found.help, found.default) == ("How it glows.", 3), name
spec = RunOptions(glow=5).spec(Sample("a", 1, "/a", "/b"), "/c")
assert JobSpec.from_json(spec.to_json()).glow == 5
assert RunOptions.from_dict(RunOptions(glow=5).as_dict()).glow == 5
assert page().count("| `--glow N` | How it glows. Default: `3`. |") == 6
assert "| `glow` | number | 1 to 9 | `3` | all rows |" in page()
try:
    RunOptions(glow=10)
except AnimatorError as error:
    print(error.message)
"""


def test_one_more_option_is_one_more_field() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONE_MORE], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout == "glow is 10; allowed is a whole number from 1 to 9.\n", done.stderr
