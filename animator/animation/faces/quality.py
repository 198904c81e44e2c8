"""Measures of a finished video, of a few of its frames, so that the cost does not grow with it.

At `PLACES` places, spread evenly over the video, `RUN` successive frames each are decoded and
looked at in the square that was animated:

    face_coverage    share of the frames in which the detector confirms a face, 0..1
    landmark_error   distance of the landmarks from those asked for (`landmark_error`), percent
    jitter           how the face shakes beside the motion asked for (`jitter`), percent
    sharpness        of the face (`animator.faces.measures.sharpness`)
    identity         likeness to the source's face (`animator.faces.identity.similarity`), up to 1
    mouth_opening    how far the lips are from as open as asked for, percent of the face's size
    eyes_opening     how far the lids are from as open as asked for, percent of an eye's width

The two percentages without a unit are of the distance of the outer eye corners; see
`gfla.evaluation.motion`, and `gfla.evaluation.regions.opening_errors` for the openings.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animator.animation.faces.figure import FacePlan
from animator.animation.faces.following import Source
from animator.animation.faces.moving_render import generated
from animator.animation.plan import JobPlan
from animator.errors import AnimatorError
from animator.faces.crop import Part, Square, crop_square, to_units
from animator.faces.detectors import make_detector, resolve_detector
from animator.faces.identity import IdentityModel, similarity
from animator.faces.landmarks import LandmarkDetector
from animator.faces.measures import sharpness
from animator.faces.tracking import SURE
from animator.media.decode import open_finished
from animator.options import Detector
from animator.spec import JobSpec
from gfla.arrays import to_pixels
from gfla.evaluation.motion import jitter, landmark_error
from gfla.evaluation.regions import opening_errors

PLACES = 3
RUN = 3
"""Frames at each place: the fewest that have accelerations."""
DECIMALS = 4

_log = logging.getLogger(__name__)
_embedding = threading.Lock()  # dlib's network keeps what it computes in between

# Embeddings of sources by what they are made of.
_sources: dict[bytes, NDArray[np.float64]] = {}
_KEPT_SOURCES = 1000

Embed = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Look:
    """One frame: the square that was animated, its landmarks in it, and those asked for."""

    crop: NDArray[np.uint8]
    found: NDArray[np.float32] | None
    wanted: NDArray[np.float32]


def measure(
    video: Path,
    spec: JobSpec,
    plan: JobPlan,
    place: Callable[[int], Part],
    check: Callable[[], object],
) -> dict[str, float]:
    """The measures of a finished video by name; one that cannot be told is left out.

    Args:
        video: the file.
        spec: the job that it is of.
        plan: of the job.
        place: where a frame, by its number, shows what was animated, in its pixels.
        check: called for every frame; may raise to stop.
    """
    try:
        detector = _detector(resolve_detector(spec.detector, spec.device), spec.device)
        # Frames of a video that do not show the face say nothing of the result.
        assert isinstance(plan.face, FacePlan)
        told = generated(plan.face)
        runs = [
            [_look(picture, plan.targets[number], place(number), plan.size, detector, check)
             for number, picture in enumerate(_frames(video, plan, first), first) if told[number]]
            for first in _places(len(plan.kept))
        ]  # fmt: skip
        if not any(runs):
            return {}
    except AnimatorError as error:
        _log.warning("the result cannot be measured: %s", error)
        return {}
    figures = _of_faces(runs)
    if (alike := _identity(runs, spec, plan, check)) is not None:
        figures["identity"] = alike
    return {name: round(value, DECIMALS) for name, value in figures.items()}


def _of_faces(runs: list[list[_Look]]) -> dict[str, float]:
    """All measures but the identity."""
    looks = [look for run in runs for look in run]
    seen = [(look.crop, look.found, look.wanted) for look in looks if look.found is not None]
    figures = {"face_coverage": len(seen) / len(looks)}
    if not seen:
        return figures
    # Single frames.
    crops, found, wanted = zip(*seen, strict=True)
    figures["landmark_error"] = landmark_error(np.stack(found), np.stack(wanted))
    figures |= opening_errors(np.stack(found), np.stack(wanted))
    sides = [len(crop) for crop in crops]
    units = [to_units(points, side) for points, side in zip(found, sides, strict=True)]
    figures["sharpness"] = float(np.mean(list(map(sharpness, crops, units))))
    # Runs, as jitter takes three successive frames with a face.
    shakes = []
    for run in runs:
        points = [look.found for look in run if look.found is not None]
        if len(points) == RUN:
            shakes.append(jitter(np.stack(points), np.stack([look.wanted for look in run])))
    if shakes:
        figures["jitter"] = float(np.mean(shakes))
    return figures


def _identity(
    runs: list[list[_Look]], spec: JobSpec, plan: JobPlan, check: Callable[[], object]
) -> float | None:
    """How alike the faces at both ends are to the source's, where a drift would show.

    Not in more frames: an embedding takes as long as the landmarks of six.
    """
    seen = [look for run in runs for look in run if look.found is not None]
    if not seen:
        return None
    try:
        embed = _embed()
    except AnimatorError as error:
        _log.info("identity is not measured: %s", error)
        return None
    own = _source_embedding(spec, plan, embed)
    alike = []
    for look in {id(look): look for look in (seen[0], seen[-1])}.values():
        check()
        assert look.found is not None
        alike.append(similarity(own, embed(look.crop, look.found)))
    return float(np.mean(alike))


def _source_embedding(spec: JobSpec, plan: JobPlan, embed: Embed) -> NDArray[np.float64]:
    """The embedding of the source's face; a portrait's jobs often follow one another."""
    assert isinstance(plan.source, Source)
    key = hashlib.sha256(f"{plan.hashes['source']} {plan.size}".encode())
    key.update(plan.source.points.tobytes())
    if (known := _sources.get(key.digest())) is None:
        crop = crop_square(plan.source.picture, plan.source.square, plan.size)
        known = embed(crop, to_pixels(plan.source.crop_units(plan.source.points), plan.size))
        if len(_sources) >= _KEPT_SOURCES:
            _sources.clear()
        _sources[key.digest()] = known
    return known


def _embed() -> Embed:
    model = IdentityModel()

    def embed(crop: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float64]:
        with _embedding:
            return model.embed(crop, points)

    return embed


def _places(frames: int) -> list[int]:
    """The first frame of each run."""
    last = max(frames - RUN, 0)
    return sorted({round(place) for place in np.linspace(0, last, PLACES).tolist()})


def _frames(video: Path, plan: JobPlan, first: int) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a run; what is far into a video is reached by a jump."""
    time = plan.time
    seconds = (time.pts[first] - time.pts[0]) * time.time_base
    with open_finished(video, seconds or None, RUN) as reader:
        yield from islice((picture for batch in reader for picture in batch.pixels), RUN)


def _look(
    picture: NDArray[np.uint8],
    target: NDArray[np.float32],
    place: Part,
    size: int,
    detector: LandmarkDetector,
    check: Callable[[], object],
) -> _Look:
    """A frame, with its face where that should be, if it is there."""
    check()
    assert isinstance(place, Square)
    crop = crop_square(picture, place, size)
    # Looked for where the face should be: a face elsewhere is not the one asked for.
    wanted = to_pixels(target, size).astype(np.float32)
    boxes, rolls = detector.boxes_of(wanted[None])
    points, confidence = detector.landmarks(crop[None], boxes, rolls)
    return _Look(crop, points[0] if confidence[0] >= SURE else None, wanted)


@lru_cache(maxsize=2)
def _detector(name: Detector, device: str) -> LandmarkDetector:
    """A detector that all jobs of this process share; loading one takes longer than measuring."""
    return make_detector(name, device)
