"""A job that runs in the process of the command, and what is said of how a job has ended."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import typer

from animator import __version__
from animator.cli.console import (
    StopSignals,
    print_json,
    print_path,
    printable,
    say,
    show_error,
)
from animator.cli.progress import ProgressView, clock, make_view
from animator.errors import AnimatorError, JobCancelled
from animator.jobs.preflight import check_files
from animator.processor import share_cores
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import now


def run_here(spec: JobSpec, settings: Settings, *, overwrite: bool, as_json: bool) -> None:
    """Animate in this process and say what came of it."""
    share_cores()
    check_files(spec, settings, overwrite=overwrite)
    record = JobRecord("", spec, JobState.RUNNING, now(), __version__, attempt=1)
    with StopSignals() as signals, make_view(quiet=as_json) as view:
        try:
            result = _animate(spec, settings, view, signals, overwrite)
            record = replace(record, state=JobState.SUCCEEDED, result=result)
        except JobCancelled:
            record = replace(record, state=JobState.CANCELLED)
        except AnimatorError as error:
            record = replace(record, state=JobState.FAILED, error=JobError.of(error))
    if as_json:
        record = replace(record, started=record.created, finished=now())
        print_json({**record.as_dict(), "id": None})
    conclude(record, signals, as_json)


def _animate(
    spec: JobSpec,
    settings: Settings,
    view: ProgressView,
    signals: StopSignals,
    overwrite: bool,
) -> Result:
    view.update("starting")
    from animator.animation.faces.beforehand import finding
    from animator.workspace.staging import stage

    def report(progress: Progress) -> None:
        view.update("stopping" if signals.requested() else progress.stage, progress)

    def check() -> None:
        if signals.requested():
            raise JobCancelled

    with (
        stage(settings.apply_to(spec), settings, check) as staged,
        finding(staged.spec, settings) as finder,
    ):
        with _kept_for_good():
            from animator.animation.pipeline import animate

        result = animate(
            staged.spec,
            settings=settings,
            report=report,
            should_stop=signals.requested,
            overwrite=overwrite or staged.uploads,
            finder=finder,
        )
        if staged.uploads:
            view.update("uploading")
        return staged.deliver(result)


@contextmanager
def _kept_for_good() -> Iterator[None]:
    """Import in this block without looking for garbage, now or ever.

    PyTorch makes 300,000 objects that stay. To go through them takes a tenth of the time of
    its import, and a third of a second at the end of the process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def conclude(record: JobRecord, signals: StopSignals, as_json: bool) -> None:
    """Say how a job ended; raise the exit that tells a script."""
    if record.state is JobState.SUCCEEDED:
        if record.result is not None and not as_json:
            _show_result(record.result)
        return
    if record.state is JobState.CANCELLED:
        say(f"Job {record.id} was cancelled." if record.id else "Cancelled; nothing was written.")
        raise signals.exit() if signals.requested() else typer.Exit(1)
    error = record.error or JobError("internal", "The job failed without a reason.")
    show_error(error.code, error.message)
    if error.code == "internal":
        settings = Settings.from_environment()
        say(f"logs of workers that this command starts: {printable(str(settings.log_dir))}")
    raise typer.Exit(1)


def _show_result(result: Result) -> None:
    for warning in result.warnings:
        say(f"note: {printable(warning)}")
    say(f"{result.frames} frames in {clock(result.seconds)} ({result.fps:.1f} frames/s)")
    print_path(result.output)
