"""The commands that look after jobs and workers; each makes one call and prints what came of it."""

from __future__ import annotations

from typing import Annotated

import typer

from animator.cli import options as opt
from animator.cli.console import farm_command, farm_making_command

Jobs = Annotated[
    list[str],
    typer.Argument(metavar="JOB...", help="Ids of jobs, or their first letters, at least four."),
]
JobsOrNone = Annotated[
    list[str] | None,
    typer.Argument(metavar="[JOB]...", help="Ids of jobs, or their first letters, at least four."),
]
JsonArray = Annotated[bool, typer.Option("--json", help="Print a JSON array on standard output.")]
_AGO = "a time ago (90s, 15m, 2h, 3d, 1w) or a date (2026-03-01, 2026-03-01T12:30; UTC)."


@farm_command
def status(
    job: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="Id of a job; else the newest, and the queue."),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Show how a job is doing, or the newest job and the whole queue."""
    from animator.cli.farm.status import show_status

    show_status(job, as_json=as_json)


@farm_command
def list_jobs(
    state: opt.State = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only jobs submitted since then: {_AGO}")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only jobs submitted until then, likewise.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="At most so many, the newest first; 0: all.")
    ] = 20,
    as_json: JsonArray = False,
) -> None:
    """List jobs, the newest first."""
    from animator.cli.farm.listing import show_list

    show_list(state, since, until, limit, as_json=as_json)


@farm_command
def watch(
    jobs: JobsOrNone = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for every change.")
    ] = False,
) -> None:
    """Watch jobs until they have ended, or without any all that wait and run.

    The exit status is 1 unless all succeeded. Ctrl-C ends the watching and leaves the jobs alone.
    """
    from animator.cli.farm.watch import watch_jobs

    watch_jobs(jobs or [], as_json=as_json)


@farm_making_command
def cancel(
    jobs: JobsOrNone = None,
    all_queued: Annotated[
        bool, typer.Option("--all-queued", help="All jobs that wait for their turn.")
    ] = False,
    as_json: JsonArray = False,
) -> None:
    """Cancel jobs: at once if they wait, at their next step if they run."""
    from animator.cli.farm.change import cancel_jobs

    cancel_jobs(jobs or [], all_queued=all_queued, as_json=as_json)


@farm_making_command
def retry(
    jobs: JobsOrNone = None,
    failed: Annotated[bool, typer.Option("--failed", help="All jobs that failed.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Let the outputs replace files that are there.")
    ] = False,
    as_json: JsonArray = False,
) -> None:
    """Put failed or cancelled jobs into the queue again."""
    from animator.cli.farm.change import retry_jobs

    retry_jobs(jobs or [], failed=failed, force=force, as_json=as_json)


@farm_command
def logs(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, or its first letters.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON array; with --follow one JSON object a line."),
    ] = False,
) -> None:
    """Show what happened to a job: attempts, stages, errors, on whichever machine."""
    from animator.cli.farm.logs import show_logs

    show_logs(job, follow=follow, as_json=as_json)


@farm_making_command
def fetch(
    jobs: Jobs,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="Where to copy the video to; a folder for several; with / at its end it "
            "is made. \\[default: this folder]",
            show_default=False,
        ),
    ] = None,
    force: opt.Force = False,
    as_json: JsonArray = False,
) -> None:
    """Copy the videos of jobs that succeeded; each appears whole or not at all."""
    from animator.cli.farm.fetch import fetch_jobs

    fetch_jobs(jobs, output, force=force, as_json=as_json)


@farm_command
def queue(as_json: opt.Json = False) -> None:
    """Show how many jobs wait, how fast they go, and when the last will have ended."""
    from animator.cli.farm.overview import show_queue

    show_queue(as_json=as_json)


@farm_command
def workers(as_json: JsonArray = False) -> None:
    """List the workers: machine, device, slots, jobs, frames a second, memory, since when."""
    from animator.cli.farm.overview import show_workers

    show_workers(as_json=as_json)


@farm_making_command
def purge(
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DAYS", help="Ended so long ago: days, or a time such as 12h or 2w. Needed."
        ),
    ] = None,
    state: Annotated[
        opt.EndedState | None,
        typer.Option(
            metavar="[succeeded|failed|cancelled]",
            help="Only jobs in this state. \\[default: all that have ended]",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Forget jobs that have ended. Their videos stay."""
    from animator.cli.farm.purge import purge_jobs

    purge_jobs(state, older_than, sure=yes, as_json=as_json)
