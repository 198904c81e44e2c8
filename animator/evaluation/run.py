"""Evaluations by protocol, from data and weights to tables and sheets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.loading import load_portrait
from animator.errors import AnimatorError, JobCancelled
from animator.evaluation.cases import read_clips
from animator.evaluation.faces import Instruments, evaluate_faces
from animator.evaluation.sheets import face_sheets, pair_sheets
from animator.files.output import coded_errors, write_whole
from animator.settings import Settings
from animator.values import is_weights_name
from animator.watch import coded_memory_errors
from animator.weights.library import for_spec, resolve, sha256_of
from animator.weights.loading import (
    choose_device,
    choose_precision,
    load_checkpoint,
    load_model,
)
from gfla.errors import GflaError
from gfla.evaluation import transfer
from gfla.evaluation.folders import compare_folders
from gfla.evaluation.metrics import MetricFiles
from gfla.evaluation.pairs import EvaluationPairs, open_pairs
from gfla.evaluation.protocol import Protocol, package_versions
from gfla.evaluation.report import Evaluation, SampleFigures, Table
from gfla.models.transfer import TransferGenerator

Announce = Callable[[str, int, int], None]
MARKDOWN, JSON, SHEETS = "table.md", "table.json", "sheets"
_CODES = {
    "invalid_protocol": "bad_protocol",
    "unknown_metric": "bad_protocol",
    "missing_package": "missing_package",
    "features_unavailable": "metric_unavailable",
    "bad_checkpoint": "metric_unavailable",
    "disk_full": "disk_full",
    "not_writable": "output_not_writable",
}
"""Codes of gfla as those of a user; any other is about the data."""


@dataclass(frozen=True)
class EvaluationRequest:
    """What is asked for.

    Attributes:
        protocol: that is followed.
        data: folder of packs, of prepared pairs, or of generated pictures.
        out: folder for tables and sheets.
        weights: of the rows, each a name of the library or a file, with a label or None.
        files: of the metrics' networks.
        reference: folder of real pictures: the training set, or what generated ones are held
            against.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "float32", so that a GPU gives the figures of a CPU, "bfloat16", or "auto".
        save_pictures: whether the rendered pictures of pairs are kept.
        overwrite: whether tables in ``out`` may be replaced.
    """

    protocol: Protocol
    data: Path
    out: Path
    weights: tuple[tuple[str | None, str], ...] = ()
    files: MetricFiles = field(default_factory=MetricFiles)
    reference: Path | None = None
    device: str = "auto"
    precision: str = "float32"
    save_pictures: bool = False
    overwrite: bool = False


def labelled(text: str) -> tuple[str | None, str]:
    """``LABEL=WEIGHTS`` or ``WEIGHTS`` as label and weights."""
    label, separator, rest = text.partition("=")
    if separator and rest and is_weights_name(label) and not Path(text).exists():
        return label, rest
    return None, text


def evaluate(
    request: EvaluationRequest,
    settings: Settings,
    *,
    report: Announce = lambda what, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Follow a protocol and write ``table.md``, ``table.json`` and ``sheets/``.

    Args:
        request: what, on what, to where.
        settings: where the library is, what a device of "auto" means, how attention runs.
        report: told what is being done, and how many of how many are.
        should_stop: polled often; once true, nothing is written.

    Returns:
        What was measured.

    Raises:
        AnimatorError: bad_protocol, bad_data, metric_unavailable, missing_package, output_exists,
            and those of weights and devices.
        JobCancelled: if ``should_stop`` said so.
    """
    # What is to be written must not be there, and is only written when all is measured.
    _check_out(request)
    if request.device == "auto":
        request = replace(request, device=settings.device)
    measure = {"faces": _faces, "pairs": _pairs, "folders": _folders}[request.protocol.task]

    def tell(what: str, done: int, total: int) -> None:
        if should_stop():
            raise JobCancelled
        report(what, done, total)

    with coded_data_errors(), coded_memory_errors():
        evaluation, sheets = measure(request, settings, tell, should_stop)
    _write(request.out / MARKDOWN, evaluation.to_markdown().encode())
    text = json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    _write(request.out / JSON, f"{text}\n".encode())
    for name, sheet in sheets:
        _write(request.out / SHEETS / name, sheet)
    return evaluation


@contextmanager
def coded_data_errors() -> Iterator[None]:
    """Raise what gfla says as an error with a code of ours."""
    try:
        yield
    except GflaError as error:
        code = _CODES.get(error.code, "bad_data")
        raise AnimatorError(code, f"The evaluation stops: {error.message}.") from error


def _faces(
    request: EvaluationRequest,
    settings: Settings,
    tell: Announce,
    should_stop: Callable[[], bool],
) -> tuple[Evaluation, Iterator[tuple[str, bytes]]]:
    protocol = request.protocol
    # Data first: what is wrong with it is told before anything is loaded.
    clips = read_clips(request.data, protocol)
    device = choose_device(request.device)
    instruments = Instruments.load(protocol, request.files, device, should_stop)
    models = _named(request, partial(_portrait, request=request, settings=settings))
    result = evaluate_faces(protocol, clips, models, instruments, tell)
    # What was used, by hash, so that the figures can be told from others.
    names = [name for name, _ in clips]
    networks = {n: m.sha256 for n, m in instruments.pictures.items() if m.sha256 is not None}
    if instruments.identity is not None:
        networks["identity"] = sha256_of(instruments.identity.path)
    evaluation = Evaluation(
        protocol,
        result.tables,
        {name: model.sha256 for name, model in models.items()},
        networks,
        {
            "folder": request.data.name,
            "clips": result.clips,
            "identities": result.identities,
            "SHA-256": _sha256([request.data / f"{name}.npz" for name in names]),
        },
        _versions(request, device) | {"detector": instruments.detector.version},
        list(_faces_remarks(result.tables, protocol)),
    )
    return evaluation, face_sheets(result, list(models), protocol)


def _pairs(
    request: EvaluationRequest,
    settings: Settings,
    tell: Announce,
    should_stop: Callable[[], bool],
) -> tuple[Evaluation, Iterator[tuple[str, bytes]]]:
    protocol, device = request.protocol, choose_device(request.device)
    # Data and models.
    pairs = open_pairs(protocol, request.data, request.reference)
    models = _named(request, partial(_transfer, request=request, settings=settings))
    # Real pictures first, which all rows are held against.
    measures = transfer.Measures.load(protocol, request.files, device)
    transfer.add_reference(measures, pairs, protocol, tell)
    # One row for each renderer, the copy of the source among them.
    renderers: dict[str, transfer.PoseRenderer] = {transfer.COPY: transfer.copy_renderer}
    bfloat16 = choose_precision(request.precision, device) == "bfloat16"
    truncated = protocol.pictures.levels == "truncated"
    for name, model in models.items():
        renderers[name] = transfer.model_renderer(model.generator, device, bfloat16, truncated)
    rows: dict[str, tuple[list[SampleFigures], dict[str, float]]] = {}
    for place, (name, render) in enumerate(renderers.items()):
        folder = request.out / "pictures" / f"{place:02d}" if request.save_pictures else None
        rows[name] = transfer.measure_row(name, render, pairs, measures, protocol, tell, folder)
    # The table, and what it is of.
    properties = {name: transfer.model_properties(m.generator) for name, m in models.items()}
    table = transfer.pairs_table(protocol.description or protocol.name, rows, properties, protocol)
    evaluation = Evaluation(
        protocol,
        [table],
        {name: model.sha256 for name, model in models.items()},
        measures.networks,
        _pairs_data(request, pairs),
        _versions(request, device),
        [*pairs.remarks, *_sets_remarks(measures)],
    )
    return evaluation, pair_sheets(table, pairs, renderers, protocol)


def _folders(
    request: EvaluationRequest,
    settings: Settings,
    tell: Announce,
    should_stop: Callable[[], bool],
) -> tuple[Evaluation, Iterator[tuple[str, bytes]]]:
    assert request.reference is not None
    protocol, device = request.protocol, choose_device(request.device)
    measures = transfer.Measures.load(protocol, request.files, device)
    table = compare_folders(request.reference, request.data, protocol, measures, tell)
    data = {"real": str(request.reference), "generated": str(request.data)}
    remarks = list(_sets_remarks(measures))
    versions = _versions(request, device)
    evaluation = Evaluation(protocol, [table], {}, measures.networks, data, versions, remarks)
    return evaluation, iter(())


class _Transfer:
    """A loaded model that renders pairs."""

    def __init__(self, weights: Path, device: torch.device, precision: str) -> None:
        loaded, self.sha256, self.name = load_checkpoint(weights, device)
        self.network = loaded.generator.requires_grad_(False)

    @property
    def generator(self) -> TransferGenerator:
        assert isinstance(self.network, TransferGenerator)
        return self.network


Model = TypeVar("Model", PortraitGenerator, _Transfer)


def _named(request: EvaluationRequest, load: Callable[[str], Model]) -> dict[str, Model]:
    """The models of the rows by a name that no two share."""
    models: dict[str, Model] = {}
    for label, weights in request.weights:
        model = load(weights)
        name = label or model.name
        if name in models or name in ("", transfer.COPY):
            message = f"Two rows would be called {name!r}; give them names: --weights NAME=FILE."
            raise AnimatorError("invalid_option", message)
        models[name] = model
    return models


def _portrait(weights: str, request: EvaluationRequest, settings: Settings) -> PortraitGenerator:
    resolve(weights, settings)
    name = for_spec(weights, settings)
    return load_portrait(name, request.device, request.precision, settings).generator


def _transfer(weights: str, request: EvaluationRequest, settings: Settings) -> _Transfer:
    resolve(weights, settings)
    name = for_spec(weights, settings)
    model = load_model(_Transfer, name, request.device, request.precision, settings)
    if not isinstance(model.network, TransferGenerator):
        message = f"The weights {weights!r} animate clips; pairs need weights for pose or view."
        raise AnimatorError("weights_wrong_kind", message)
    return model


def _pairs_data(request: EvaluationRequest, pairs: EvaluationPairs) -> Mapping[str, object]:
    names = "\n".join(pairs.names).encode()
    data: dict[str, object] = {
        "folder": request.data.name,
        "pairs": len(pairs),
        "identities": len(set(pairs.identities)),
        "SHA-256 of the list of pairs": hashlib.sha256(names).hexdigest(),
    }
    if pairs.reference:
        data["pictures of the training set"] = len(pairs.reference)
    return data


def _faces_remarks(tables: Sequence[Table], protocol: Protocol) -> Iterator[str]:
    if "self" not in protocol.clips.settings or "drift" not in protocol.metrics:
        return
    figures = [figure for table in tables for row in table.rows.values()
               if (figure := row.get("drift"))]  # fmt: skip
    late = protocol.clips.drift_late
    if figures:
        yield f"drift is of the {figures[0].samples} clips that have {late} frames"
    else:
        yield f"there is no drift, because no clip has {late} frames"


def _sets_remarks(measures: transfer.Measures) -> Iterator[str]:
    sets = measures.sets
    if sets is not None and min(sets.real, sets.fake) < sets.num_features:
        yield (
            f"FID is of {sets.real} real and {sets.fake} generated pictures, fewer than its "
            f"{sets.num_features} features; compare it with nothing but FID of as many pictures"
        )


def _versions(request: EvaluationRequest, device: torch.device) -> dict[str, str]:
    cuda = device.type == "cuda"
    machine = torch.cuda.get_device_name(device) if cuda else device.type
    precision = choose_precision(request.precision, device)
    found = package_versions() | {"arithmetic": f"{precision} on {machine}"}
    return found | ({"CUDA": str(torch.version.cuda)} if cuda else {})


def _sha256(paths: Sequence[Path]) -> str:
    """Of files in this order, names aside."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()


def _check_out(request: EvaluationRequest) -> None:
    there = [name for name in (MARKDOWN, JSON) if (request.out / name).exists()]
    if there and not request.overwrite:
        message = f"{str(request.out / there[0])!r} exists; --force replaces it."
        raise AnimatorError("output_exists", message)
    with coded_errors(request.out):
        request.out.mkdir(parents=True, exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    with coded_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
