"""Face models on packed clips, measured: moved by their own motion, and by another person's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animator.animation.faces.portrait import PortraitGenerator
from animator.errors import JobCancelled
from animator.evaluation.cases import Case, cross_cases, identity_of, self_cases
from animator.faces.crop import fit_size
from animator.faces.detectors import make_detector
from animator.faces.identity import IdentityModel, similarity
from animator.faces.landmarks import LandmarkDetector
from gfla.arrays import Picture, Points, to_pixels
from gfla.data.packs import FacePack
from gfla.evaluation.baselines import Method, affine_warp, copy_source, spline_warp
from gfla.evaluation.files import as_batch, stored
from gfla.evaluation.metrics import MetricFiles, PictureMetric, picture_metric
from gfla.evaluation.motion import jitter, landmark_error
from gfla.evaluation.protocol import MOTION, REGIONS, Protocol
from gfla.evaluation.regions import RegionMeasures, opening_errors
from gfla.evaluation.report import SampleFigures, Table
from gfla.evaluation.stats import Figure, bootstrap
from gfla.ops.ranges import from_bytes

Announce = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many frames are."""
SHOWN = 4
"""Frames of a case that its sheet shows."""
_EARLY, _LATE = "drift early", "drift late"
_TITLES = {
    "self": "Self-reenactment: a frame of a clip, moved by the clip",
    "cross": "Cross-identity: a clip's first frame, moved by another person's clip",
}


@dataclass(eq=False)
class Instruments:
    """What measures: loaded once for all cases."""

    protocol: Protocol
    pictures: dict[str, PictureMetric]
    detector: LandmarkDetector
    identity: IdentityModel | None
    should_stop: Callable[[], bool] = lambda: False

    @classmethod
    def load(
        cls,
        protocol: Protocol,
        files: MetricFiles,
        device: torch.device,
        should_stop: Callable[[], bool],
    ) -> Instruments:
        """Everything that the protocol's metrics need."""
        names = [name for name in protocol.metrics if name not in (*MOTION, *REGIONS)]
        return cls(
            protocol,
            {name: picture_metric(name, files, device) for name in names},
            make_detector(protocol.clips.detector),
            IdentityModel() if "identity" in protocol.metrics else None,
            should_stop,
        )


@dataclass(frozen=True, eq=False)
class CaseStrip:
    """What a sheet shows of a case: frames from 1, and JPEG bytes of them by row."""

    frames: list[int]
    rows: dict[str, list[bytes]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FacesResult:
    """Tables, and for each of them what its cases looked like, by case."""

    tables: list[Table]
    shown: list[dict[str, CaseStrip]]
    clips: int
    identities: int


def model_method(generator: PortraitGenerator) -> Method:
    """A model, rolled out frame after frame as ``animator run`` does it."""

    def render(source: Picture, source_points: Points, targets: Points) -> Iterator[Picture]:
        size = source.shape[0]
        state = generator.start(fit_size(source, generator.inner_size(size)), source_points)
        for points in targets:
            state, picture = generator.step(state, points)
            yield fit_size(picture, size)

    return render


BASELINES: dict[str, Method] = {
    "copy of the source": copy_source,
    "piecewise-affine warp": affine_warp,
    "landmark spline": spline_warp,
}


def evaluate_faces(
    protocol: Protocol,
    clips: Sequence[tuple[str, FacePack]],
    models: Mapping[str, PortraitGenerator],
    instruments: Instruments,
    report: Announce,
) -> FacesResult:
    """Render every case by every method and measure it.

    Raises:
        GflaError: of data and metrics.
        JobCancelled: if it was told to stop.
    """
    methods = BASELINES | {name: model_method(model) for name, model in models.items()}
    tables, shown = [], []
    for setting in protocol.clips.settings:
        make = self_cases if setting == "self" else cross_cases
        # Lengths first: pictures of all cases at once would not fit into memory.
        total = sum(len(case.targets) for case in make(clips, protocol)) * len(methods)
        tell = _Counter(report, setting, total, instruments.should_stop)
        samples: list[SampleFigures] = []
        looks: dict[str, CaseStrip] = {}
        for case in make(clips, protocol):
            found, looks[case.name] = measure_case(case, methods, instruments, tell)
            samples += found
        tables.append(_table(setting, samples, list(methods), protocol))
        shown.append(looks)
    people = {identity_of(name, clip) for name, clip in clips}
    return FacesResult(tables, shown, len(clips), len(people))


@dataclass
class _Counter:
    report: Announce
    what: str
    total: int
    should_stop: Callable[[], bool]
    done: int = 0

    def __call__(self) -> None:
        if self.should_stop():
            raise JobCancelled
        self.done += 1
        self.report(self.what, self.done, self.total)


def measure_case(
    case: Case,
    methods: Mapping[str, Method],
    instruments: Instruments,
    tell: Callable[[], None] = lambda: None,
) -> tuple[list[SampleFigures], CaseStrip]:
    """All methods on one case, and a few frames to look at."""
    protocol = instruments.protocol
    # What the frames are measured against, and the few that a sheet shows.
    wanted = _wanted_landmarks(case, instruments)
    compared = range(0, case.measured, protocol.clips.every)
    spread = np.unique(np.linspace(0, len(compared) - 1, SHOWN).round().astype(int))
    places = [compared[index] for index in spread]
    # Targets count from 0 and frames from 1, the first of which is the source.
    shown = CaseStrip([place + 2 for place in places])
    truths = [case.driving_frame(place, protocol) for place in places]
    shown.rows["true frame" if case.truth else "driving frame"] = [_jpeg(p) for p in truths]
    wanted_faces = _wanted_identity(case, wanted, compared, instruments)
    samples = []
    # Every method frame after frame: no clip lies in memory whole.
    for name, method in methods.items():
        run = _Run(case, instruments, wanted, compared, wanted_faces)
        kept: list[bytes] = []
        rendered = method(case.source, case.source_points, case.targets)
        for place, picture in enumerate(rendered):
            picture = stored(picture, protocol.pictures)
            run.take(place, picture)
            if place in places:
                kept.append(_jpeg(picture))
            tell()
        shown.rows[name] = kept
        samples.append(SampleFigures(name, case.name, case.identity, run.figures()))
    return samples, shown


class _Run:
    """Collects what is measured on the frames of one method."""

    def __init__(
        self,
        case: Case,
        instruments: Instruments,
        wanted: NDArray[np.float32],
        compared: range,
        faces: Mapping[int, NDArray[np.float64]],
    ) -> None:
        self.case, self.tools, self.wanted, self.compared = case, instruments, wanted, compared
        self.faces = faces
        self.regions = _region_measures(case, instruments)
        self.found: list[NDArray[np.float32]] = []
        self.values: dict[str, list[float]] = {}
        clips = instruments.protocol.clips
        # Frames are counted from 1 and the first target is the second frame.
        ends = {_EARLY: clips.drift_early, _LATE: clips.drift_late}
        drifts = "drift" in instruments.protocol.metrics and case.truth
        self.drift = {
            place: name
            for name, end in ends.items()
            for place in range(end - clips.drift_window - 1, end - 1)
            if drifts and len(case.targets) >= clips.drift_late - 1
        }

    def take(self, place: int, picture: Picture) -> None:
        """Measure one frame."""
        case, tools = self.case, self.tools
        measured = place < case.measured
        # Against the landmarks and the face.
        if measured:
            points = _landmarks(picture, case, place, tools)
            self.found.append(points)
            if place in self.faces:
                assert tools.identity is not None
                ours = tools.identity.embed(picture, points)
                self._add("identity", similarity(ours, self.faces[place]))
        compared = case.truth and place in self.compared
        metrics = tools.pictures if compared else {}
        regions = self.regions if measured else None
        perceptual = tools.protocol.perceptual
        drifts = perceptual is not None and place in self.drift
        if not metrics and not drifts and regions is None:
            return
        # Against the true picture, where there is one.
        truth = case.driving_frame(place, tools.protocol)
        if regions is not None:
            regions.take(picture, truth, case.targets[place], compared)
        with torch.inference_mode():
            result, target = (from_bytes(as_batch([shown])) for shown in (picture, truth))
            for name, metric in metrics.items():
                self._add(name, float(metric.distance(result, target, None)))
            if drifts:
                assert perceptual is not None
                distance = float(tools.pictures[perceptual].distance(result, target, None))
                self._add(self.drift[place], distance)

    def figures(self) -> dict[str, float]:
        """Means over the frames."""
        found, wanted = np.stack(self.found), self.wanted
        figures = {name: float(np.mean(values)) for name, values in self.values.items()}
        metrics = self.tools.protocol.metrics
        regions = self.regions.figures() if self.regions is not None else {}
        regions |= opening_errors(found, wanted)
        figures |= {name: value for name, value in regions.items() if name in metrics}
        if "landmarks" in metrics:
            chosen = list(self.compared)
            figures["landmarks"] = landmark_error(found[chosen], wanted[chosen])
        if "jitter" in metrics and len(found) >= 3:
            figures["jitter"] = jitter(found, wanted)
        if _LATE in figures:
            figures["drift"] = figures[_LATE] / figures[_EARLY]
        return figures

    def _add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)


def _region_measures(case: Case, tools: Instruments) -> RegionMeasures | None:
    """What collects the measures of mouth and eyes that need a true picture, if any is wanted."""
    wanted = {name for name in tools.protocol.metrics if name in REGIONS}
    if not case.truth or not wanted - {"mouth_opening", "eyes_opening"}:
        return None
    perceptual = tools.protocol.perceptual
    if perceptual is None or not wanted & {"mouth_perceptual", "eyes_perceptual"}:
        return RegionMeasures()
    return RegionMeasures(tools.pictures[perceptual].distance)


def _wanted_landmarks(case: Case, tools: Instruments) -> NDArray[np.float32]:
    """What landmarks are measured against, pixels: found in the truth, or what was asked for."""
    size = tools.protocol.pictures.height
    if not case.truth:
        return to_pixels(case.targets[: case.measured], size).astype(np.float32)
    frame = partial(case.driving_frame, protocol=tools.protocol)
    return np.stack([_landmarks(frame(n), case, n, tools) for n in range(case.measured)])


def _wanted_identity(
    case: Case, wanted: NDArray[np.float32], compared: range, tools: Instruments
) -> dict[int, NDArray[np.float64]]:
    """The face that each compared frame should show: the true frame's, or the source's."""
    if tools.identity is None:
        return {}
    if not case.truth:
        size = tools.protocol.pictures.height
        face = tools.identity.embed(case.source, to_pixels(case.source_points, size))
        return dict.fromkeys(compared, face)
    frame = partial(case.driving_frame, protocol=tools.protocol)
    return {place: tools.identity.embed(frame(place), wanted[place]) for place in compared}


def _landmarks(picture: Picture, case: Case, place: int, tools: Instruments) -> NDArray[np.float32]:
    """Landmarks of a picture, looked for where the target has its face."""
    around = to_pixels(case.targets[place][None], tools.protocol.pictures.height)
    boxes, rolls = tools.detector.boxes_of(around)
    return tools.detector.landmarks(picture[None], boxes, rolls)[0][0]


def _table(
    setting: Literal["self", "cross"],
    samples: list[SampleFigures],
    methods: list[str],
    protocol: Protocol,
) -> Table:
    there = {name for sample in samples for name in sample.figures}
    metrics = tuple(
        name
        for name in protocol.metrics
        if name in there or (name == "drift" and setting == "self")
    )
    rows = {}
    for method in methods:
        own = [sample for sample in samples if sample.row == method]
        figures = {name: _estimate(name, own, protocol) for name in metrics}
        rows[method] = {name: value for name, value in figures.items() if value is not None}
    return Table(_TITLES[setting], metrics, rows, samples=samples)


def _estimate(name: str, samples: list[SampleFigures], protocol: Protocol) -> Figure | None:
    own = [sample for sample in samples if name in sample.figures]
    if not own:
        return None
    drift = name == "drift"
    return bootstrap(
        [sample.figures[_LATE if drift else name] for sample in own],
        [sample.identity for sample in own],
        divisors=[sample.figures[_EARLY] for sample in own] if drift else None,
        level=protocol.confidence.level,
        resamples=protocol.confidence.resamples,
        seed=protocol.seed,
    )


def _jpeg(picture: Picture) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 95]
    return cv2.imencode(".jpg", picture[..., ::-1], options)[1].tobytes()
