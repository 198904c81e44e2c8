"""View paths: the sides from which an object is shown, one after another, and their JSON files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted

AZIMUTH_STEP, AZIMUTHS = 20, 18
"""Degrees between two sides, and how many there are around an object (paper, section 5)."""
ELEVATION_STEP, ELEVATIONS = 10, 3
"""Degrees between two heights, from 0 on, and how many there are."""
MAX_BYTES = 4 * 1024**2
MAX_VIEWS = 100_000


class SeenFrom(NamedTuple):
    """A side from which an object is seen.

    Attributes:
        azimuth: degrees around the object, one of 0, 20, ... 340.
        elevation: degrees above the ground, one of 0, 10, 20.
    """

    azimuth: int
    elevation: int

    @property
    def steps(self) -> tuple[int, int]:
        """Azimuth 0..17 and elevation 0..2 as the networks count them."""
        return self.azimuth // AZIMUTH_STEP, self.elevation // ELEVATION_STEP


@dataclass(frozen=True)
class ViewPath:
    """The sides from which a result shows an object.

    Attributes:
        source: the side that the photo shows.
        views: those of the result's frames, at least one.
    """

    source: SeenFrom
    views: tuple[SeenFrom, ...]

    def to_json(self) -> str:
        """The path as `read_view_path` takes it."""
        return json.dumps({"source": self.source, "views": self.views}) + "\n"


def seen_from(azimuth: Any, elevation: Any) -> SeenFrom:
    """A side by its degrees; an azimuth may be any whole turn away, also negative.

    Raises:
        AnimatorError: `invalid_view` for what is no side that the networks know.
    """
    whole = type(azimuth) is int and type(elevation) is int
    highest = ELEVATION_STEP * (ELEVATIONS - 1)
    if whole and azimuth % AZIMUTH_STEP == 0 and elevation in range(0, highest + 1, ELEVATION_STEP):
        return SeenFrom(azimuth % (AZIMUTH_STEP * AZIMUTHS), elevation)
    raise AnimatorError(
        "invalid_view",
        f"There is no view from azimuth {_short(azimuth)} and elevation {_short(elevation)}; "
        f"azimuths are multiples of {AZIMUTH_STEP} degrees, elevations 0, 10 or 20.",
    )


def turntable(source: SeenFrom, elevations: Iterable[int] = (0, 10, 20)) -> ViewPath:
    """Once around the object at each height, beginning with the photo's own side."""
    steps = range(AZIMUTHS)
    views = [
        seen_from(source.azimuth + AZIMUTH_STEP * step, elevation)
        for elevation in elevations
        for step in steps
    ]
    return ViewPath(source, tuple(views))


def read_view_path(path: str | Path) -> ViewPath:
    """Read a JSON file `{"source": [AZIMUTH, ELEVATION], "views": [[AZIMUTH, ELEVATION], ...]}`.

    Without `source` the photo shows the object from azimuth 0 and elevation 0.

    Raises:
        AnimatorError: `invalid_view`, and those of `animator.files.local.open_file`.
    """
    with open_file(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise AnimatorError("invalid_view", f"{quoted(path)} has more than {MAX_BYTES} bytes.")
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        raise AnimatorError("invalid_view", f"{quoted(path)} is no JSON file of views.") from None
    return _path(values, path)


def _path(values: Any, path: str | Path) -> ViewPath:
    views = values.get("views") if isinstance(values, dict) else None
    if not isinstance(views, list) or not 1 <= len(views) <= MAX_VIEWS:
        message = (
            f'{quoted(path)} needs "views", a list of 1 to {MAX_VIEWS} pairs of azimuth and '
            "elevation in degrees."
        )
        raise AnimatorError("invalid_view", message)
    try:
        return ViewPath(_pair(values.get("source", [0, 0])), tuple(map(_pair, views)))
    except AnimatorError as error:
        raise AnimatorError(error.code, f"{quoted(path)}: {error.message}") from None


def _pair(value: Any) -> SeenFrom:
    if isinstance(value, list) and len(value) == 2:
        return seen_from(*value)
    message = f"{_short(value)} is no pair of azimuth and elevation in degrees."
    raise AnimatorError("invalid_view", message)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
