"""`animator batch` and `scripts/generate_dataset.py`: a data set from a manifest."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.filesize import decimal

from animator.cli import options as opt
from animator.cli.console import StopSignals, making_command, print_json, print_path, printable, say
from animator.cli.moments import moment
from animator.cli.progress import clock, make_batch_view
from animator.dataset.samples import NEEDED, OPTIONAL
from animator.errors import AnimatorError, JobCancelled
from animator.options import Extra, RowOptions, SharedOptions
from animator.processor import share_cores
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec

if TYPE_CHECKING:
    from animator.dataset.batch import Inputs, Prepared, Summary
    from animator.dataset.estimate import RunEstimate
    from animator.dataset.options import RunOptions
    from animator.dataset.scheduler import Control

SHOWN_FAULTS = 10
FormatName = Literal["shards", "files"]
_INPUTS, _OUTPUTS, _CALL = "Inputs", "Outputs", "This call"


@making_command
@opt.job_options(JobSpec, JobOptions, without=["key", "webhook"])
def batch(
    manifest: Annotated[
        str | None,
        typer.Argument(
            metavar="[MANIFEST]",
            help=f"CSV, JSON Lines or Parquet with the columns {' and '.join(NEEDED)}, and "
            f"optionally {', '.join(OPTIONAL)}; a path or a URL.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="[DIR|URL]",
            show_default=False,
            help="Folder of the run; one that holds it is gone on with.",
        ),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Pictures, in place of a manifest; may be given again.",
            show_default=False,
            rich_help_panel=_INPUTS,
        ),
    ] = None,
    drivings: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Driving videos that go with them; may be given again.",
            show_default=False,
            rich_help_panel=_INPUTS,
        ),
    ] = None,
    pairs: Annotated[
        str,
        typer.Option(
            metavar="[product|zip|sample:N]",
            rich_help_panel=_INPUTS,
            help="Each picture with each video, the first with the first and so on, or N pairs "
            "drawn of all.",
        ),
    ] = "product",
    seed: Annotated[
        int, typer.Option(metavar="N", help="Of that draw.", rich_help_panel=_INPUTS)
    ] = 0,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default=False,
            rich_help_panel=_INPUTS,
            help="Only samples with an input that was modified since: 2h, 3d, or a date. Files "
            "that come after the run was begun are for another run.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Do nothing if any row cannot be used.", rich_help_panel=_INPUTS
        ),
    ] = False,
    output_format: Annotated[
        FormatName,
        typer.Option(
            "--format",
            rich_help_panel=_OUTPUTS,
            help="shards: tar files as WebDataset reads them; files: a folder for each shard.",
        ),
    ] = "shards",
    shard_size: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Samples of a shard.", rich_help_panel=_OUTPUTS),
    ] = 1000,
    extras: Annotated[
        list[str] | None,
        typer.Option(
            "--extra",
            metavar=opt.one_of(Extra),
            show_default=False,
            rich_help_panel=_OUTPUTS,
            help="What comes with every video; may be given again. flows cost a second rollout.",
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure",
            help="Measure the quality of every sample.",
            rich_help_panel=_OUTPUTS,
        ),
    ] = True,
    quality_filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            show_default=False,
            rich_help_panel=_OUTPUTS,
            help="Leave out samples that do not meet it, such as identity>=0.5 or "
            "landmark_error<=3; may be given again.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Make those again that failed before.", rich_help_panel=_CALL
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            rich_help_panel=_CALL,
            help="Say what would be made, how long it takes and how large it gets; make nothing.",
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Make at most so many, then end.",
            show_default=False,
            rich_help_panel=_CALL,
        ),
    ] = None,
    in_flight: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            rich_help_panel=_CALL,
            help="Most jobs in the queue at a time. \\[default: four times the workers' slots]",
        ),
    ] = None,
    as_json: opt.Json = False,
    **job_options: Any,
) -> None:
    """Animate all pairs of a manifest, or of two lists of files, into a data set.

    The same command again goes on where it was; Ctrl-C ends it cleanly. It exits with 1 if a sample
    failed or a row could not be used.
    """
    from animator.dataset.batch import Inputs
    from animator.dataset.manifest.reader import RowDefaults
    from animator.dataset.options import RunOptions
    from animator.dataset.scheduler import Control
    from animator.weights.library import for_spec

    if out is None:
        raise AnimatorError("invalid_option", "--out is missing: the folder of the run.")
    settings = Settings.from_environment()
    opt.read_values(job_options)
    job_options["weights"] = for_spec(job_options["weights"], settings)
    row, shared = (
        {item.name: job_options[item.name] for item in fields(kind)}
        for kind in (RowOptions, SharedOptions)
    )
    defaults = RowDefaults(**row, priority=job_options["priority"])
    inputs = Inputs(
        manifest, tuple(sources or ()), tuple(drivings or ()), pairs, seed, defaults,
        None if since is None else moment("--since", since), since or "",
    )  # fmt: skip
    wanted = cast("tuple[Extra, ...]", tuple(extras or ()))  # RunOptions looks at them
    filters = tuple(quality_filter or ())
    options = RunOptions(output_format, shard_size, wanted, measure, filters, **shared)
    control = Control(in_flight or 0, limit, retry_failed, device=job_options["device"])
    if dry_run:
        _foretell(inputs, out, options, settings, strict=strict, as_json=as_json)
    else:
        _generate(inputs, out, options, settings, control, strict=strict, as_json=as_json)


def _generate(
    inputs: Inputs,
    out: str,
    options: RunOptions,
    settings: Settings,
    control: Control,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    from animator.dataset.batch import generate

    def show_plan(prepared: Prepared) -> None:
        if not as_json:
            _say_plan(prepared)

    with StopSignals() as signals, make_batch_view(quiet=as_json) as view:
        try:
            summary = generate(
                inputs, out, options, settings, control, strict=strict,
                report=view.update, should_stop=signals.requested, on_plan=show_plan,
            )  # fmt: skip
        except JobCancelled:
            say("Cancelled; nothing was begun.")
            raise signals.exit() from None
    if as_json:
        print_json(summary.as_dict())
    else:
        _show(summary)
    if signals.requested():
        raise signals.exit()
    if summary.failed or summary.faults:
        raise typer.Exit(1)


def _foretell(
    inputs: Inputs,
    out: str,
    options: RunOptions,
    settings: Settings,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    from animator.dataset.batch import on_a_gpu, own_slots, plan_run
    from animator.dataset.estimate import estimate
    from animator.jobs.queue import open_store

    # Jobs on a GPU are stepped as one batch, so that each is slower than one alone.
    slots = 1 if on_a_gpu(settings) else own_slots(settings)
    share_cores(slots)
    with StopSignals() as signals, make_batch_view(quiet=as_json) as view:
        try:
            prepared = plan_run(
                inputs, out, options, settings, strict=strict, report=view.update,
                should_stop=signals.requested,
            )  # fmt: skip
            rates = open_store(settings).rates() if settings.broker_url else {}
            plan = prepared.plan
            told = estimate(
                prepared.run, plan.samples, len(plan.faults), options, settings, rates,
                slots=slots, should_stop=signals.requested,
            )  # fmt: skip
        except JobCancelled:
            raise signals.exit() from None
    if as_json:
        print_json(told.as_dict())
        return
    _say_plan(prepared)
    _show_estimate(told)


def _say_plan(prepared: Prepared) -> None:
    plan = prepared.plan
    left_out = f", {plan.older:,} not modified since" if plan.older else ""
    say(f"{len(plan.samples):,} samples, {len(plan.faults):,} rows that cannot be used{left_out}")
    for note in prepared.notes:
        say(f"note: {printable(note)}")
    for fault in plan.faults[:SHOWN_FAULTS]:
        say(f"row {fault.row} [{fault.code}]: {printable(fault.message)}")
    if more := len(plan.faults[SHOWN_FAULTS:]):
        say(f"and {more:,} more, see faults.jsonl and `animator report`")


def _show(summary: Summary) -> None:
    parts = [f"{summary.succeeded:,} of {summary.samples:,} samples made"]
    parts += [f"{summary.rejected:,} left out by their quality"] * bool(summary.rejected)
    parts += [f"{summary.failed:,} failed"] * bool(summary.failed)
    parts += [f"{summary.left:,} left"] * bool(summary.left)
    say(", ".join(parts))
    for code, count in summary.failures.items():
        say(f"failed [{code}]: {count:,}")
    if summary.left:
        say("The same command goes on from here.")
    elif summary.failed:
        say("--retry-failed makes those again that failed.")
    print_path(summary.out)


def _show_estimate(told: RunEstimate) -> None:
    say(f"to be made: {told.left:,}, of {told.sources:,} pictures and {told.drivings:,} videos")
    if told.frames is not None:
        say(f"frames: about {told.frames:,}")
    if told.seconds is not None:
        say(f"time: about {clock(told.seconds)}, by {told.basis}")
    if told.bytes is not None:
        say(f"size: about {decimal(told.bytes)}")
