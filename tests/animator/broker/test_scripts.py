"""Lua scripts: their legends, their files in the packages, and the names of their arguments."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from animator.broker.scripts import LuaScript, LuaScripts
from animator.jobs.scripts import SCRIPTS
from animator.jobs.store import JobStore
from worker.outbox import Outbox

REPOSITORY = Path(__file__).parents[3]
PACKAGES = {"animator.jobs": SCRIPTS, "worker": Outbox.scripts}
ALL = [(package, name) for package, scripts in PACKAGES.items() for name in scripts.names()]

LEGEND = """-- Does something.
-- Returns nil.
local id     = ARGV[1] -- of the job
local fields = tail(2)

return {id, unpack(fields)}
"""


def test_the_files_are_in_the_packages() -> None:
    assert (files("animator.broker") / "lua" / "preamble.lua").is_file()
    assert (files("animator.jobs") / "lua" / "common.lua").is_file()
    assert {"claim", "create", "leave", "reap"} < set(SCRIPTS.names())
    assert Outbox.scripts.names() == ["postpone", "take"]


@pytest.mark.parametrize(("package", "name"), ALL)
def test_every_script_begins_with_a_legend(package: str, name: str) -> None:
    text = (files(package) / "lua" / f"{name}.lua").read_text("utf-8")
    comment = list(itertools.takewhile(lambda line: line.startswith("-- "), text.splitlines()))
    assert len(comment) >= 2 and any(line.startswith("-- Returns ") for line in comment)
    head, _, rest = text.partition("\n\n")
    assert [line for line in head.splitlines() if not line.startswith(("-- ", "local "))] == []
    assert "ARGV" not in rest and "tail(" not in rest, "an argument that is not taken by name"
    arguments = PACKAGES[package].load(name).arguments
    assert len(arguments) == len(head.splitlines()) - len(comment)


@pytest.mark.parametrize(("package", "name"), ALL)
def test_redis_understands_every_script(package: str, name: str, store: JobStore) -> None:
    source = "local PREFIX = ''\n" + PACKAGES[package].load(name).source
    assert len(store.client.script_load(source)) == 40


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Where the program runs scripts: the place, the script, and what it is given."""
    for folder in ("animator", "worker"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "_run"
                    and node.args
                    and isinstance(name := node.args[0], ast.Constant)
                ):
                    given = {word.arg or "**" for word in node.keywords} - {"client"}
                    yield f"{folder}/{path.name}:{node.lineno}", name.value, given


def test_every_call_gives_what_the_script_takes_and_every_script_is_called() -> None:
    scripts = {name: PACKAGES[package].load(name) for package, name in ALL}
    found = list(calls())
    assert {name for _, name, _ in found} == set(scripts)
    for place, name, given in found:
        assert given == set(scripts[name].arguments), place


def test_arguments_go_by_name() -> None:
    script = LuaScript("some", LEGEND)
    assert script.arguments == ("id", "fields")
    assert script.in_order({"fields": ["a", 1], "id": "x"}) == ["x", "a", 1]
    assert script.in_order({"fields": (), "id": "x"}) == ["x"]
    for wrong in ({"id": "x"}, {"id": "x", "fields": [], "more": 1}, {"id": "x", "field": []}):
        with pytest.raises(TypeError, match=r"some.lua takes \(id, fields\)"):
            script.in_order(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "local one = ARGV[2]\n",
        "local one = ARGV[1]\nlocal two = ARGV[1]\n",
        "local one = tail(1)\nlocal two = ARGV[2]\n",
    ],
)
def test_arguments_are_taken_in_their_order(text: str) -> None:
    with pytest.raises(ValueError, match="in their order"):
        LuaScript("some", text)


def test_a_wrong_name_is_an_error_at_the_call(store: JobStore) -> None:
    with pytest.raises(TypeError, match=r"cancel.lua takes \(id, time\), and was given \(id\)"):
        store._run("cancel", id="some")
    with pytest.raises(FileNotFoundError):
        store._run("no-such-script", id="some")


def test_more_values_than_lua_can_unpack(store: JobStore) -> None:
    job = [f"job-{number}" for number in range(20_000)]
    assert store._run("remove", time="", ids=job) == 0


def test_constants_come_first() -> None:
    scripts = LuaScripts("worker", ANSWER=42)
    assert scripts.load("take").source.startswith("local ANSWER = 42\n")
