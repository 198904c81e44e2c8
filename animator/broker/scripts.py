"""Lua scripts that Redis runs in one step: read from files, called with named arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

Value = str | bytes | int | float

# `local id = ARGV[1]` or `local ids = tail(1)`, at the beginning of a line.
_ARGUMENT = re.compile(r"^local (\w+) += (?:ARGV\[(\d+)\]|tail\((\d+)\))", re.MULTILINE)
_NO_SCRIPTS = ("preamble.lua", "common.lua")


class LuaScript:
    """A script, and the names of its arguments in their order.

    It begins with a comment: what it does, and what it returns. Then it takes its arguments by
    name; the last may stand for any number of values:

        local id     = ARGV[1] -- of the job
        local fields = tail(2) -- name, value, name, value, ...

    Args:
        name: for messages.
        text: what is in its file.
        before: what Redis is told before that.

    Raises:
        ValueError: if the arguments are not taken in their order.
    """

    def __init__(self, name: str, text: str, before: str = "") -> None:
        found = _ARGUMENT.findall(text)
        numbers = [int(one or first) for _, one, first in found]
        # Numbers that are wrong would give a script the value of another argument.
        if numbers != [*range(1, len(found) + 1)] or any(first for _, _, first in found[:-1]):
            raise ValueError(f"{name}.lua does not take its arguments in their order")
        self.name, self.source = name, before + text
        self.arguments = tuple(argument for argument, _, _ in found)
        self._several = bool(found and found[-1][2])

    def in_order(self, given: Mapping[str, Value | Sequence[Value]]) -> list[Any]:
        """The arguments as the script takes them.

        Args:
            given: them by name; a sequence for one that stands for any number of values.

        Raises:
            TypeError: if one is missing, or is none of this script's.
        """
        if given.keys() != set(self.arguments):
            wanted, got = ", ".join(self.arguments), ", ".join(given)
            raise TypeError(f"{self.name}.lua takes ({wanted}), and was given ({got})")
        values: list[Any] = [given[argument] for argument in self.arguments]
        return [*values[:-1], *values[-1]] if self._several else values


class LuaScripts:
    """The scripts of a package, which lie in its folder `lua`.

    Before each of them come the constants, `preamble.lua` of this package, and `common.lua` of the
    package's own if there is one.

    Args:
        package: its name.
        constants: numbers that the scripts know by these names, as they know `PREFIX`.
    """

    def __init__(self, package: str, **constants: int) -> None:
        self._folder = files(package) / "lua"
        self._constants = constants
        self._loaded: dict[str, LuaScript] = {}

    def names(self) -> list[str]:
        """Names of the scripts."""
        found = {entry.name for entry in self._folder.iterdir()}.difference(_NO_SCRIPTS)
        return sorted(name.removesuffix(".lua") for name in found)

    def load(self, name: str) -> LuaScript:
        """A script; its file is read once."""
        if name not in self._loaded:
            text = (self._folder / f"{name}.lua").read_text("utf-8")
            self._loaded[name] = LuaScript(name, text, self._before())
        return self._loaded[name]

    def _before(self) -> str:
        parts = [f"local {name} = {value}\n" for name, value in self._constants.items()]
        parts.append((files(__package__) / "lua" / "preamble.lua").read_text("utf-8"))
        common = self._folder / "common.lua"
        if common.is_file():
            parts.append(common.read_text("utf-8"))
        return "".join(parts)
