"""Pose transfer on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from animator.cli import options as opt
from animator.cli.console import StopSignals, print_path, printable, say
from animator.cli.progress import make_view
from animator.errors import AnimatorError, JobCancelled
from animator.processor import share_cores
from animator.record import Progress
from animator.settings import Settings

Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="The picture of the person who takes the pose.")
]
Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET_POSE",
        help="A photo or a video of somebody; OpenPose or AlphaPose JSON; an annotation CSV, or "
        "FILE.csv#NAME for one of its rows; a folder of JSON files or photos.",
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A picture (.png, .jpg) for one pose; a video (.mp4) or a new folder for several.",
    ),
]
SourcePose = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Pose of the source: JSON, CSV or FILE.csv#NAME. \\[default: found in the picture]",
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="[NAME|FILE]",
        help="A model for pose transfer, which is needed: a name from `animator weights list`, or "
        "a file.",
        autocompletion=opt.complete_weights,
        show_default=False,
    ),
]
Frame = Annotated[
    Literal["auto", "person", "whole"],
    typer.Option(
        metavar="[auto|person|whole]",
        help="What the model sees of a picture: the part around the person, all of it, or (auto) "
        "all of it where it is as wide as high as the model's pictures.",
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS",
        help="Height of the result. \\[default: the model's own]",
        show_default=False,
    ),
]
Fps = Annotated[
    float,
    typer.Option(metavar="N", help="Frames a second of a video that is not made from a video."),
]
DetectorWeights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Weights of the body detector. \\[default: torchvision's, fetched on first use]",
        show_default=False,
    ),
]


def pose_here(settings: Settings, *, overwrite: bool, fps: float, **values: Any) -> None:
    """Render in this process and say what came of it."""
    share_cores()
    with StopSignals() as signals, make_view() as view:
        view.update("starting")  # it is on the screen while PyTorch is imported
        from fractions import Fraction

        from animator.animation.persons.posing import PoseRequest, transfer_pose

        def report(progress: Progress) -> None:
            view.update("stopping" if signals.requested() else progress.stage, progress)

        # Rates such as 29.97 are fractions of 1001.
        try:
            rate = Fraction(fps).limit_denominator(1001)
        except (ValueError, OverflowError):
            raise AnimatorError("invalid_option", f"fps is {fps}; allowed is a number.") from None
        try:
            result = transfer_pose(
                PoseRequest(fps=rate, **values),
                settings,
                overwrite=overwrite,
                report=report,
                should_stop=signals.requested,
            )
        except JobCancelled:
            say("Cancelled; nothing was written.")
            raise signals.exit() if signals.requested() else typer.Exit(1) from None
    if result.held:
        say(f"{result.held} frames of the target show nobody; in the result they hold the pose.")
    for warning in result.warnings:
        say(f"note: {printable(warning)}")
    frames = "1 picture" if result.frames == 1 else f"{result.frames} pictures"
    say(f"{frames} in {result.seconds:.1f} s by {printable(result.weights)}")
    print_path(str(Path(result.output).absolute()))
