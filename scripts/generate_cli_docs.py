"""Write docs/cli.md from the commands themselves. A test checks that the file is up to date."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import typer.main

from animator.cli import app
from animator.dataset.samples import COLUMNS
from animator.options import SharedOptions
from animator.spec import OPTIONS
from animator.values import Option

SHARED = [item.name for item in fields(SharedOptions)]
PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

HEAD = """\
# The command `animator`

<!-- Written by scripts/generate_cli_docs.py; change the help texts in the code instead. -->

Results go to standard output: the path of the video, a table, or with `--json` one JSON document.
Progress, notes and errors go to standard error. An error is one line, `error [code]: sentence`;
[errors.md](errors.md) lists the codes.

| exit status | meaning |
|---|---|
| 0 | it worked; after `submit --wait` and `watch JOB...`, the jobs succeeded |
| 1 | it did not; the error says why |
| 2 | wrong usage: an unknown option or command |
| 130, 143, 129 | stopped by Ctrl-C, SIGTERM or SIGHUP |

What is stopped leaves no video behind, and a job that `submit --wait` waits for is cancelled;
`watch`, `logs --follow` and `serve` leave the jobs alone. `train` ends with a checkpoint, and after
SIGTERM with 0.

Where a command takes a job, the first letters of its id do if they are at least four and no other
id begins so. A mistake in one of several ids is told before anything is done to the others.
"""

OPTIONS_HEAD = """
## The options of a job

By the names that they have in `JobSpec`, in JSON and as columns of a [manifest](datasets.md).

| | kind | values | default | in a data set |
|---|---|---|---|---|
"""

TAIL = """
## JSON

Names of fields stay as they are here; later versions may add some. Times are UTC and ISO 8601,
durations are seconds. A command that takes several jobs prints an array; those that could not be
changed are missing there, and standard error says why. A mistake of the command itself gives one
object instead, `{"id": null, "state": null, "output": null, "progress": null, "error": {...}}`, in
which `run` and `submit` say `"state": "failed"`.

**A job**: from `run`, `submit`, `status`, `list`, `watch`, `cancel` and `retry`.

| field | |
|---|---|
| `id` | `null` from `run` |
| `state` | `queued`, `running`, `succeeded`, `failed` or `cancelled` |
| `output` | absolute path of the video |
| `progress` | `stage`, `frame`, `frames`, `fps` and `eta`; `null` for what is not known |
| `error` | `code` (see [errors.md](errors.md)), `message` and `retryable` of a job that failed |
| `attempt` | how often a worker has begun it |
| `priority`, `key`, `webhook` | as submitted |
| `owner` | who submitted it to a server that several use; empty for the command |
| `suspect` | whether it runs in a process of its own, because a worker died with it |
| `crashes` | how many such processes died |
| `lease` | seconds until its worker counts as dead unless it is heard of; `null` unless it runs |
| `resumed` | frames that the present attempt took over from an earlier one |
| `created`, `started`, `finished` | when |
| `worker` | which worker runs it, or ran it last |
| `version` | of the animator that ran it last |
| `frames`, `seconds`, `fps` | of a job that succeeded |
| `timings` | seconds by stage |
| `warnings` | sentences |
| `cached` | inputs whose landmarks another job had found: `source`, `driving`, `driving 2` |
| `quality` | measures of the result, where they were asked for ([data sets](datasets.md)) |
| `missing` | first and last frame of each run of driving frames without a face |
| `hashes` | SHA-256 of the inputs by name |
| `weights` | which made the video |
| `spec` | what was asked for |

`status` without a job adds `queue`, the number of jobs by state, and `workers`, the ids of those
that take jobs.

**A line of `logs`**: `time`, `worker` (empty for what no worker did) and `text`.

**A video of `fetch`**: `id`, `source` (where the job wrote it) and `output` (the copy).

**`queue`**

| field | |
|---|---|
| `queued`, `running` | jobs |
| `depth` | queued jobs by priority: `high`, `normal`, `low` |
| `kinds` | queued jobs by the workers that can run them: `any`, `cpu`, `cuda` |
| `oldest` | when the oldest queued job was submitted |
| `workers`, `slots` | workers that take jobs, and how many jobs these run at once |
| `rates` | for the last `1`, `10` and `60` minutes: `jobs` and `frames` a minute |
| `eta` | seconds until all have ended; `null` if nothing is left or it is not known yet |

**A worker of `workers`**

| field | |
|---|---|
| `id`, `host`, `pid`, `version` | which process it is |
| `since` | when it began |
| `device`, `device_name` | what it computes on; empty until its first job |
| `kind` | `cpu` or `cuda` |
| `slots` | jobs that it runs at once |
| `jobs` | ids of those that it runs |
| `fps` | frames a second of all of them, lately |
| `memory_mb` | of its process, in MiB |
| `queues` | where it takes jobs from |
| `consuming` | whether it takes new jobs |

**`purge`**: `purged` (how many) and `before` (what had ended by then).
"""


def page() -> str:
    """The whole page."""
    group: Any = typer.main.get_command(app)
    commands = "".join(_entry(name, item) for name, item in group.commands.items())
    return HEAD + commands + OPTIONS_HEAD + "".join(map(_row, OPTIONS.values())) + TAIL


def _row(option: Option) -> str:
    """An option of a job in the table of all."""
    values = option.shown
    if option.kind == "number":
        values = f"{option.minimum:g} to {option.maximum:g}" + ", even" * (option.step == 2)
    default = "" if option.default is None else f"`{option.default}`"
    where = "each row" if option.name in COLUMNS else ""
    where = "all rows" if option.name in SHARED else where
    cells = (f"`{option.name}`", option.kind, values.strip("[]"), default, where)
    return f"| {' | '.join(cell.replace('|', ', ') for cell in cells)} |\n"


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
