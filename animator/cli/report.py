"""`animator report`: a page that shows a run of `animator batch`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from animator.cli.console import making_command, print_path
from animator.errors import AnimatorError
from animator.files.local import check_suffix
from animator.settings import Settings
from animator.values import plain_location


@making_command
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder or URL of the run.")],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write the page, .html."),
    ] = "report.html",
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace the file if it exists.")
    ] = False,
) -> None:
    """Draw a run as one page: progress, failures, quality, best and worst samples.

    A page that this command drew before is replaced.
    """
    from animator.dataset.report.write import is_report, write_report
    from animator.files.output import check_output

    path = os.path.abspath(output)
    check_suffix(path, (".html", ".htm"))
    if os.path.exists(path) and not force and not is_report(path):
        raise AnimatorError(
            "output_exists", f"{path!r} exists and is no page of a run; --force replaces it."
        )
    check_output(path)
    write_report(plain_location(run), path, Settings.from_environment())
    print_path(path)
