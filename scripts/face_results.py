"""Results of portraits and drivers for sheets: rendered once, kept, and cut into pictures."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from animator.animation.faces.following import driving_frames, find_driving, find_source
from animator.animation.landmark_cache import LandmarkCache
from animator.animation.pipeline import animate
from animator.animation.rollout.loading import load_portrait
from animator.cli.progress import clock
from animator.errors import AnimatorError
from animator.faces.crop import Square, crop_square, face_square, resize
from animator.faces.motion import fill_missing
from animator.files.output import coded_errors
from animator.files.unchanged import hashed
from animator.media.decode import open_finished
from animator.media.sheet import WIDE
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.watch import Watch
from animator.weights.library import for_spec
from animator.weights.subjects import check_weights
from gfla.arrays import Picture, Points
from gfla.data.openings import openness

MARGIN = 1.75
"""A result shows just what the networks draw."""
SIDE, PORTRAIT, GAP = 256, 176, 12
"""Sides of a frame and of a portrait on a sheet, and what parts frames, in pixels."""
REGIONS = {"eyes": (slice(36, 48), 1.35, 0.375), "mouth": (slice(48, 68), 2.0, 0.5625)}
"""Landmarks of what is enlarged, how much is shown in widths of it, and height by width."""
_FOLDER = ".results"


@dataclass(frozen=True, eq=False)
class Weights:
    """A checked file of weights: as a job names it, and its SHA-256."""

    spec: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture with a face, whose 68 x 2 points are pixels."""

    path: Path
    sha256: str
    picture: Picture
    points: Points

    @property
    def tile(self) -> Picture:
        """The face as a sheet shows it."""
        return crop_square(self.picture, face_square(self.points, MARGIN), PORTRAIT)


@dataclass(frozen=True, eq=False)
class Shown:
    """Frames of a driver or of a result, H W 3 each, with their N x 68 x 2 points in pixels."""

    pictures: Sequence[Picture]
    points: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Driver:
    """A video that moves portraits.

    Attributes:
        path: of the file.
        sha256: of the file.
        frames: numbers of those that sheets show, rising.
        words: what each of them is, such as "1.20 s, mouth widest".
        shown: these frames.
    """

    path: Path
    sha256: str
    frames: list[int]
    words: list[str]
    shown: Shown


class Job(NamedTuple):
    """A result to be rendered."""

    weights: Weights
    portrait: Portrait
    driver: Driver


class FaceResults:
    """Results of one length and size, in a folder that keeps them.

    Args:
        folder: for sheets; results lie hidden in it, under names that tell nothing.
        start: seconds into the drivers.
        seconds: how much of them is taken.
        size: side of a result in pixels.

    Raises:
        AnimatorError: invalid_option.
    """

    def __init__(self, folder: Path, start: float, seconds: float, size: int) -> None:
        self.folder = folder.absolute()
        self._settings = Settings.from_environment()
        self._watch = Watch(lambda progress: None, lambda: False)
        self._start, self._end, self._size = f"{start:.3f}", f"{start + seconds:.3f}", size
        self._spec(folder, folder, "default", "none")  # so that options are checked at once

    def weights(self, name: str) -> Weights:
        """Check weights as far as loading does: a file, a name in the library, or "default".

        Raises:
            AnimatorError: those of `check_weights` and `load_portrait`.
        """
        spec = for_spec(name, self._settings)
        check_weights(spec, self._settings)
        return Weights(spec, load_portrait(spec, "auto", "auto", self._settings).sha256)

    def portrait(self, path: Path) -> Portrait:
        """Read a portrait and find its face; errors as of `find_source`."""
        spec = self._spec(path, path, "default", "portrait")
        sha256, cache = self._opened(spec, "source")
        source, _ = find_source(spec, cache, sha256, self._settings.limits(), lambda: None)
        return Portrait(path, sha256, source.picture, source.points)

    def driver(self, path: Path, frames: int) -> Driver:
        """Follow a driver's face and choose frames to show.

        Raises:
            AnimatorError: those of `find_driving`, no_face, and unsupported_format for a motion
                file.
        """
        spec = self._spec(path, path, "default", "driver")
        sha256, cache = self._opened(spec, "driving")
        limits = self._settings.limits()
        driving, _ = find_driving(spec, cache, sha256, limits, self._watch, lambda: None)
        if not driving.pictures:
            message = "A motion file shows no face that results could be compared with."
            raise AnimatorError("unsupported_format", message)
        points = fill_missing(driving.landmarks, "hold").points
        chosen = moments(points, frames)
        numbers = np.array(sorted(chosen))
        pictures = list(driving_frames(spec, driving, numbers, limits))
        seconds = driving.seconds[numbers] - driving.seconds[0]
        words = [
            f"{moment:.2f} s{chosen[number]}"
            for moment, number in zip(seconds, numbers.tolist(), strict=True)
        ]
        return Driver(path, sha256, numbers.tolist(), words, Shown(pictures, points[numbers]))

    def render(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, AnimatorError | None]]:
        """Render what is not there yet, telling how far it is; each job as it is done, or why not.

        Jobs of the same weights are best neighbours: these are loaded once then.
        """
        with coded_errors(self.folder):
            (self.folder / _FOLDER).mkdir(parents=True, exist_ok=True)
        lacking = [job for job in jobs if not self._place(job).exists()]
        say(f"results: {len(jobs)}, of which {len(jobs) - len(lacking)} are there")
        began, done = time.monotonic(), 0
        for job in jobs:
            if job not in lacking:
                yield job, None
                continue
            failure = None
            try:
                self._render(job)
            except AnimatorError as error:
                failure = error
            done += 1
            left = (time.monotonic() - began) / done * (len(lacking) - done)
            names = f"{job.portrait.path.name}, {job.driver.path.name}"
            say(f"result {done} of {len(lacking)}: {names}; {clock(left)} left")
            yield job, failure

    def _render(self, job: Job) -> None:
        place = self._place(job)
        spec = self._spec(job.portrait.path, job.driver.path, job.weights.spec, place.stem)
        done = animate(spec, settings=self._settings)
        if done.hashes["weights"] != job.weights.sha256:
            place.unlink(missing_ok=True)
            message = f"{job.weights.spec!r} was written anew meanwhile; make a copy and use that."
            raise AnimatorError("weights_changed", message)

    def shown(self, job: Job) -> Shown:
        """The frames of a rendered result that belong to those shown of its driver."""
        place = self._place(job)
        with np.load(place.with_suffix(".landmarks.npz"), allow_pickle=False) as file:
            left, top, side = file["square"]
            numbers = np.searchsorted(file["frames"], job.driver.frames)
            points = file["targets"][numbers] * side + np.array([left, top]) - 0.5
        with open_finished(place) as reader:
            every = [picture for batch in reader for picture in batch.pixels]
        return Shown([every[number] for number in numbers], points.astype(np.float32))

    def _spec(self, source: Path, driving: Path, weights: str, name: str) -> JobSpec:
        files = (str(source.absolute()), str(driving.absolute()), str(self._file(name)))
        return JobSpec(
            *map(Location, files), weights=weights, start=self._start, end=self._end,
            size=self._size, margin=MARGIN, source_motion="still", audio="none", crf=4,
            extras=("landmarks",),
        )  # fmt: skip

    def _file(self, name: str) -> Path:
        return self.folder / _FOLDER / f"{name}.mp4"

    def _place(self, job: Job) -> Path:
        """Where a result lies: under a name of all that it depends on."""
        about = [*(part.sha256 for part in job), self._start, self._end, self._size]
        return self._file(hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24])

    def _opened(self, spec: JobSpec, name: str) -> tuple[str, LandmarkCache]:
        hashes, _ = hashed({name: spec.inputs[name]}, self._settings)
        return hashes[name], LandmarkCache(spec, self._settings)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have errors in the block name a file, where they do not yet."""
    try:
        yield
    except AnimatorError as error:
        if path.name in error.message:
            raise
        raise AnimatorError(error.code, f"{str(path)!r}: {error.message}") from error


def moments(points: NDArray[np.float32], count: int) -> dict[int, str]:
    """Frames of a driver to look at, and what is special of them.

    The one with the widest mouth, the one with the most closed eyes, and others at even distances.

    Args:
        points: its landmarks T 68 2.
        count: most frames.
    """
    eyes = openness(points, "right eye") + openness(points, "left eye")
    widest, closed = int(openness(points, "mouth").argmax()), int(eyes.argmin())
    special = {widest: ", mouth widest", closed: ", eyes most closed"}
    if widest == closed:
        special = {widest: ", mouth widest, eyes most closed"}
    special = dict(list(special.items())[:count])
    # One of even distances for each place, but fewer of a short video.
    even = list(
        dict.fromkeys((2 * place + 1) * len(points) // (2 * count) for place in range(count))
    )
    # The nearest makes room for what is special.
    for frame in special:
        even.remove(min(even, key=lambda number: abs(number - frame)))
    return dict.fromkeys(even, "") | special


def in_a_row(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one shape side by side on white, as wide as a sheet's row has room."""
    row = np.full((pictures[0].shape[0], WIDE, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        left = place * (picture.shape[1] + GAP)
        row[:, left : left + picture.shape[1]] = picture
    return row


def tile_width(count: int) -> int:
    """Width in pixels of each of some pictures in a row."""
    return min((WIDE - (count - 1) * GAP) // count, SIDE)


def whole(shown: Shown) -> Picture:
    """The frames of a result, in a row."""
    side = tile_width(len(shown.pictures))
    return in_a_row([resize(picture, side, side) for picture in shown.pictures])


def heads(shown: Shown) -> Picture:
    """The frames of a driver, in a row: the part in which its head moves."""
    side = tile_width(len(shown.pictures))
    around = face_square(shown.points.reshape(-1, 2), MARGIN)
    return in_a_row([crop_square(picture, around, side) for picture in shown.pictures])


def enlarged(shown: Shown, region: str, letter: str, width: int | None = None) -> Picture:
    """Mouth or eyes of the frames in a row, all as much larger as the face's own size asks for.

    Args:
        shown: the frames.
        region: of `REGIONS`.
        letter: written into the corner.
        width: of each in pixels, if they are not in a row.
    """
    which, share, height = REGIONS[region]
    own = shown.points[:, which]
    low, high = own.min(1), own.max(1)
    extent = share * float(np.median((high - low)[:, 0]))
    across = width or tile_width(len(shown.pictures))
    down = round(height * across)
    cut = (across - down) // 2
    parts = [
        crop_square(picture, Square(float(x) + 0.5, float(y) + 0.5, extent), across)
        for picture, (x, y) in zip(shown.pictures, (low + high) / 2, strict=True)
    ]
    parts = [part[cut : cut + down] for part in parts]
    return _lettered(parts[0] if width else in_a_row(parts), letter)


def enlarged_own(portrait: Portrait, region: str) -> Picture:
    """Mouth or eyes of a portrait."""
    return enlarged(Shown([portrait.picture], portrait.points[None]), region, "", PORTRAIT)


def _lettered(picture: Picture, letter: str) -> Picture:
    page = Image.fromarray(picture)
    font = ImageFont.load_default(22)
    ImageDraw.Draw(page).text((6, 2), letter, "white", font, stroke_width=2, stroke_fill="black")
    return np.asarray(page)


def say(line: str) -> None:
    """Tell how far it is."""
    print(line, file=sys.stderr, flush=True)


def as_png(picture: Picture) -> bytes:
    """The bytes of a file that says nothing but the picture."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
