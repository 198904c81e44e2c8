"""`animator evaluate`: measure weights by a protocol, or compare two folders of pictures."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from animator.cli import options as opt
from animator.cli.console import StopSignals, command, print_json, print_path, say
from animator.cli.options import complete_weights
from animator.errors import AnimatorError, JobCancelled
from animator.settings import Settings

if TYPE_CHECKING:
    from animator.evaluation.run import EvaluationRequest
    from gfla.evaluation.metrics import MetricFiles
    from gfla.evaluation.protocol import Protocol

LINE_SECONDS = 20.0
"""Time between two lines of progress where there is no terminal."""
_METRICS = "The metrics"
_MACHINE = "The machine"

app = typer.Typer(invoke_without_command=True)

ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="[NAME|FILE]",
        help="A protocol that is shipped (`animator evaluate protocols`), or a YAML or JSON file.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change the protocol, such as split=train or pictures.height=128; may be given again.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="DIR", help="Gets table.md and table.json."),
]
Features = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Measure the VGG16 feature distance with these weights (torchvision's names) in place "
        "of LPIPS; the protocol that is printed says so.",
        rich_help_panel=_METRICS,
    ),
]
Inception = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Inception v3 of FID and KID. \\[default: in torch.hub's folder, else downloaded]",
        show_default=False,
        rich_help_panel=_METRICS,
    ),
]
TorchvisionInception = Annotated[
    Path | None,
    typer.Option(
        "--inception-torchvision",
        metavar="FILE",
        help="Inception v3 of fid-torchvision, the paper's FID. \\[default: as for --inception]",
        show_default=False,
        rich_help_panel=_METRICS,
    ),
]
Backbone = Annotated[
    Path | None,
    typer.Option(
        "--lpips-backbone",
        metavar="FILE",
        help="Weights of the network that LPIPS is made of. \\[default: as for --inception]",
        show_default=False,
        rich_help_panel=_METRICS,
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace tables that are there.")]


@app.callback()
@command
def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Packs of clips, or prepared pairs.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Gets table.md, table.json and sheets of the best, median and worst samples.",
            show_default=False,
        ),
    ] = None,
    protocol: ProtocolName = "faces",
    changes: Changes = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[[LABEL=]NAME|FILE]",
            help="A row: a name from `animator weights list`, or a file; may be given again. "
            "\\[default: default, for faces]",
            autocompletion=complete_weights,
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only so many clips or pairs, drawn by the seed."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Pictures of the whole training set, for FID. \\[default: DATA/train/images]",
            show_default=False,
        ),
    ] = None,
    save_pictures: Annotated[
        bool, typer.Option("--save-pictures", help="Keep the rendered pictures of pairs.")
    ] = False,
    force: Force = False,
    features: Features = None,
    inception: Inception = None,
    inception_torchvision: TorchvisionInception = None,
    lpips_backbone: Backbone = None,
    device: opt.Device = "auto",
    precision: opt.Precision = "float32",
    as_json: opt.Json = False,
) -> None:
    """Measure weights by a protocol: a table with a row for each, and sheets to look at."""
    if context.invoked_subcommand is not None:
        return
    if data is None or out is None:
        raise AnimatorError("invalid_option", "--data and --out are needed.")
    from animator.evaluation.run import EvaluationRequest, coded_data_errors, labelled

    with coded_data_errors():
        followed = _protocol(protocol, changes, samples, features)
        files = _files(followed, features, inception, lpips_backbone, inception_torchvision)
    if followed.task == "folders":
        message = "A protocol of folders is for `animator evaluate folders REAL FAKE`."
        raise AnimatorError("invalid_option", message)
    rows = weights or (["default"] if followed.task == "faces" else [])
    _run(
        EvaluationRequest(
            followed, data, out, tuple(labelled(row) for row in rows), files, reference,
            device, precision, save_pictures, force,
        ),
        as_json=as_json,
    )  # fmt: skip


@app.command()
@command
def folders(
    real: Annotated[Path, typer.Argument(metavar="REAL", help="Folder of real pictures.")],
    fake: Annotated[
        Path,
        typer.Argument(
            metavar="FAKE",
            help="Folder of generated ones; but for FID and KID each needs a real one of its name.",
        ),
    ],
    out: Out,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Instead of the protocol's: fid, fid-torchvision, kid, lpips-alex-0.1, ssim, "
            "psnr, l1, vgg16-features; with commas.",
        ),
    ] = None,
    protocol: ProtocolName = "folders",
    changes: Changes = None,
    force: Force = False,
    features: Features = None,
    inception: Inception = None,
    inception_torchvision: TorchvisionInception = None,
    lpips_backbone: Backbone = None,
    device: opt.Device = "auto",
    as_json: opt.Json = False,
) -> None:
    """Compare two folders of pictures."""
    from dataclasses import replace

    from animator.evaluation.run import EvaluationRequest, coded_data_errors

    with coded_data_errors():
        followed = _protocol(protocol, changes, None, None)
        if followed.task != "folders":
            message = f"The protocol {followed.name!r} is not of folders but of {followed.task}."
            raise AnimatorError("invalid_option", message)
        if metrics is not None:
            wanted = tuple(name.strip() for name in metrics.split(","))
            followed = replace(followed, metrics=wanted)
        elif features is not None:
            followed = followed.with_features()
        files = _files(followed, features, inception, lpips_backbone, inception_torchvision)
    request = EvaluationRequest(
        followed, fake, out, files=files, reference=real, device=device, overwrite=force
    )
    _run(request, as_json=as_json)


@app.command()
@command
def protocols(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE]", help="Print this one whole, as JSON to start from."),
    ] = None,
) -> None:
    """List the protocols that are shipped, or print one."""
    from animator.evaluation.run import coded_data_errors
    from gfla.evaluation.protocol import load_protocol, shipped_protocols

    with coded_data_errors():
        if name is not None:
            chosen = load_protocol(name)
            say(f"SHA-256 {chosen.sha256}")
            print_json(chosen.to_dict())
            return
        for shipped in shipped_protocols():
            known = load_protocol(shipped)
            print(f"{shipped}: {known.description} ({', '.join(known.metrics)})")


def _protocol(
    name: str, changes: list[str] | None, samples: int | None, features: Path | None
) -> Protocol:
    from gfla.evaluation.protocol import changed, load_protocol

    followed = changed(load_protocol(name), changes or [])
    if samples is not None:
        followed = followed.with_samples(samples)
    return followed.with_features() if features is not None else followed


def _files(
    protocol: Protocol,
    features: Path | None,
    inception: Path | None,
    backbone: Path | None,
    torchvision: Path | None,
) -> MetricFiles:
    from gfla.evaluation.metrics import MetricFiles, lpips_parts

    names = {lpips_parts(name)[0] for name in protocol.metrics if "lpips-" in name}
    if backbone is not None and len(names) != 1:
        message = f"--lpips-backbone is one file, and the protocol has LPIPS of {len(names)}."
        raise AnimatorError("invalid_option", message)
    backbones = {} if backbone is None else {str(name): backbone for name in names}
    return MetricFiles(features, inception, backbones, torchvision)


def _run(request: EvaluationRequest, *, as_json: bool) -> None:
    with StopSignals() as signals, _Progress() as progress:
        from animator.evaluation.run import JSON, MARKDOWN, evaluate

        try:
            settings = Settings.from_environment()
            result = evaluate(
                request, settings, report=progress.update, should_stop=signals.requested
            )
        except JobCancelled:
            say("Cancelled; nothing was written.")
            raise signals.exit() from None
    if as_json:
        print_json(result.to_dict())
        return
    for table in result.tables:
        say(f"\n{table.title}\n{table.to_markdown(result.protocol)}")
    for remark in result.remarks:
        say(f"note: {remark}")
    say(f"\nprotocol {result.protocol.name}, SHA-256 {result.protocol.sha256}")
    for name in (MARKDOWN, JSON):
        print_path(str(request.out / name))


class _Progress:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("loading", total=None)
        self._what, self._said = "", 0.0

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """Show how far it is."""
        if what != self._what:
            self._bar.reset(self._task, total=total, description=what)
        self._bar.update(self._task, completed=done)
        now = time.monotonic()
        if self._bar.disable and (what != self._what or now - self._said > LINE_SECONDS):
            say(f"{what}: {done} of {total}")
            self._said = now
        self._what = what
