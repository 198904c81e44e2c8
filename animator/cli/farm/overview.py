"""`animator queue` and `animator workers`: the farm as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from animator.cli.console import print_json, print_json_array, print_table, printable, say
from animator.cli.moments import age
from animator.cli.progress import clock
from animator.jobs.backlog import Backlog, look
from animator.jobs.queue import open_store
from animator.jobs.workers import WorkerInfo
from animator.settings import Settings


def show_queue(*, as_json: bool) -> None:
    """Print how much waits, how fast it goes, and when it will have ended."""
    backlog = look(open_store(Settings.from_environment()))
    if as_json:
        print_json(backlog.as_dict())
    else:
        for name, value in _lines(backlog):
            print(f"{name:<9} {value}")


def _lines(backlog: Backlog) -> list[tuple[str, str]]:
    depth = ", ".join(f"{count} {name}" for name, count in backlog.depth.items())
    kinds = ", ".join(f"{count} for {name}" for name, count in backlog.kinds.items() if count)
    lines = [("queued", f"{backlog.queued} ({depth})"), ("devices", kinds or "none asked for")]
    lines.append(("running", f"{backlog.running} in {backlog.slots} slots"))
    lines.append(("workers", f"{backlog.workers} that take jobs"))
    if backlog.oldest is not None:
        lines.append(("oldest", f"submitted {age(backlog.oldest)} ago"))
    for minutes, rate in backlog.rates.items():
        text = f"{rate.jobs:.2f} jobs and {rate.frames:.1f} frames a minute"
        lines.append((f"{minutes} min", text))
    if not backlog.queued and not backlog.running:
        left = "nothing to do"
    elif backlog.eta is None:
        left = "not known yet"
    else:
        left = f"about {clock(backlog.eta)}"
    return [*lines, ("left", left)]


def show_workers(*, as_json: bool) -> None:
    """Print the workers that live."""
    workers = open_store(Settings.from_environment()).workers()
    if as_json:
        print_json_array(worker.as_dict() for worker in workers)
    elif workers:
        _show_table(workers)
    else:
        say("no workers; start one with: celery -A worker worker")


def _show_table(workers: Sequence[WorkerInfo]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("MACHINE", "PID", "DEVICE", "SLOTS", "JOBS", "FRAMES/S", "MEMORY", "SINCE", ""):
        right = name in ("PID", "SLOTS", "JOBS", "FRAMES/S", "MEMORY")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for worker in workers:
        device = worker.device or "not used yet"
        cells = (
            worker.host,
            str(worker.pid),
            f"{device} ({worker.device_name})" if worker.device_name else device,
            str(worker.concurrency),
            str(len(worker.jobs)),
            f"{worker.fps:.1f}",
            f"{worker.memory_mb:,.0f} MiB",
            f"{age(worker.started)} ago",
            "" if worker.consuming else "takes no jobs",
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    print_table(table)
