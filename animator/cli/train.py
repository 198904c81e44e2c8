"""`animator train`: train a model of the family."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from animator.cli.console import StopSignals, making_command, print_path, printable, say
from animator.cli.progress import clock
from animator.errors import AnimatorError

if TYPE_CHECKING:
    from gfla.training.dry_run import RunPlan
    from gfla.training.launch import RunRequest, RunResult
    from gfla.training.loop import StepReport

LINE_SECONDS = 20.0
"""Between two lines where there is no terminal."""
ERRORS = {
    "invalid_config": "invalid_config",
    "unknown_layer": "invalid_config",
    "other_run": "other_run",
    "diverged": "diverged",
    "bad_checkpoint": "weights_unreadable",
    "features_unavailable": "features_unavailable",
    "device_unavailable": "device_unavailable",
    "disk_full": "disk_full",
    "not_writable": "output_not_writable",
}
"""Codes of the trainer's errors, and ours; all others tell of the data."""


@making_command
def train(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="Name of a shipped configuration, or a YAML file; see docs."
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Changes to it, such as batch=4 or optimizer.learning_rate=1e-3.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of prepared data, with train and perhaps held-out. Synthetic data needs "
            "none.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Folder of the run; one that holds it is resumed."),
    ] = None,
    devices: Annotated[
        int, typer.Option(metavar="N", min=1, help="GPUs, or processes on the CPU.")
    ] = 1,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda", help="Where to train; auto: a GPU if any.")
    ] = "auto",
    max_minutes: Annotated[
        float | None,
        typer.Option(metavar="M", min=0, help="End after so many minutes, with a checkpoint."),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="End after so many steps of this call, likewise."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the configuration, sizes, memory and step time; train nothing."
        ),
    ] = False,
) -> None:
    """Train a model, or go on with a run. Ctrl-C and SIGTERM end it with a checkpoint."""
    # One that says nothing which a user could act on is PyTorch's about unused parameters.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with StopSignals() as signals:
        try:
            request = _request(
                config, overrides or [], data, out or (Path("runs") if dry_run else None),
                devices, device, max_minutes, max_steps, signals,
            )  # fmt: skip
            if dry_run:
                _show_plan(request)
                return
            result = _train(request)
        except Exception as error:
            raise _ours(error) from error
    say(f"{result.end} at step {result.step:,}")
    print_path(str(result.weights))
    if result.end == "stopped" and signals.received != signal.SIGTERM:
        raise signals.exit()


def _request(
    name: str,
    overrides: list[str],
    data: Path | None,
    out: Path | None,
    devices: int,
    device: str,
    max_minutes: float | None,
    max_steps: int | None,
    signals: StopSignals,
) -> RunRequest:
    from gfla.data.readers import SYNTHETIC
    from gfla.training.config_files import load_config
    from gfla.training.launch import RunRequest
    from gfla.training.loop import Limits

    config = load_config(name, overrides)
    if out is None:
        raise AnimatorError("invalid_option", "--out is missing: the folder of the run.")
    if data is None and config.data.kind not in SYNTHETIC:
        raise AnimatorError("invalid_option", "--data is missing: the folder of prepared data.")
    limits = Limits(max_minutes, max_steps, signals.requested)
    return RunRequest(config, data or Path(), out, devices, device, limits)


def _train(request: RunRequest) -> RunResult:
    from gfla.training.launch import launch

    with make_view() as view:
        return launch(request, view.update, say)


def _show_plan(request: RunRequest) -> None:
    from gfla.training.dry_run import dry_run

    print(describe_plan(dry_run(request), request.devices), flush=True)


def describe_plan(plan: RunPlan, devices: int) -> str:
    """The plan as text: the configuration, then what it takes."""
    mebi = 2**20
    total = (plan.state_bytes + plan.batch_bytes) / mebi
    lines = [
        plan.config.rstrip(),
        "",
        f"parameters       {plan.parameters:,}",
        f"critics          {plan.critic_parameters:,} parameters",
        f"memory           about {total:,.0f} MiB a device: {plan.state_bytes / mebi:,.0f} for "
        f"weights and optimizers, {plan.batch_bytes / mebi:,.0f} for a batch",
        f"step             {plan.step_seconds:.3f} s on {plan.device}, from "
        f"{plan.measured_batch} samples at once",
        f"loading          {plan.sample_seconds:.3f} s a sample in one process",
    ]
    if plan.lacking:
        lines.append(f"lacking          {plan.lacking}; measured with random ones")
    if devices > 1:
        lines.append(f"devices          {devices}; measured on one")
    return "\n".join(lines)


def _ours(error: Exception) -> Exception:
    """What a user can act on as an error of ours; anything else as it is."""
    from gfla.errors import GflaError
    from gfla.files import DISK_FULL

    if isinstance(error, GflaError):
        sentence = f"{error.message.removesuffix('.')}."
        return AnimatorError(ERRORS.get(error.code, "bad_data"), sentence)
    if isinstance(error, ModuleNotFoundError) and error.name in ("lightning", "yaml", "h5py"):
        return AnimatorError(
            "missing_package", f"{error.name} is not installed: pip install 'animator[train]'"
        )
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return AnimatorError(
            "out_of_memory", f"{error} Try a smaller batch, with accumulate for the rest."
        )
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        code = "disk_full" if error.errno in DISK_FULL else "output_not_writable"
        return AnimatorError(code, f"{error}")
    return error


def describe(report: StepReport) -> str:
    """Where a run is, in a line."""
    parts = [f"step {report.step:,} of {report.steps:,}"]
    parts += [f"{name} {value:.4g}" for name, value in report.values.items()]
    parts.append(f"{report.pictures_per_second:.3g} images/s")
    if report.waiting >= 0.02:
        parts.append(f"{report.waiting:.0%} of the time waiting for data")
    if report.failed:
        parts.append(f"{report.failed} broken samples")
    if report.seconds_left is not None:
        parts.append(f"{clock(report.seconds_left)} left")
    return ", ".join(parts)


class TrainingLines(AbstractContextManager["TrainingLines"]):
    """A line every while."""

    def __init__(self) -> None:
        self._said = -LINE_SECONDS

    def update(self, report: StepReport) -> None:
        """Say it if the last line is a while ago, or this is the last step."""
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS or report.step >= report.steps:
            self._said = now
            say(describe(report))

    def __exit__(self, *raised: object) -> None:
        """Nothing is left to do."""


class TrainingPanel(TrainingLines):
    """A bar and the losses, redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self._live = Live(console=Console(stderr=True, highlight=False), refresh_per_second=4)

    def __enter__(self) -> TrainingPanel:
        self._live.start()
        return self

    def update(self, report: StepReport) -> None:
        """Redraw."""
        self._live.update(panel(report))

    def __exit__(self, *raised: object) -> None:
        """Leave the last state where it is."""
        self._live.stop()


def panel(report: StepReport) -> Group:
    """A bar, the pace, and a table of the losses."""
    top = Table.grid(padding=(0, 2))
    pace = f"{report.pictures_per_second:.3g} images/s"
    left = "" if report.seconds_left is None else f"{clock(report.seconds_left)} left"
    bar = ProgressBar(total=report.steps, completed=report.step, width=30)
    top.add_row(f"step {report.step:,} of {report.steps:,}", bar, pace, left)
    losses = Table.grid(padding=(0, 2))
    for name, value in report.values.items():
        losses.add_row(Text(printable(name).replace("_", " ")), f"{value:.4g}")
    notes = f"{report.waiting:.0%} of the time waiting for data"
    if report.failed:
        notes += f", {report.failed} broken samples replaced"
    return Group(top, losses, Text(notes))


def make_view() -> TrainingLines:
    """The view that fits where standard error goes."""
    return TrainingPanel() if sys.stderr.isatty() else TrainingLines()
