"""Write docs/cli.md from the commands themselves. A test checks that the file is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer.main

from animator.cli import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

HEAD = """\
# The command `animator`

<!-- Written by scripts/generate_cli_docs.py; change the help texts in animator/cli instead. -->

Results go to standard output: the path of the video, a table, or with `--json` one JSON document.
Progress, notes and errors go to standard error. An error is one line, `error [code]: sentence`;
[errors.md](errors.md) lists the codes.

| exit status | meaning |
|---|---|
| 0 | it worked; after `submit --wait`, the job succeeded |
| 1 | it did not; the error says why |
| 2 | wrong usage: an unknown option or command |
| 130, 143, 129 | stopped by Ctrl-C, SIGTERM or SIGHUP: no video; a job waited for is cancelled |
"""


def page() -> str:
    """The whole page."""
    group: Any = typer.main.get_command(app)
    return HEAD + "".join(_entry(name, item) for name, item in group.commands.items())


def _entry(name: str, item: Any) -> str:
    """A command, or a group of them with a line of its own."""
    if not hasattr(item, "commands"):
        return _command(name, item)
    parts = [_command(f"{name} {verb}", command) for verb, command in item.commands.items()]
    # A group with options of its own is a command, too.
    own = _command(name, item) if item.params else "\n".join(["", f"## {name}", "", item.help, ""])
    return own + "".join(part.replace("## ", "### ", 1) for part in parts)


def _command(name: str, command: Any) -> str:
    arguments = [item for item in command.params if not item.opts[0].startswith("-")]
    options = [item for item in command.params if item.opts[0].startswith("-")]
    usage = " ".join(["animator", name, *(item.metavar for item in arguments), "[OPTIONS]"])
    lines = ["", f"## {name}", "", command.help, "", "```", usage, "```", ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| `{item.metavar}` | {_cell(item.help)} |" for item in arguments]
    lines += [f"| {_option(item)} | {_cell(item.help)}{_default(item)} |" for item in options]
    return "\n".join([*lines, ""])


def _option(item: Any) -> str:
    names = [*item.opts, *item.secondary_opts]
    value = f" {item.metavar}" if item.metavar else ""
    return ", ".join(f"`{name}{value}`".replace("|", "\\|") for name in names)


def _cell(text: str) -> str:
    return text.replace("\\[", "[").replace("|", "\\|")


def _default(item: Any) -> str:
    if item.default is None or item.default is False:
        return ""
    return f" Default: `{item.default}`."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
