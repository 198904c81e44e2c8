"""The commands. Each parses, makes one call into the library and prints what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from animator import __version__
from animator.cli import batch as batch_command
from animator.cli import detectors as detectors_commands
from animator.cli import evaluate as evaluate_commands
from animator.cli import motion as motion_commands
from animator.cli import options as opt
from animator.cli import pose as pose_options
from animator.cli import report as report_command
from animator.cli import serve as serve_commands
from animator.cli import train as train_command
from animator.cli import verify as verify_command
from animator.cli import views as views_options
from animator.cli import weights as weights_commands
from animator.cli.console import absolute, command, making_command, print_json, print_path, say
from animator.cli.farm import commands
from animator.cli.help import ANIMATE, DATA, MACHINE, MODELS, QUEUE, plain_help
from animator.cli.streams import prepare
from animator.errors import AnimatorError
from animator.files.local import free_names
from animator.processor import keep_memory, wait_briefly
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from animator.weights.subjects import NOT_OF

app = typer.Typer(
    name="animator",
    help="Animate portraits with the motion of driving videos.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script."""
    prepare()
    wait_briefly()
    keep_memory()
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"animator {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=ANIMATE)
@making_command
@opt.job_options(JobSpec)
def run(
    source: opt.Source,
    driving: opt.Driving = None,
    output: opt.Output = None,
    force: opt.Force = False,
    as_json: opt.Json = False,
    **options: Any,
) -> None:
    """Animate a portrait in this process, without a queue."""
    spec = opt.make_spec(source, driving, output, **options)
    from animator.cli.run import run_here

    run_here(spec, Settings.from_environment(), overwrite=force, as_json=as_json)


@app.command(rich_help_panel=ANIMATE)
@making_command
@opt.job_options(JobSpec, without=["output_mode", *opt.OF_THE_FILE])
def explain(
    source: opt.Source,
    driving: opt.Driving = None,
    frame: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Which frame of the result, counted from 0. "
            "\\[default: the one that moves furthest from the source]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to draw it, .png or .jpg. "
            "\\[default: SOURCE--DRIVING.png in this folder, never replacing a file]",
            show_default=False,
        ),
    ] = None,
    force: opt.Force = False,
    **options: Any,
) -> None:
    """Draw one sheet that shows how the networks come to a frame: flows, masks, attention."""
    if output is None:
        named = opt.driving_file(driving, options)
        output = str(next(free_names(source, named, Path.cwd(), ".png")))
    spec = opt.make_spec(source, driving, output, **options)
    from animator.cli.explain import explain_here

    explain_here(spec, frame, Settings.from_environment(), overwrite=force)


@app.command(rich_help_panel=ANIMATE)
@making_command
def pose(
    source: pose_options.Source,
    target: pose_options.Target,
    output: pose_options.Output,
    force: opt.Force = False,
    weights: pose_options.Weights = None,
    source_pose: pose_options.SourcePose = None,
    frame: pose_options.Frame = "auto",
    size: pose_options.Size = None,
    fps: pose_options.Fps = 25.0,
    detector_weights: pose_options.DetectorWeights = None,
    device: opt.Device = "auto",
    precision: opt.Precision = "auto",
) -> None:
    """Show the person of a picture in another pose, or in a sequence of poses."""
    pose_options.pose_here(
        Settings.from_environment(), overwrite=force, source=source, target=target, output=output,
        weights=weights, source_pose=source_pose, frame=frame, size=size, fps=fps,
        detector_weights=detector_weights, device=device, precision=precision,
    )  # fmt: skip


@app.command(rich_help_panel=ANIMATE)
@making_command
@opt.job_options(JobSpec, without=[*NOT_OF["object"], *views_options.WITHOUT])
def views(
    photo: views_options.Photo,
    output: opt.Output = None,
    views: views_options.Views = None,
    azimuth: views_options.Azimuth = 0,
    elevation: views_options.Elevation = 0,
    force: opt.Force = False,
    as_json: opt.Json = False,
    **options: Any,
) -> None:
    """Show the object of a photo from all sides, by weights for view synthesis."""
    views_options.views_here(
        photo, views, azimuth, elevation, output, overwrite=force, as_json=as_json, **options
    )


_OF_THE_RESULT = (
    *("motion", "anchor", "smoothing", "output_mode"),
    *("strength", "head", "expression", "regions", "blink"),
    *opt.OF_THE_FILE,
)
"""Options that do not matter to whether files can be used."""


@app.command(rich_help_panel=ANIMATE)
@command
@opt.job_options(JobSpec, without=_OF_THE_RESULT)
def check(
    source: opt.Source,
    driving: opt.Driving = None,
    as_json: opt.Json = False,
    **options: Any,
) -> None:
    """Look at both files in some seconds and tell what would fail or look poor, and how long."""
    spec = opt.make_spec(source, driving, None, **options)
    from animator.cli.check import check_here

    check_here(spec, Settings.from_environment(), as_json=as_json)


app.command(rich_help_panel=ANIMATE)(verify_command.verify)


@app.command(rich_help_panel=QUEUE)
@making_command
@opt.job_options(JobSpec, JobOptions)
def submit(
    source: opt.Source,
    driving: opt.Driving = None,
    output: opt.Output = None,
    force: opt.Force = False,
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait",
            help="Wait until the job has ended, and work the queue meanwhile if no worker does. "
            "\\[default: wait on a terminal]",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Look at both files first, as `animator check` does, and refuse a job that would "
            "fail; takes some seconds.",
        ),
    ] = True,
    as_json: opt.Json = False,
    **options: Any,
) -> None:
    """Put a job into the queue."""
    treated = JobOptions(**{name: options.pop(name) for name in ("priority", "key", "webhook")})
    spec = opt.make_spec(source, driving, output, **options)
    from animator.cli.jobs import submit_job

    waiting = sys.stdout.isatty() if wait is None else wait
    submit_job(
        spec, treated, overwrite=force, named=output is not None,
        wait=waiting, as_json=as_json, check=check,
    )  # fmt: skip


app.command(rich_help_panel=QUEUE)(commands.status)
app.command("list", rich_help_panel=QUEUE)(commands.list_jobs)
app.command(rich_help_panel=QUEUE)(commands.watch)
app.command(rich_help_panel=QUEUE)(commands.cancel)
app.command(rich_help_panel=QUEUE)(commands.retry)
app.command(rich_help_panel=QUEUE)(commands.logs)
app.command(rich_help_panel=QUEUE)(commands.fetch)
app.command(rich_help_panel=QUEUE)(commands.queue)
app.command(rich_help_panel=QUEUE)(commands.workers)
app.command(rich_help_panel=QUEUE)(commands.purge)
app.command(rich_help_panel=QUEUE)(serve_commands.serve)
app.command(rich_help_panel=QUEUE)(serve_commands.token)


@app.command(rich_help_panel=ANIMATE)
@making_command
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it does not exist.")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace what is there.")] = False,
) -> None:
    """Make a portrait and a driving video to try things with: source.png and driving.mp4."""
    names = ("source.png", "driving.mp4")
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        path = absolute(folder / there[0])
        raise AnimatorError("output_exists", f"{path!r} exists; --force replaces it.")
    say("making sample media, which takes some seconds")
    from animator.samples.media import write_samples

    for made in write_samples(folder):
        print_path(absolute(made))


@app.command(rich_help_panel=MACHINE)
@command
def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
) -> None:
    """Show what is installed and which device, detector, weights and queue would be used."""
    from animator.cli.doctor import examine, show

    report = examine()
    if as_json:
        print_json(report.as_dict())
    else:
        show(report)
    if not report.healthy:
        raise typer.Exit(1)


@app.command(rich_help_panel=MACHINE)
@command
def stop(
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Even while workers are connected to it.")
    ] = False,
) -> None:
    """End the embedded queue. Its jobs are kept, and the next command starts it again."""
    from animator.cli.jobs import stop_embedded

    stop_embedded(force=force)


app.command(rich_help_panel=DATA)(batch_command.batch)
app.command(rich_help_panel=DATA)(report_command.report)
app.command(rich_help_panel=MODELS)(train_command.train)
app.add_typer(motion_commands.app, name="motion", rich_help_panel=ANIMATE)
app.add_typer(weights_commands.app, name="weights", rich_help_panel=MODELS)
app.add_typer(detectors_commands.app, name="detectors", rich_help_panel=MODELS)
app.add_typer(evaluate_commands.app, name="evaluate", rich_help_panel=MODELS)
plain_help(app)
