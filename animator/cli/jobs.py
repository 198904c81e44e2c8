"""Jobs on the command line: run and submit; the embedded queue's end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from animator import __version__
from animator.broker.embedded import EmbeddedRedis
from animator.cli.check import check_before_submit
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
from animator.files.local import free_names
from animator.jobs.client import Client
from animator.jobs.preflight import check_files
from animator.jobs.store import JobStore, connect, now
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from animator.values import Location


def run_here(spec: JobSpec, settings: Settings, *, overwrite: bool, as_json: bool) -> None:
    """Animate in this process and say what came of it."""
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
    _conclude(record, signals, as_json)


def _animate(
    spec: JobSpec,
    settings: Settings,
    view: ProgressView,
    signals: StopSignals,
    overwrite: bool,
) -> Result:
    view.update("starting")
    from animator.animation.pipeline import animate
    from animator.workspace.staging import stage

    def report(progress: Progress) -> None:
        view.update("stopping" if signals.requested() else progress.stage, progress)

    def check() -> None:
        if signals.requested():
            raise JobCancelled

    with stage(settings.apply_to(spec), settings, check) as staged:
        result = animate(
            staged.spec,
            settings=settings,
            report=report,
            should_stop=signals.requested,
            overwrite=overwrite or staged.uploads,
        )
        if staged.uploads:
            view.update("uploading")
        return staged.deliver(result)


def submit_job(
    spec: JobSpec,
    options: JobOptions,
    *,
    overwrite: bool,
    named: bool,
    wait: bool,
    as_json: bool,
    check: bool = True,
) -> None:
    """Check a job's inputs if asked to, queue it and, if asked to, wait for it.

    Unless the user `named` the output, a job that is going to write a file of the same name moves
    this one on to the next name. With a key that a job has already, that job is shown instead.
    """
    # The queue is first asked only where it may know the job; it is not started for wrong files.
    settings = Settings.from_environment()
    client = Client.connect(settings) if options.key else None
    record = client.find(spec, options) if client else None
    there = record is not None
    if not there:
        check_files(spec, settings, overwrite=overwrite)
        if check:
            check_before_submit(spec, settings)
    # Queue it
    with StopSignals() as signals:
        client = client or Client.connect(settings)
        record = record or _submit(client, spec, options, overwrite, named)
        if not as_json:
            state = f" has this key and is {record.state.value};" if there else ""
            say(f"job {record.id}{state} writes {printable(record.spec.output)}")
        # Wait for its end, and work the queue meanwhile if nobody else does
        if wait:
            with make_view(quiet=as_json) as view:
                record = client.wait(
                    record.id, work=True, on_change=view.follow, should_stop=signals.requested
                )
    # Say what came of it
    if as_json:
        print_json(record.as_dict())
    if not wait:
        if not as_json:
            print(record.id, flush=True)
        if not record.state.ended and not client.queue.alive_workers():
            say("No worker is running; start one with: celery -A worker worker")
        return
    _conclude(record, signals, as_json)


def _submit(
    client: Client, spec: JobSpec, options: JobOptions, overwrite: bool, named: bool
) -> JobRecord:
    if named:
        return client.submit(spec, overwrite=overwrite, options=options)
    for name in free_names(spec.source, spec.driving, Path(spec.output).parent):
        try:
            return client.submit(replace(spec, output=Location(name)), options=options)
        except AnimatorError as error:
            if error.code != "output_exists":
                raise
    raise AssertionError("names do not end")


def _conclude(record: JobRecord, signals: StopSignals, as_json: bool) -> None:
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


def stop_embedded(*, force: bool) -> None:
    """End the embedded Redis, unless workers are connected to it."""
    embedded = EmbeddedRedis(Settings.from_environment().state_dir)
    if not force and embedded.status().running:
        workers = JobStore(connect(embedded.url)).workers()
        if workers:
            names = ", ".join(f"process {worker.pid} on {worker.host}" for worker in workers)
            raise AnimatorError(
                "queue_unavailable",
                f"Workers use the queue ({names}); stop them first, or give --force.",
            )
    say("The embedded queue has stopped." if embedded.stop() else "It was not running.")
