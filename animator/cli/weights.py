"""`animator weights`: bring weights in, list them, check them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from animator.cli.console import (
    command,
    making_command,
    print_json,
    print_path,
    print_table,
    printable,
    say,
    show_error,
)
from animator.cli.options import complete_weights
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.weights.library import WeightsInfo, list_weights, weights_names

app = typer.Typer(
    help="Bring in published weights, list those that are there, check them.",
    no_args_is_help=True,
)


@app.command("import")
@making_command
def import_(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A published *_net_G.pth file, or a checkpoint of this project."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What --weights shall call it: letters, digits, dots, hyphens, underscores. "
            "\\[default: after the file]",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace weights of this name.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
) -> None:
    """Convert a file of weights and put it into the library. Nothing in the file is executed."""
    from animator.weights.importing import import_weights

    info = import_weights(path, name, settings=Settings.from_environment(), force=force)
    if as_json:
        print_json(info.as_dict())
        return
    say(f"{info.name}: {info.purpose}, {info.parameters:,} parameters, SHA-256 {info.sha256}")
    print_path(info.path)


@app.command("list")
@command
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array on standard output.")
    ] = False,
) -> None:
    """List the weights that are there, those that are shipped first."""
    found = list_weights(Settings.from_environment())
    if as_json:
        print_json([info.as_dict() for info in found])
    else:
        _show_table(found)


@app.command()
@making_command
def remove(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Which weights of the library.", autocompletion=complete_weights
        ),
    ],
) -> None:
    """Remove weights from the library. Jobs that wait and name them fail then."""
    from animator.weights.library import remove as remove_weights

    remove_weights(name, Settings.from_environment())
    say(f"{name} was removed")


@app.command()
@command
def verify(
    weights: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|PATH]",
            help="Which weights; else all that are there.",
            autocompletion=complete_weights,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array on standard output.")
    ] = False,
) -> None:
    """Check weights: SHA-256 against the import's, every tensor, and a small picture."""
    settings = Settings.from_environment()
    results = [_verified(name, settings) for name in [weights] if name is not None] or [
        _verified(name, settings) for name in weights_names(settings)
    ]
    if as_json:
        print_json(results)
    for result in results:
        if result["error"] is not None:
            show_error(result["error"]["code"], result["error"]["message"])
        elif not as_json:
            print(f"{printable(result['name'])}: sound, SHA-256 {result['sha256']}")
    if any(result["error"] is not None for result in results):
        raise typer.Exit(1)


def _verified(name: str, settings: Settings) -> dict[str, Any]:
    from animator.weights.importing import verify

    try:
        info = verify(name, settings)
    except AnimatorError as error:
        what = {"code": error.code, "message": error.message}
        return {"name": name, "sound": False, "sha256": None, "error": what}
    return {"name": name, "sound": True, "sha256": info.sha256, "error": None}


def _show_table(found: list[WeightsInfo]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "KIND", "PARAMETERS", "SIZE", "SHA-256", "FROM"):
        right = title in ("PARAMETERS", "SIZE")
        # On a narrow terminal all give way but the name, which has to be typed.
        table.add_column(
            title, no_wrap=title == "NAME", overflow="fold", justify="right" if right else "left"
        )
    for info in found:
        cells = (
            info.name,
            info.purpose or "unknown",
            f"{info.parameters:,}",
            f"{info.size / 1e6:.1f} MB",
            (info.sha256 or "")[:12],
            _origin(info),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    print_table(table)


def _origin(info: WeightsInfo) -> str:
    if info.problem is not None:
        return f"problem: {info.problem}"
    if info.imported is None:
        return f"shipped, {info.source_file}"
    return f"{info.source_file}, {info.imported[:10]}"
