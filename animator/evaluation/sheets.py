"""Pictures of what an evaluation's best, median and worst samples look like."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from animator.evaluation.faces import CaseStrip, FacesResult
from animator.media.sheet import Row, SheetTile, draw_sheet
from gfla.arrays import Picture
from gfla.evaluation.files import as_picture, stored
from gfla.evaluation.pairs import EvaluationPairs
from gfla.evaluation.protocol import REGIONS, Protocol
from gfla.evaluation.report import SampleFigures, Table, label, ranked
from gfla.evaluation.transfer import PoseRenderer

_RISING = ("ssim", "ssim-inside", "psnr", "identity", "lips_tone_r", "lids_tone_r")


def deciding_metric(table: Table, protocol: Protocol) -> str | None:
    """By what the best and the worst of a table are chosen."""
    measured = {name for sample in table.samples for name in sample.figures}
    for name in (protocol.perceptual, "l1", "landmarks", *table.metrics):
        if name in measured:
            return name
    return None


def face_sheets(
    result: FacesResult, models: Sequence[str], protocol: Protocol
) -> Iterator[tuple[str, bytes]]:
    """Names and PNG files: for every setting and model its best, median and worst clip."""
    for setting, table, shown in zip(
        protocol.clips.settings, result.tables, result.shown, strict=True
    ):
        metric = deciding_metric(table, protocol)
        if metric is None:
            continue
        for model in models:
            for rank, place in ranked(table.samples, model, metric, metric in _RISING).items():
                case = table.samples[place].sample
                figures = [sample for sample in table.samples if sample.sample == case]
                title = f"{setting}, {rank} by {label(metric, protocol)}"
                sheet = _face_sheet(title, model, figures, shown[case], protocol)
                yield f"{setting}-{file_name(model)}-{rank}.png", _png(sheet)


def pair_sheets(
    table: Table, pairs: EvaluationPairs, renderers: Mapping[str, PoseRenderer], protocol: Protocol
) -> Iterator[tuple[str, bytes]]:
    """Names and PNG files: one sheet a model of its best, median and worst pair."""
    metric = deciding_metric(table, protocol)
    places = {name: place for place, name in enumerate(pairs.names)}
    for model in list(renderers)[1:] if metric is not None else ():
        assert metric is not None
        rows = []
        # Rendered once more: of all pairs of a table only a few are shown.
        for rank, found in ranked(table.samples, model, metric, metric in _RISING).items():
            name = table.samples[found].sample
            truth = pairs.stacked([places[name]])
            tiles = [
                SheetTile(as_picture(truth["source"][0]), "source", ""),
                SheetTile(as_picture(truth["target"][0]), "truth", ""),
            ]
            for other, render in renderers.items():
                picture = stored(as_picture(render(truth)[0]), protocol.pictures)
                figures = [s for s in table.samples if s.sample == name and s.row == other]
                tiles.append(SheetTile(picture, other, _caption(figures[0], protocol)))
            rows.append(Row(rank, name, tiles))
        title = f"{model}: by {label(metric, protocol)}"
        sheet = draw_sheet(title, _lines(protocol), rows)
        yield f"{file_name(model)}.png", _png(sheet)


def file_name(row: str) -> str:
    """A row's name as part of a file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", row).strip("-.") or "row"


def _face_sheet(
    title: str, model: str, figures: list[SampleFigures], shown: CaseStrip, protocol: Protocol
) -> Picture:
    captions = {sample.row: _caption(sample, protocol) for sample in figures}
    rows = [
        Row(
            name,
            captions.get(name, ""),
            [
                SheetTile(_decoded(data), f"frame {frame}", "")
                for frame, data in zip(shown.frames, pictures, strict=True)
            ],
        )
        for name, pictures in shown.rows.items()
    ]
    return draw_sheet(title, [f"{model}; {figures[0].sample}", *_lines(protocol)], rows)


def _lines(protocol: Protocol) -> list[str]:
    return [f"protocol {protocol.name}, SHA-256 {protocol.sha256[:16]}"]


def _caption(sample: SampleFigures, protocol: Protocol) -> str:
    # Those of regions would be taller than the pictures.
    known = [n for n in protocol.metrics if n in sample.figures and n not in REGIONS]
    parts = [f"{label(name, protocol)} {sample.figures[name]:.4g}" for name in known]
    return ", ".join(parts)


def _decoded(data: bytes) -> Picture:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None  # it was encoded here
    return np.asarray(picture[..., ::-1], np.uint8)


def _png(sheet: Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, format="PNG")
    return file.getvalue()
