"""Jobs on the command line: run, submit, look, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from animator import __version__
from animator.cli.console import (
    StopSignals,
    print_json,
    print_path,
    print_table,
    printable,
    say,
    show_error,
)
from animator.cli.progress import ProgressView, clock, describe, make_view
from animator.client import Client
from animator.embedded import EmbeddedRedis
from animator.errors import AnimatorError, JobCancelled
from animator.preflight import check_files, free_names
from animator.queue import open_store
from animator.settings import Settings
from animator.spec import JobError, JobRecord, JobSpec, JobState, Progress, Result
from animator.store import JobStore, connect, now


def run_here(spec: JobSpec, settings: Settings, *, overwrite: bool, as_json: bool) -> None:
    """Animate in this process and say what came of it."""
    check_files(spec, overwrite=overwrite, settings=settings)
    record = JobRecord("", spec, JobState.RUNNING, now(), __version__, attempt=1)
    with StopSignals() as signals, make_view(quiet=as_json) as view:
        try:
            result = _animate(spec, settings, view, signals)
            record = replace(record, state=JobState.SUCCEEDED, result=result)
        except JobCancelled:
            record = replace(record, state=JobState.CANCELLED)
        except AnimatorError as error:
            record = replace(record, state=JobState.FAILED, error=JobError.of(error))
    if as_json:
        record = replace(record, started=record.created, finished=now())
        print_json({**record.as_dict(), "id": None})
    _conclude(record, signals, as_json)


def _animate(spec: JobSpec, settings: Settings, view: ProgressView, signals: StopSignals) -> Result:
    view.update("starting")
    from animator.pipeline import animate

    def report(progress: Progress) -> None:
        view.update("stopping" if signals.requested() else progress.stage, progress)

    return animate(
        settings.apply_to(spec),
        report=report,
        should_stop=signals.requested,
        limits=settings.limits(),
    )


def submit_job(spec: JobSpec, *, overwrite: bool, named: bool, wait: bool, as_json: bool) -> None:
    """Queue a job and, if asked to, wait for it.

    Unless the user `named` the output, a job that is going to write a file of the same name moves
    this one on to the next name.
    """
    check_files(spec, overwrite=overwrite)
    with StopSignals() as signals:
        client = Client.connect()
        record = _submit(client, spec, overwrite, named)
        if not as_json:
            say(f"job {record.id}")
        if wait:
            with make_view(quiet=as_json) as view:
                record = client.wait(
                    record.id, work=True, on_change=view.follow, should_stop=signals.requested
                )
    if as_json:
        print_json(record.as_dict())
    if not wait:
        if not as_json:
            print_path(record.spec.output)
        if not client.queue.alive_workers():
            say("No worker is running; start one with: celery -A worker worker")
        return
    _conclude(record, signals, as_json)


def _submit(client: Client, spec: JobSpec, overwrite: bool, named: bool) -> JobRecord:
    if named:
        return client.submit(spec, overwrite=overwrite)
    for name in free_names(spec.source, spec.driving, Path(spec.output).parent):
        try:
            return client.submit(replace(spec, output=str(name)))
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


def show_status(job_id: str | None, *, as_json: bool) -> None:
    """Print one job or, without an id, the newest and the state of the queue."""
    store = open_store(Settings.from_environment())
    if job_id is not None:
        record = store.get(job_id)
        print_json(record.as_dict()) if as_json else _show_record(record)
        return
    newest = next(iter(store.list_jobs(limit=1)), None)
    counts = {state.value: count for state, count in store.counts().items()}
    workers = store.workers()
    if as_json:
        empty = {"id": None, "state": None, "output": None, "progress": None, "error": None}
        values = empty if newest is None else newest.as_dict()
        names = [worker.id for worker in workers if worker.consuming]
        print_json({**values, "queue": counts, "workers": names})
        return
    if newest is not None:
        _show_record(newest)
        print()
    print("jobs      " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    names = [worker.id + ("" if worker.consuming else " (takes no jobs)") for worker in workers]
    print("workers   " + (", ".join(names) or "none"))


def _show_record(record: JobRecord) -> None:
    lines = [("job", record.id), ("state", _state(record)), ("output", record.spec.output)]
    if record.progress is not None and not record.state.ended:
        lines.append(("stage", record.progress.stage))
        lines.append(("progress", describe(record.progress)))
    if record.error is not None:
        lines.append(("error", f"[{record.error.code}] {record.error.message}"))
        lines.append(("retry", "may help" if record.error.retryable else "does not help"))
    if record.result is not None:
        result = record.result
        lines.append(("frames", f"{result.frames} in {clock(result.seconds)}"))
        lines += [("note", warning) for warning in result.warnings]
    lines += [("source", record.spec.source), ("driving", record.spec.driving)]
    for name in ("created", "started", "finished", "worker"):
        if value := getattr(record, name):
            lines.append((name, value))
    for name, value in lines:
        print(f"{name:<9} {printable(value)}")


def _state(record: JobRecord) -> str:
    if record.cancel_requested and record.state is JobState.RUNNING:
        return "running (cancelling)"
    return record.state.value


def show_list(state: str | None, limit: int, *, as_json: bool) -> None:
    """Print jobs, the newest first."""
    store = open_store(Settings.from_environment())
    records = store.list_jobs(None if state is None else JobState(state), limit=limit)
    if as_json:
        print_json([record.as_dict() for record in records])
    elif records:
        _show_table(records)
    else:
        say("no jobs")


def _show_table(records: Sequence[JobRecord]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("JOB", "STATE", "CREATED", "PROGRESS", "OUTPUT"):
        table.add_column(name, no_wrap=name != "OUTPUT", overflow="fold")
    for record in records:
        if record.error is not None:
            detail = f"[{record.error.code}]"
        elif record.result is not None:
            detail = f"{record.result.frames} frames"
        else:
            detail = "" if record.progress is None else describe(record.progress)
        cells = (record.id, _state(record), record.created[:19], detail, record.spec.output)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    print_table(table)


def cancel_job(job_id: str, *, as_json: bool) -> None:
    """Ask for a job to be cancelled and say what follows."""
    store = open_store(Settings.from_environment())
    state = store.request_cancel(job_id)
    if as_json:
        print_json(store.get(job_id).as_dict())
    elif state is JobState.RUNNING:
        say(f"Job {job_id} stops at its next step.")
    else:
        say(f"Job {job_id} is {state.value}.")


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
