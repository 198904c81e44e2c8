"""`animator serve` and `animator token`: the server, and who may use it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from animator.cli.console import command, say
from animator.errors import AnimatorError
from animator.settings import Settings

TokenFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Hashes of the tokens that may be used."),
]


@command
def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Listen there. \\[default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Listen there. \\[default: 8420]"),
    ] = None,
    token_file: TokenFile = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Never start a worker, even where there is none.")
    ] = False,
    root_path: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="What a proxy in front puts before all paths."),
    ] = None,
) -> None:
    """Serve a page and an API: drop two files, watch the video come."""
    with _extra():
        from animator.web.server import serve as serve_here
        from animator.web.settings import ServerSettings
    settings = Settings.from_environment()
    server = ServerSettings.from_environment(
        settings,
        host=host,
        port=port,
        token_file=_absolute(token_file),
        worker=False if no_worker else None,
        root_path=root_path,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    serve_here(settings, server, lambda address: say(f"animator is at {address}"))


@command
def token(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Whose it is; owns what is made with it.")
    ],
    token_file: Annotated[
        Path, typer.Option(metavar="FILE", help="Where its hash goes; made if it is not there.")
    ],
    all_jobs: Annotated[
        bool, typer.Option("--all", help="Lets its owner see what others own, too.")
    ] = False,
) -> None:
    """Make a token for the server, and print it; only its hash is kept."""
    with _extra():
        from animator.web.access.tokens import add_token
    print(add_token(Path(os.path.abspath(token_file)), name, sees_all=all_jobs), flush=True)


@contextmanager
def _extra() -> Iterator[None]:
    """Say what to install where the server's packages are not."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed: pip install 'animator[serve]'"
        raise AnimatorError("missing_package", message) from error


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else Path(os.path.abspath(path.expanduser()))
