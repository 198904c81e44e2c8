"""`animator status`: one job, or the newest and the whole queue."""

from __future__ import annotations

from animator.cli.console import print_json, printable
from animator.cli.farm.ids import find_job
from animator.cli.progress import clock, describe
from animator.jobs.queue import open_store
from animator.record import JobRecord, JobState
from animator.settings import Settings


def show_status(job: str | None, *, as_json: bool) -> None:
    """Print one job or, without an id, the newest and the state of the queue."""
    store = open_store(Settings.from_environment())
    if job is not None:
        record = find_job(store, job)
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


def state_of(record: JobRecord) -> str:
    """The state in words, such as "running (cancelling)"."""
    if record.cancel_requested and record.state is JobState.RUNNING:
        return "running (cancelling)"
    return record.state.value


def detail_of(record: JobRecord) -> str:
    """What there is to say of the job beside its state: its progress, or how it ended."""
    if record.error is not None:
        return f"[{record.error.code}]"
    if record.result is not None:
        return f"{record.result.frames} frames"
    return "" if record.progress is None else describe(record.progress)


def _show_record(record: JobRecord) -> None:
    lines = [("job", record.id), ("state", state_of(record)), ("output", record.spec.output)]
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
    lines += _farm_lines(record)
    for name in ("created", "started", "finished", "worker"):
        if value := getattr(record, name):
            lines.append((name, value))
    for name, value in lines:
        print(f"{name:<9} {printable(value)}")


def _farm_lines(record: JobRecord) -> list[tuple[str, str]]:
    """What the farm did with the job, where that is out of the ordinary."""
    lines: list[tuple[str, str]] = []
    if record.options.priority != "normal":
        lines.append(("priority", record.options.priority))
    if record.options.key is not None:
        lines.append(("key", record.options.key))
    if record.attempt > 1:
        over = f", {record.resumed} frames of earlier ones kept" if record.resumed else ""
        lines.append(("attempt", f"{record.attempt}{over}"))
    if record.suspect and not record.state.ended:
        lines.append(("suspect", "a worker died with it; it runs in a process of its own"))
    if record.lease is not None:
        lines.append(("lease", f"{record.lease:.0f} s"))
    return lines
