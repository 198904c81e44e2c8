"""Jobs of the queue on the command line: submit; the embedded queue's end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from animator.broker.embedded import EmbeddedRedis
from animator.cli.check import check_before_submit
from animator.cli.console import (
    StopSignals,
    print_json,
    printable,
    say,
)
from animator.cli.progress import make_view
from animator.cli.run import conclude
from animator.errors import AnimatorError
from animator.files.local import free_names
from animator.jobs.client import Client
from animator.jobs.preflight import check_files
from animator.jobs.store import JobStore, connect
from animator.record import JobRecord
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from animator.values import Location


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
    conclude(record, signals, as_json)


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
