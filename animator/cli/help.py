"""Help of commands: groups of them, and what an option takes, without what says nothing."""

from __future__ import annotations

import functools
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

ANIMATE, QUEUE, DATA = "Animate", "The queue", "Data sets"
MODELS, MACHINE = "Models", "This machine"
_SHORT = 15
"""Letters of a list of choices that fits into a line even where there is little room."""


class _Plain:
    """Parameters of which no type is shown where there is no value to give."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters of the command."""
        params = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            param.display_type_rich = functools.partial(_shown, param)
        return list(params)


def _shown(param: Any, ctx: Any) -> str | None:
    """What is shown of a parameter's value; it may be broken between choices, not within one."""
    if param.param_type_name == "argument" or getattr(param, "is_flag", False):
        return None
    metavar: str | None = param.metavar
    if metavar is None:
        return str(param.display_type(ctx))
    return metavar.replace("|", "| ") if len(metavar) > _SHORT else metavar


class PlainCommand(_Plain, TyperCommand):
    """A command with such help."""


class PlainGroup(_Plain, TyperGroup):
    """A group of commands with such help."""


def plain_help(app: typer.Typer) -> None:
    """Give all commands of an application such help."""
    app.info.cls = PlainGroup
    for command in app.registered_commands:
        command.cls = PlainCommand
    for group in app.registered_groups:
        group.cls = PlainGroup
        if group.typer_instance is not None:
            plain_help(group.typer_instance)
