"""`animator motion`: save the motion of a driving video as a small file, and look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from animator.cli import options as opt
from animator.cli.console import (
    StopSignals,
    command,
    making_command,
    print_json,
    print_path,
    printable,
    say,
)
from animator.cli.progress import make_view
from animator.errors import AnimatorError, JobCancelled
from animator.files.local import check_input
from animator.options import Detector
from animator.record import Progress
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location, plain_location

app = typer.Typer(
    help="Save the motion of a driving video in a small file that stands for it; look at one.",
    no_args_is_help=True,
)

Driving = Annotated[
    str,
    typer.Argument(
        metavar="DRIVING", help="The driving video; or a motion file, to save a part of it."
    ),
]
MotionFile = Annotated[str, typer.Argument(metavar="FILE", help="A motion file.")]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Where to write it, .motion. \\[default: DRIVING.motion in this folder]",
        show_default=False,
    ),
]
Sheet = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="SHEET",
        help="Draw it there, .png or .jpg: curves of head, eyes and mouth, and a film strip.",
        show_default=False,
    ),
]
Face = Annotated[
    str,
    typer.Option(
        metavar="[largest|N]",
        help="Which face where there are several: the largest, or the N-th from the left.",
    ),
]
Licence = Annotated[
    str, typer.Option(metavar="TEXT", help="Under which it may be used, such as CC-BY-4.0.")
]
Consent = Annotated[
    str, typer.Option(metavar="TEXT", help="What the person whose motion it is has agreed to.")
]
Note = Annotated[
    str, typer.Option(metavar="TEXT", help="Anything else that should be known of it.")
]


@app.command()
@making_command
def save(
    driving: Driving,
    output: Output = None,
    force: opt.Force = False,
    start: opt.Start = None,
    end: opt.End = None,
    face: Face = "largest",
    detector: opt.Detector = "auto",
    device: opt.Device = "auto",
    licence: Licence = "",
    consent: Consent = "",
    note: Note = "",
    as_json: opt.Json = False,
) -> None:
    """Follow the face of a driving video and save its motion: landmarks and times, no pictures."""
    settings = Settings.from_environment()
    spec = _spec(driving, output, start, end, face, detector, device)
    _check_files(spec, overwrite=force)
    with StopSignals() as signals, make_view() as view:
        view.update("starting")  # it is on the screen while PyTorch is imported
        from animator.animation.motion.file import Rights
        from animator.animation.motion.saving import save_motion
        from animator.animation.motion.summary import curves_of, described, notes_on, summarise

        def report(progress: Progress) -> None:
            view.update("stopping" if signals.requested() else progress.stage, progress)

        try:
            motion = save_motion(
                settings.apply_to(spec),
                Rights(licence, consent, note),
                settings=settings,
                report=report,
                should_stop=signals.requested,
            )
        except JobCancelled:
            say("Cancelled; nothing was written.")
            raise signals.exit() if signals.requested() else typer.Exit(1) from None
    summary = summarise(motion.driving, curves_of(motion.driving))
    size = spec.output.path.stat().st_size
    for note in notes_on(motion, summary):
        say(f"note: {printable(note)}")
    if as_json:
        print_json({"output": spec.output.plain, **described(motion, summary, size)})
        return
    say(f"{summary.frames} frames, {summary.seconds:.2f} s, face in {summary.with_face}; "
        f"{size:,} bytes")  # fmt: skip
    print_path(spec.output.plain)


@app.command()
@command
def show(
    file: MotionFile,
    output: Sheet = None,
    force: opt.Force = False,
    as_json: opt.Json = False,
) -> None:
    """Tell what is in a motion file, and draw it."""
    path, sheet = Path(plain_location(file)), None if output is None else Path(output).absolute()
    if sheet is not None:
        _check_sheet(path, sheet, overwrite=force)
    check_input(str(path))
    from animator.animation.motion.file import read_motion
    from animator.animation.motion.sheet import draw_motion, sentences
    from animator.animation.motion.summary import curves_of, described, summarise

    motion = read_motion(path, Settings.from_environment().limits())
    curves = curves_of(motion.driving)
    summary = summarise(motion.driving, curves)
    if sheet is not None:
        from animator.media.stills import write_picture

        comment = "Landmarks of a face, drawn by animator motion show."
        write_picture(sheet, draw_motion(motion, summary, curves), comment)
    if as_json:
        told = described(motion, summary, path.stat().st_size)
        print_json({"file": str(path), "sheet": None if sheet is None else str(sheet), **told})
        return
    for line in sentences(motion, summary):
        print(printable(line))
    for name, (low, high) in (*summary.angles.items(), *summary.openings.items()):
        print(f"{name.replace('_', ' '):<10}{low:g} to {high:g}")
    if sheet is not None:
        print_path(str(sheet))


def _spec(
    driving: str,
    output: str | None,
    start: str | None,
    end: str | None,
    face: str,
    detector: Detector,
    device: str,
) -> JobSpec:
    """A job of this driving video alone."""
    place = Location(plain_location(driving), "driving")
    if place.is_url:
        message = "A motion is saved of a file on this machine; fetch the video first."
        raise AnimatorError("invalid_option", message)
    target = output if output is not None else str(Path.cwd() / f"{Path(place.name).stem}.motion")
    faces: dict[str, str | int] = {"face": face}
    opt.read_values(faces)
    written = Location(plain_location(target), "output")
    if written.is_url:
        raise AnimatorError("invalid_option", "A motion is written on this machine; give a path.")
    which: int | Literal["largest"] = faces["face"]  # type: ignore[assignment]
    return JobSpec(
        place, place, written, start=start, end=end, face=which, detector=detector, device=device
    )


def _check_files(spec: JobSpec, *, overwrite: bool) -> None:
    """Refuse what cannot be read or may not be replaced, before anything is imported."""
    check_input(spec.driving.plain)
    output = spec.output.path
    if output.exists() and output.samefile(spec.driving.path):
        raise AnimatorError("invalid_option", "The output is the driving file itself.")
    _check_free(output, overwrite)


def _check_sheet(path: Path, sheet: Path, *, overwrite: bool) -> None:
    from animator.files.local import SHEET_SUFFIXES, check_suffix

    check_suffix(str(sheet), SHEET_SUFFIXES)
    if sheet.exists() and path.exists() and sheet.samefile(path):
        raise AnimatorError("invalid_option", "The sheet is the motion file itself.")
    _check_free(sheet, overwrite)


def _check_free(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        message = f"{str(output)!r} is a folder; give the name of a file in it."
        raise AnimatorError("output_exists_as_folder", message)
    if output.exists() and not overwrite:
        raise AnimatorError("output_exists", f"{str(output)!r} exists; --force replaces it.")
