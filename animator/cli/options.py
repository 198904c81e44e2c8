"""Options that commands share, and the specification of a job made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import typer

from animator import options as job
from animator.errors import AnimatorError
from animator.files.local import free_names
from animator.moving_faces import MovingFaces
from animator.settings import Settings
from animator.spec import OPTIONS, JobSpec
from animator.values import Location, Option, plain_location
from animator.weights.library import for_spec, weights_names

StateName = Literal["queued", "running", "succeeded", "failed", "cancelled"]
EndedState = Literal["succeeded", "failed", "cancelled"]


def one_of(choice: object) -> str:
    """How help shows the values of a `Literal`."""
    return f"[{'|'.join(get_args(choice))}]"


Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help=OPTIONS["source"].help),
]
Driving = Annotated[
    str | None,
    typer.Argument(
        metavar="DRIVING",
        help=f"{OPTIONS['driving'].help} It is left out where --face names a file for each face.",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help=f"{OPTIONS['output'].help} "
        "\\[default: SOURCE--DRIVING.mp4 in this folder, never replacing a file]",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace the output if it exists.")]
State = Annotated[
    StateName | None, typer.Option(metavar=one_of(StateName), help="Only jobs in this state.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


OF_THE_FILE = ("audio", "codec", "crf", "preset", "pixel_format")
"""Options of how a result is written, for commands that write none."""


def complete_weights(incomplete: str) -> list[str]:
    """Names of weights for the shell's completion."""
    try:
        names = weights_names(Settings.from_environment())
    except (AnimatorError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def _listed(name: str) -> Any:
    """An option of a job as Typer takes it."""
    option = OPTIONS[name]
    # A range of even numbers is more than Typer can check; the specification does.
    plain = option.kind == "number" and option.step in (None, 1)
    return typer.Option(
        metavar=option.shown or None,
        help=option.help,
        min=option.minimum if plain else None,
        max=option.maximum if plain else None,
        autocompletion=complete_weights if name == "weights" else None,
        rich_help_panel=option.group or None,
    )


Device = Annotated[str, _listed("device")]
Precision = Annotated[job.Precision, _listed("precision")]
Detector = Annotated[job.Detector, _listed("detector")]
Start = Annotated[str | None, _listed("start")]
End = Annotated[str | None, _listed("end")]

Command = TypeVar("Command", bound=Callable[..., None])


def job_options(*kinds: type, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the options of a job; it takes them as `**options`, by their names.

    Args:
        kinds: whose options: `JobSpec`, `JobOptions`.
        without: names of those that the command has not.
    """
    own = {item.name for kind in kinds for item in fields(kind)} - set(without)

    def add(function: Command) -> Command:
        # Typer reads the signature; `--json` stays the last.
        *before, last = signature(function, eval_str=True).parameters.values()
        assert last.kind is Parameter.VAR_KEYWORD
        after = [before.pop()] if before[-1].name == "as_json" else []
        given = [
            _parameter(option)
            for name, option in OPTIONS.items()
            if name in own and option.kind != "location"  # these are the command's arguments
        ]
        function.__signature__ = Signature([*before, *given, *after])  # type: ignore[attr-defined]
        return function

    return add


def _parameter(option: Option) -> Parameter:
    if option.name == "face":  # may be given again: each time some of its entries
        return Parameter(
            option.name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=[option.default],
            annotation=Annotated[list[str], _listed(option.name)],
        )
    kind: Any = str if option.kind == "text" else option.type
    if option.default is None:
        kind = kind | None
    return Parameter(
        option.name,
        Parameter.POSITIONAL_OR_KEYWORD,
        default=option.default,
        annotation=Annotated[kind, _listed(option.name)],
    )


def read_values(options: dict[str, Any]) -> None:
    """Put what a user means into the place of texts that are a word, a number or a file.

    Raises:
        AnimatorError: `invalid_option`.
    """
    if (face := options.get("face")) is not None:
        text = ";".join(face) if isinstance(face, list) else face
        options["face"] = MovingFaces.parse(text, "--face").located(_file_of_a_face).text
    for name in {"source_face", "driving_face"} & set(options):
        text = options[name]
        if text is None or text == "largest":
            continue
        if not (text.isascii() and text.isdigit()):
            flag = f"--{name.replace('_', '-')}"
            raise AnimatorError(
                "invalid_option", f"{flag} is {text!r}; allowed is largest, or a number from 1."
            )
        options[name] = int(text)
    if (audio := options.get("audio")) not in (None, "driving", "source", "none"):
        options["audio"] = Location(plain_location(str(audio)), "audio")
    if (pose := options.get("source_pose", "auto")) != "auto":
        options["source_pose"] = Location(plain_location(str(pose)), "source_pose")
    crf = options.get("crf", "auto")
    if crf != "auto":
        if not (crf.isascii() and crf.isdigit() and len(crf) < 4):
            message = f"--crf is {crf!r}; allowed is auto, or a whole number from 0 (best)."
            raise AnimatorError("invalid_option", message)
        options["crf"] = int(crf)
    size = options.get("size", "auto")
    if size != "auto":
        if not (size.isascii() and size.isdigit() and len(size) < 5):
            message = f"--size is {size!r}; allowed is auto, or an even number from 128 to 1024."
            raise AnimatorError("invalid_option", message)
        options["size"] = int(size)


def _file_of_a_face(text: str) -> str:
    return Location(plain_location(text), "--face")


def driving_file(driving: str | None, options: Mapping[str, Any]) -> str:
    """The driving video of the command line, or the first of those that `--face` names.

    Raises:
        AnimatorError: `invalid_option` if there is none, or `--face` makes no sense.
    """
    if driving is not None:
        return driving
    first = MovingFaces.parse(";".join(options["face"]), "--face").first_file
    if first is None:
        message = "DRIVING is missing: the video whose motion the portrait gets."
        raise AnimatorError("invalid_option", message)
    return first


def _output(text: str) -> Location:
    """A place for the result; a path that ends in / stays one, which asks for pictures."""
    place = plain_location(text)
    slash = "/" if text.endswith("/") and not place.endswith("/") else ""
    return Location(place + slash, "output")


def make_spec(
    source: str, driving: str | None, output: str | None, *, weights: str, **options: Any
) -> JobSpec:
    """The specification that the command line asks for, with absolute paths; URLs stay as they are.

    Weights of the library stay a name.

    Raises:
        AnimatorError: `invalid_option`.
    """
    driving = driving_file(driving, options)
    read_values(options)
    target = next(free_names(source, driving, Path.cwd())) if output is None else output
    return JobSpec(
        source=Location(plain_location(source), "source"),
        driving=Location(plain_location(driving), "driving"),
        output=_output(str(target)),
        weights=for_spec(weights, Settings.from_environment()),
        **options,
    )
