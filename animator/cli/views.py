"""Views of an object on the command line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from animator.cli import options as opt
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.views.turntable import read_view_path, seen_from, turntable
from animator.weights.library import for_spec, list_weights
from animator.weights.subjects import check_weights
from gfla.config import ViewSynthesisConfig

Photo = Annotated[str, typer.Argument(metavar="PHOTO", help="The picture of the object.")]
Views = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help='JSON with the views in their order: {"views": [[AZIMUTH, ELEVATION], ...]}. '
        "\\[default: once around at 0, 10 and 20 degrees]",
        show_default=False,
    ),
]
Azimuth = Annotated[
    int,
    typer.Option(metavar="DEGREES", help="From which side the photo shows it: 0, 20, ... 340."),
]
Elevation = Annotated[
    int, typer.Option(metavar="DEGREES", help="From which height the photo shows it: 0, 10, 20.")
]
WITHOUT = ("detector", "source_motion", "audio", "start", "end")
"""Options that are of no use where nothing is filmed."""
NAMED = "turntable.json"
"""What the file of the default views is called, and so are results without a name."""


def views_here(
    photo: str,
    views: Path | None,
    azimuth: int,
    elevation: int,
    output: str | None,
    *,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show an object from other sides, in this process, and say what came of it."""
    if views is not None and (azimuth or elevation):
        message = '--azimuth and --elevation are in the file of --views, as "source".'
        raise AnimatorError("invalid_option", message)
    from animator.cli.jobs import run_here

    settings = Settings.from_environment()
    _require_views(options["weights"], settings)
    if views is not None:
        read_view_path(views)  # what is wrong with it is told before anything is loaded
        spec = opt.make_spec(photo, str(views), output, **options)
        run_here(spec, settings, overwrite=overwrite, as_json=as_json)
        return
    path = turntable(seen_from(azimuth, elevation))
    with tempfile.TemporaryDirectory(prefix="animator-views-") as folder:
        file = Path(folder) / NAMED
        file.write_text(path.to_json(), encoding="utf-8")
        spec = opt.make_spec(photo, str(file), output, **options)
        run_here(spec, settings, overwrite=overwrite, as_json=as_json)


def _require_views(weights: str, settings: Settings) -> None:
    """Refuse weights that are for something else, such as the ones that are shipped."""
    if check_weights(for_spec(weights, settings), settings) == "object":
        return
    there = [w.name for w in list_weights(settings) if w.kind == ViewSynthesisConfig.kind]
    known = f"the library has {', '.join(there)}" if there else "the library has none"
    raise AnimatorError(
        "weights_wrong_kind",
        f"Views of an object need weights for view synthesis, and {weights!r} are for something "
        f"else: name some with --weights ({known}). `animator weights import FILE` brings in a "
        "published model, or one that was trained with `animator train`.",
    )
