"""The options that `run` and `submit` share, and the specification made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from animator import spec
from animator.cli.console import absolute
from animator.errors import AnimatorError
from animator.files.local import free_names
from animator.files.urls import plain_location
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import is_url
from animator.weights.library import for_spec, weights_names

StateName = Literal["queued", "running", "succeeded", "failed", "cancelled"]
EndedState = Literal["succeeded", "failed", "cancelled"]


def one_of(choice: object) -> str:
    """How help shows the values of a `Literal`."""
    return f"[{'|'.join(get_args(choice))}]"


_FACE = "Which face"
_LOOK = "The result"
_MACHINE = "The machine"

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="The portrait: a picture, or a video whose first frame is taken."
    ),
]
Driving = Annotated[
    str, typer.Argument(metavar="DRIVING", help="The video whose motion the portrait gets.")
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Where to write the video. "
        "\\[default: SOURCE--DRIVING.mp4 in this folder, never replacing a file]",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace the output if it exists.")]
Start = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Begin here in the driving video: 12.5 (seconds) or 1:02.5."),
]
End = Annotated[str | None, typer.Option(metavar="TIME", help="End here in the driving video.")]
Face = Annotated[
    str,
    typer.Option(
        metavar="[largest|N]",
        help="Which face where there are several: the largest, or the N-th from the left.",
        rich_help_panel=_FACE,
    ),
]
MissingFace = Annotated[
    spec.MissingFace,
    typer.Option(
        metavar=one_of(spec.MissingFace),
        help="For driving frames without a face: hold the last pose, interpolate between the "
        "poses around, skip the frames, or fail.",
        rich_help_panel=_FACE,
    ),
]
Detector = Annotated[
    spec.Detector,
    typer.Option(
        metavar=one_of(spec.Detector),
        help="What finds the landmarks; auto is face-alignment where it can run on a GPU, "
        "else dlib.",
        rich_help_panel=_FACE,
    ),
]
Motion = Annotated[
    spec.Motion,
    typer.Option(
        metavar=one_of(spec.Motion),
        help="relative: the driving motion on the source's own face; absolute: the driving "
        "face's shape, too.",
        rich_help_panel=_LOOK,
    ),
]
Anchor = Annotated[
    spec.Anchor,
    typer.Option(
        metavar=one_of(spec.Anchor),
        help="The driving frame that counts as the source's own pose: the first, or (auto) the "
        "one nearest to it.",
        rich_help_panel=_LOOK,
    ),
]
Smoothing = Annotated[
    float,
    typer.Option(
        metavar="0..1",
        min=0,
        max=1,
        help="How strongly jitter is smoothed: 0 is not at all.",
        rich_help_panel=_LOOK,
    ),
]
OutputMode = Annotated[
    spec.OutputMode,
    typer.Option(
        metavar=one_of(spec.OutputMode),
        help="crop: the face square; paste-back: the whole picture; side-by-side: the driving "
        "video beside the face square.",
        rich_help_panel=_LOOK,
    ),
]
Size = Annotated[
    int,
    typer.Option(
        metavar="PIXELS", help="Side of the face square in pixels.", rich_help_panel=_LOOK
    ),
]
Device = Annotated[
    str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N.", rich_help_panel=_MACHINE)
]
Precision = Annotated[
    spec.Precision,
    typer.Option(
        metavar=one_of(spec.Precision),
        help="Arithmetic of the networks; auto is float32 on a CPU.",
        rich_help_panel=_MACHINE,
    ),
]


def complete_weights(incomplete: str) -> list[str]:
    """Names of weights for the shell's completion."""
    try:
        names = weights_names(Settings.from_environment())
    except (AnimatorError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


Weights = Annotated[
    str,
    typer.Option(
        metavar="[NAME|FILE]",
        help="Other weights than those shipped: a name from `animator weights list`, or a file.",
        autocompletion=complete_weights,
        rich_help_panel=_MACHINE,
    ),
]
_QUEUE = "The queue"
Priority = Annotated[
    spec.Priority,
    typer.Option(
        metavar=one_of(spec.Priority),
        help="Jobs of a higher priority are begun first.",
        rich_help_panel=_QUEUE,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Submit once: a job that has this key is shown instead. auto makes a key of the "
        "content of both files, the options and the weights.",
        rich_help_panel=_QUEUE,
    ),
]
Webhook = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Tell this address when the job has ended; the workers must allow its host.",
        rich_help_panel=_QUEUE,
    ),
]
State = Annotated[
    StateName | None, typer.Option(metavar=one_of(StateName), help="Only jobs in this state.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def face_choice(text: str) -> spec.Face:
    """Which face a user means.

    Raises:
        AnimatorError: `invalid_option`.
    """
    if text == "largest":
        return "largest"
    if not (text.isascii() and text.isdigit()):
        raise AnimatorError(
            "invalid_option", f"--face is {text!r}; allowed is largest, or a number from 1."
        )
    return int(text)


def make_spec(
    source: str, driving: str, output: str | None, *, face: str, weights: str, **options: Any
) -> JobSpec:
    """The specification that the command line asks for, with absolute paths; URLs stay as they are.

    Weights of the library stay a name.

    Raises:
        AnimatorError: `invalid_option`.
    """
    target = next(free_names(source, driving, Path.cwd())) if output is None else output
    return JobSpec(
        source=_located(source),
        driving=_located(driving),
        output=_located(target),
        face=face_choice(face),
        weights=for_spec(weights, Settings.from_environment()),
        **options,
    )


def _located(location: str | Path) -> str:
    text = str(location)
    return plain_location(text) if is_url(text) else absolute(location)
