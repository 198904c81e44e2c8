"""`animator report`: what a run's folder shows, as one page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from animator.dataset.plan_files import read_plan
from animator.dataset.report.data import summarise
from animator.dataset.report.page import render
from animator.dataset.run_folder import RunFolder
from animator.errors import AnimatorError
from animator.files.output import write_whole
from animator.files.storage import Storage
from animator.settings import Settings

MARK = '<meta name="generator" content="animator report">'
"""What the head of a page has, so that its next version may take its place."""
_HEAD = 1000


def write_report(location: str, output: str | Path, settings: Settings) -> None:
    """Write the page of a run, whether it is over or goes on.

    Args:
        location: folder or URL of the run.
        output: the HTML file; it is replaced.
        settings: which URLs are allowed.

    Raises:
        AnimatorError: `bad_data` if there is no run, or a damaged one; `other_run` if another
            version made it; errors of `Storage`, and of `animator.files.output.write_whole`.
    """
    storage = Storage.open(location, settings)
    run = RunFolder.find(storage)
    if run is None:
        message = f"There is no run of `animator batch` in {location!r}; give the --out of one."
        raise AnimatorError("bad_data", message)
    plan = read_plan(storage)
    told = summarise(
        title=location,
        options={**run.info.inputs, **run.info.options.as_dict()},
        total=len(plan.samples),
        rows=run.all_rows(plan.samples),
        faults=plan.faults,
        shards=run.stats(),
        now=datetime.now(UTC),
        video_of=run.video,
    )
    write_whole(output, render(told).encode())


def is_report(path: str | Path) -> bool:
    """Whether a file is a page that `write_report` has made."""
    try:
        with open(path, "rb") as file:
            return MARK.encode() in file.read(_HEAD)
    except OSError:
        return False
