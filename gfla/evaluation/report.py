"""Tables of an evaluation as Markdown and JSON, with all that made them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gfla.evaluation.metrics import lpips_parts
from gfla.evaluation.protocol import REGIONS, SETS, Protocol
from gfla.evaluation.stats import Figure

_COLUMNS = {
    "l1": ("L1 ↓", "mean absolute difference, pictures in [-1, 1]"),
    "ssim": ("SSIM ↑", "Gaussian window of 11, sigma 1.5, colours, mirrored border (torchmetrics)"),
    "ssim-inside": ("SSIM inside ↑", "likewise of whole windows alone, without 5 pixels of border"),
    "psnr": ("PSNR dB ↑", "mean over pictures (torchmetrics)"),
    "vgg16-features": (
        "VGG16 feature distance ↓",
        "mean over relu1_2, 2_2, 3_3, 4_3 of the L1 distance in units of the true picture's mean "
        "activation; this is not LPIPS",
    ),
    "fid": ("FID ↓", "Frechet distance of Inception v3 features (torchmetrics, torch-fidelity)"),
    "fid-torchvision": (
        "FID (torchvision) ↓",
        "Frechet distance of the features of torchvision's ImageNet Inception v3, as the paper's "
        "script takes them (torchmetrics)",
    ),
    "kid": ("KID ↓", "polynomial kernel distance of the same features (torchmetrics)"),
    "landmarks": (
        "landmark error % ↓",
        "distance of the landmarks found from those wanted, in percent of the distance of the "
        "outer eye corners",
    ),
    "identity": (
        "identity similarity ↑",
        "1 - distance of dlib's face embeddings; dlib takes 0.4 and more for the same person. "
        "Self: to the true frame; cross: to the source",
    ),
    "jitter": (
        "jitter % ↓",
        "second differences over time of the landmarks found less those of the landmarks wanted, "
        "mean length in percent of the distance of the outer eye corners",
    ),
}
_TONES = "the luminance, 0 to 1, averaged within the true opening"
_REGION_COLUMNS = {
    "l1": ("L1 ↓", "mean absolute difference {where}, pictures in [-1, 1]"),
    "perceptual": ("", "that metric {where}, enlarged twofold"),
    "opening": (
        "opening % ↓",
        "mean absolute difference of how far it is open, by the landmarks found and those wanted, "
        "in percent of {unit}",
    ),
    "sharpness": (
        "sharpness → 1",
        "mean |x - mean of 3 x 3| of the luminance {where} over that of the true picture",
    ),
    "flicker": (
        "flicker → 1",
        "mean |x[t-1] - 2 x[t] + x[t+1]| of the luminance {where} over that of the true video",
    ),
    "tone_r": (
        "tone r ↑",
        f"correlation of result and truth over a clip's frames: {_TONES}; of clips where it varies",
    ),
    "tone_slope": ("tone slope → 1", "of the least-squares line of result over truth, likewise"),
    "tone_bias": ("tone bias → 0", f"mean difference, result less truth: {_TONES}"),
}


def column(name: str, protocol: Protocol) -> tuple[str, str]:
    """Heading and meaning of a metric."""
    if name == "drift":
        clips = protocol.clips
        title = f"drift (frame {clips.drift_late} / {clips.drift_early}) ↓"
        loop = "; shorter clips go forwards and backwards" if clips.drift_loop else ""
        return title, (
            f"mean {protocol.perceptual} of the {clips.drift_window} frames up to one over that up "
            f"to the other, on clips that are long enough{loop}"
        )
    if name in SETS:
        title, meaning = _COLUMNS[name]
        sets = protocol.sets
        drawn = f", mean over {sets.kid_subsets} subsets of {sets.kid_size}" * (name == "kid")
        against = "" if protocol.task == "folders" else f"; real pictures: the {sets.reference}"
        resize = "bilinear" if name == "fid-torchvision" else sets.inception_resize
        return title, f"{meaning}{drawn}; pictures resized by {resize}{against}"
    if name in _COLUMNS:
        return _COLUMNS[name]
    if name in REGIONS:
        return _region_column(name, protocol)
    backbone, version, masked = lpips_parts(name)
    title = f"{'mask-' if masked else ''}LPIPS ({backbone}, v{version}) ↓"
    by = f"; both pictures times the mask of persons ({protocol.mask})" if masked else ""
    return title, f"package lpips{by}"


def label(name: str, protocol: Protocol) -> str:
    """Heading of a metric without the sign of what is better."""
    return re.sub(r" [↓↑→].*", "", column(name, protocol)[0])


def _region_column(name: str, protocol: Protocol) -> tuple[str, str]:
    part, _, kind = name.partition("_")
    title, meaning = _REGION_COLUMNS[kind]
    if kind == "perceptual" and protocol.perceptual is not None:
        title = column(protocol.perceptual, protocol)[0]
    where = "within the true opening" if part in ("lips", "lids") else "in its aligned crop"
    unit = "the face's size" if part == "mouth" else "an eye's width"
    return f"{part} {title}", meaning.format(where=where, unit=unit)


@dataclass(frozen=True)
class SampleFigures:
    """What was measured on one sample.

    Attributes:
        row: which method or weights.
        sample: name of the clip or pair.
        identity: who is seen.
        figures: by metric; those that could not be taken are missing.
    """

    row: str
    sample: str
    identity: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """Methods by metrics.

    Attributes:
        title: what was done.
        metrics: names, in order.
        rows: by method, by metric; a figure that does not exist is missing.
        properties: more cells of each row, by heading, that are not measured.
        samples: what the figures are means of.
    """

    title: str
    metrics: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Figure]]
    properties: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    samples: Sequence[SampleFigures] = ()

    def to_markdown(self, protocol: Protocol) -> str:
        """As a Markdown table."""
        # Properties first, then metrics; a row without one has an empty cell.
        extra = list(dict.fromkeys(key for cells in self.properties.values() for key in cells))
        titles = [column(name, protocol)[0] for name in self.metrics]
        lines = [
            "| " + " | ".join(["method", *extra, *titles]) + " |",
            "|---" * (1 + len(extra) + len(titles)) + "|",
        ]
        for name, figures in self.rows.items():
            own = [self.properties.get(name, {}).get(key, "") for key in extra]
            cells = [cell(figures.get(metric)) for metric in self.metrics]
            lines.append("| " + " | ".join([name.replace("|", "\\|"), *own, *cells]) + " |")
        return "\n".join(lines)


@dataclass(frozen=True)
class Evaluation:
    """All tables of one evaluation and what they depend on.

    Attributes:
        protocol: that was followed.
        tables: one for each setting.
        weights: SHA-256 of what was measured, by row.
        networks: SHA-256 of the weights that metrics are made of, by metric.
        data: what is known of the data: folder, counts, SHA-256.
        versions: of packages.
        remarks: what a reader of the tables must know.
    """

    protocol: Protocol
    tables: Sequence[Table]
    weights: Mapping[str, str]
    networks: Mapping[str, str]
    data: Mapping[str, Any]
    versions: Mapping[str, str]
    remarks: Sequence[str] = ()

    def to_markdown(self) -> str:
        """The whole page."""
        protocol = self.protocol
        level = f"{100 * protocol.confidence.level:g} %"
        lines = [f"# Evaluation: protocol {protocol.name}", "", protocol.description, ""]
        for table in self.tables:
            lines += [f"## {table.title}", "", table.to_markdown(protocol), ""]
        lines += [
            f"In brackets: {level} bootstrap intervals over identities. What the columns are:",
            "",
        ]
        for name in dict.fromkeys(name for table in self.tables for name in table.metrics):
            lines.append(f"- **{label(name, protocol)}**: {column(name, protocol)[1]}.")
        lines += ["", *(f"**Note:** {remark}" for remark in self.remarks)]
        for title, values in (
            ("Data", self.data),
            ("Weights, SHA-256", self.weights),
            ("Networks of metrics, SHA-256", self.networks),
            ("Versions", self.versions),
        ):
            if values:
                lines += ["", f"## {title}", ""]
                lines += [f"- {key}: {value}" for key, value in values.items()]
        text = json.dumps(protocol.to_dict(), indent=2, ensure_ascii=False)
        lines += ["", "## Protocol", "", f"SHA-256 `{protocol.sha256}`", "", "```json", text, "```"]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file; what is not finite becomes None."""
        whole = {
            "protocol": self.protocol.to_dict(),
            "protocol_sha256": self.protocol.sha256,
            "versions": dict(self.versions),
            "weights": dict(self.weights),
            "networks": dict(self.networks),
            "data": dict(self.data),
            "remarks": list(self.remarks),
            "tables": [_plain_table(table) for table in self.tables],
        }
        finite: dict[str, Any] = _finite(whole)
        return finite


def ranked(samples: Sequence[SampleFigures], row: str, metric: str, rising: bool) -> dict[str, int]:
    """Which of the samples are a row's best, median and worst: places in ``samples``.

    Args:
        samples: of all rows.
        row: whose.
        metric: by which.
        rising: whether more is better.
    """
    # Samples without the figure, such as clips that are too short, are passed over.
    own = [
        (float(sample.figures[metric]), place)
        for place, sample in enumerate(samples)
        if sample.row == row and metric in sample.figures
    ]
    if not own:
        return {}
    own.sort(reverse=rising)
    return {"best": own[0][1], "median": own[(len(own) - 1) // 2][1], "worst": own[-1][1]}


def cell(estimate: Figure | None) -> str:
    """A figure as a cell of a table, with its interval."""
    if estimate is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4g}"
    return f"{estimate.value:.4g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _plain_table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "metrics": list(table.metrics),
        "rows": [
            {
                "name": name,
                "properties": dict(table.properties.get(name, {})),
                "figures": {metric: asdict(estimate) for metric, estimate in figures.items()},
            }
            for name, figures in table.rows.items()
        ],
        "samples": [
            {
                "row": sample.row,
                "sample": sample.sample,
                "identity": sample.identity,
                "figures": dict(sample.figures),
            }
            for sample in table.samples
        ],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
