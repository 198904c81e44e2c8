"""`animator verify`: what is known of a video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from animator.cli import options as opt
from animator.cli.console import StopSignals, absolute, command, print_json, printable, say
from animator.cli.progress import make_view
from animator.errors import AnimatorError, JobCancelled
from animator.processor import share_cores
from animator.provenance.mark import SOURCE_TYPES, Mark
from animator.provenance.verifying import (
    STATUS,
    Report,
    read_roots,
    verify_file,
    with_compared,
    with_inputs,
)
from animator.record import Progress
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location, plain_location

if TYPE_CHECKING:
    from animator.animation.rerender import Comparison

_DIFFERS = 3
_MOST = 1000  # characters of settings that are shown
_INPUTS = ("source", "driving")


Video = Annotated[Path, typer.Argument(metavar="VIDEO", help="A result, or any other file.")]
Trust = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Certificates (PEM) that you trust to vouch for who has signed."
    ),
]
Source = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The portrait that it was made of, to compare."),
]
Driving = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        help="The driving video that it was made of, to compare; again for each further one.",
        show_default=False,
    ),
]
Pose = Annotated[
    str | None,
    typer.Option(
        "--source-pose",
        metavar="FILE",
        help="The file that the joints of a person in the source were read from, to compare.",
        show_default=False,
    ),
]
Job = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Take inputs and options from the record of this job."),
]
Render = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=1000,
        help="Render the first N frames again from the inputs and compare; they are given "
        "by --source and --driving, or by --job.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(metavar="[NAME|FILE]", help="Weights to render with, if not those named."),
]
Device = Annotated[
    str | None, typer.Option(metavar="DEVICE", help="Where to render; auto, cpu, cuda:N.")
]


@command
def verify(
    video: Video,
    trust: Trust = None,
    source: Source = None,
    driving: Driving = None,
    source_pose: Pose = None,
    job: Job = None,
    render: Render = None,
    weights: Weights = None,
    device: Device = None,
    as_json: opt.Json = False,
) -> None:
    """Tell what is known of a video: by whom it was made, of what, and whether it was changed.

    Ends with 0 for a result that is as it was made, 3 for one that was changed or that does not
    show what was rendered again, 4 for a file that is nothing of this program's.
    """
    settings = Settings.from_environment()
    report = verify_file(video, roots=None if trust is None else read_roots(trust))
    spec = None if job is None else _recorded(job, settings)
    files = {} if spec is None else {name: str(file) for name, file in _pictures(spec).items()}
    files |= {name: str(Location(plain_location(text), name))
              for name, text in _given(source, driving or []).items()}  # fmt: skip
    pose = spec.source_pose if spec is not None and source_pose is None else source_pose
    local = {name: Path(text) for name, text in files.items() if not Location(text).is_url}
    if pose not in (None, "auto"):
        pose = str(Location(plain_location(pose), "source_pose"))
        local["pose"] = Path(pose)
    report = with_inputs(report, local)
    compared = None
    if render is not None:
        asked = {"weights": weights, "device": device, "source_pose": pose}
        wanted = _to_render(report, spec, files, video, asked)
        compared = _rendered(wanted, render, settings, quiet=as_json)
        report = _with_rendered(report, compared)
    if as_json:
        values = report.as_dict()
        print_json({**values, "render": None if compared is None else compared.as_dict()})
    else:
        _show(report, compared)
    raise typer.Exit(_status(report, compared))


def _status(report: Report, compared: Comparison | None) -> int:
    status = STATUS[report.verdict]
    if status == 0 and compared is not None and compared.outcome not in ("equal", "same"):
        return _DIFFERS
    return status


def _given(source: str | None, drivings: list[str]) -> dict[str, str]:
    """The files of the command line, by the names that marks have for them."""
    named = {"driving" if n == 1 else f"driving {n}": text for n, text in enumerate(drivings, 1)}
    return named if source is None else {"source": source, **named}


def _pictures(spec: JobSpec) -> dict[str, Location]:
    return {"source": spec.source, **spec.drivings}


def _recorded(job: str, settings: Settings) -> JobSpec:
    from animator.cli.farm.ids import find_job
    from animator.jobs.queue import open_store

    return find_job(open_store(settings), job).spec


def _to_render(
    report: Report,
    spec: JobSpec | None,
    files: dict[str, str],
    video: Path,
    asked: dict[str, str | None],
) -> JobSpec:
    """The job whose first frames are rendered again."""
    if missing := [f"--{name}" for name in _INPUTS if name not in files]:
        message = (
            f"To render again, the inputs have to be named: {' and '.join(missing)}, or --job."
        )
        raise AnimatorError("invalid_option", message)
    better: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if "weights" in better:
        from animator.weights.library import for_spec

        better["weights"] = for_spec(better["weights"], Settings.from_environment())
    if spec is not None:
        chosen: dict[str, Any] = {name: files[name] for name in _INPUTS}
        chosen["face"] = spec.face_by_name(files)
        return replace(spec, **chosen, output=Location(absolute(video)), **better)
    if report.mark is None or not report.mark.settings:
        message = "The marks of the video do not say how it was rendered; name its --job."
        raise AnimatorError("invalid_option", message)
    if "pose" in report.mark.hashes and "source_pose" not in better:
        message = "The joints of its source were read from a file; give it by --source-pose."
        raise AnimatorError("invalid_option", message)
    if "weights" not in report.mark.settings and "weights" not in better:
        name = report.mark.weights
        message = f"It was rendered with the weights {name!r} of a file; give it by --weights."
        raise AnimatorError("invalid_option", message)
    from animator.animation.rerender import spec_of

    source, driving = (files.pop(name) for name in _INPUTS)
    return spec_of(report.mark.settings, source, driving, absolute(video), files, **better)


def _rendered(spec: JobSpec, frames: int, settings: Settings, *, quiet: bool) -> Comparison:
    share_cores()
    with StopSignals() as signals, make_view(quiet=quiet) as view:
        view.update("starting")
        from animator.animation.rerender import compare_again
        from animator.workspace.staging import stage

        def check() -> None:
            if signals.requested():
                raise JobCancelled

        def report(progress: Progress) -> None:
            view.update("stopping" if signals.requested() else progress.stage, progress)

        try:
            with stage(settings.apply_to(spec), settings, check) as staged:
                return compare_again(
                    staged.spec,
                    frames,
                    settings=settings,
                    report=report,
                    should_stop=signals.requested,
                )
        except JobCancelled:
            say("Cancelled.")
            raise signals.exit() if signals.requested() else typer.Exit(1) from None


def _with_rendered(report: Report, compared: Comparison) -> Report:
    """The report with whether what was rendered from is what the marks name."""
    named = report.mark.hashes if report.mark is not None else {}
    same = {name: compared.hashes.get(name) == sha256 for name, sha256 in named.items()}
    if same.pop("weights", True):
        findings = report.findings
    else:
        other = (
            f"It was rendered again with other weights than it was made with: {compared.weights}."
        )
        findings = (*report.findings, other)
    # Those of a URL were not here to be compared before.
    fetched = {name: is_same for name, is_same in same.items() if name not in report.inputs}
    return with_compared(replace(report, findings=findings), fetched)


_HEADINGS = {
    "intact": "A result of this program, as it was made.",
    "altered": "A result of this program that was changed since.",
    "partial": "Perhaps a result of this program; most of its marks are gone.",
    "untrusted": "A result of this program, signed by somebody whom no given root vouches for.",
    "foreign": "Not a result of this program; another one has marked it.",
    "unmarked": "Nothing is known of it.",
}


def _show(report: Report, compared: Comparison | None) -> None:
    print(f"{printable(report.video)}: {_HEADINGS[report.verdict]}")
    mark = report.mark
    if mark is not None:
        _row("made by", f"animator {mark.version}, says its {report.told_by}")
    if report.source_type:
        _row("kind", report.source_type.removeprefix(SOURCE_TYPES))
    if mark is not None:
        _show_mark(mark, report)
    for one in report.signature.ingredients if report.signature is not None else ():
        _row("made of", f"{one.title or 'untitled'}, {one.relationship}")
    _row("marks", ", ".join(f"{name} {state}" for name, state in report.marks.items()))
    for finding in report.findings:
        print(f"  {printable(finding)}")
    if compared is not None:
        for finding in compared.findings:
            print(f"  {printable(finding)}")


def _show_mark(mark: Mark, report: Report) -> None:
    hashes = dict(mark.hashes)
    of_weights = hashes.pop("weights", "")
    _row("weights", mark.weights + (f", SHA-256 {of_weights}" if of_weights else ""))
    for name, sha256 in hashes.items():
        same = report.inputs.get(name)
        about = {True: ", the file given", False: ", NOT the file given", None: ""}[same]
        _row(name, f"SHA-256 {sha256}{about}")
    if mark.settings:
        said = ", ".join(f"{name} {value}" for name, value in mark.settings.items())
        _row("settings", said if len(said) <= _MOST else f"{said[:_MOST]}\u2026")


def _row(name: str, value: str) -> None:
    print(f"  {name:<10}{printable(value)}")
