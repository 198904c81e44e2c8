"""The sheet of one frame on the command line."""

from __future__ import annotations

import typer

from animator.cli.console import StopSignals, print_path, printable, say
from animator.cli.progress import make_view
from animator.errors import AnimatorError, JobCancelled
from animator.files.local import SHEET_SUFFIXES
from animator.jobs.preflight import check_files
from animator.processor import share_cores
from animator.record import Progress
from animator.settings import Settings
from animator.spec import JobSpec


def explain_here(spec: JobSpec, frame: int | None, settings: Settings, *, overwrite: bool) -> None:
    """Draw the sheet in this process and say where it is.

    Raises:
        AnimatorError: `invalid_option` if the sheet is to go elsewhere, and as `check_files`.
    """
    share_cores()
    if spec.output.is_url:
        raise AnimatorError("invalid_option", "A sheet is written on this machine; give a path.")
    check_files(spec, settings, overwrite=overwrite, suffixes=SHEET_SUFFIXES)
    with StopSignals() as signals, make_view() as view:
        view.update("starting")  # it is on the screen while PyTorch is imported
        from animator.animation.explain.frame import explain
        from animator.workspace.staging import stage

        def check() -> None:
            if signals.requested():
                raise JobCancelled

        def report(progress: Progress) -> None:
            view.update("stopping" if signals.requested() else progress.stage, progress)

        try:
            with stage(settings.apply_to(spec), settings, check) as staged:
                explained = explain(
                    staged.spec,
                    frame,
                    settings=settings,
                    report=report,
                    should_stop=signals.requested,
                )
        except JobCancelled:
            say("Cancelled; nothing was written.")
            raise signals.exit() if signals.requested() else typer.Exit(1) from None
    weights = printable(explained.weights)
    say(f"frame {explained.frame} of {explained.frames}, counted from 0, by {weights}")
    print_path(explained.output)
