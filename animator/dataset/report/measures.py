"""Distributions of the quality measures of a run, and its best and worst samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from animator.dataset.rows import MEASURES, Row

Floats = NDArray[np.float64]
Better = Literal["higher", "lower"]
BINS = 28

BETTER: dict[str, Better] = {
    "face_coverage": "higher",
    "landmark_error": "lower",
    "identity": "higher",
    "sharpness": "higher",
    "jitter": "lower",
    "mouth_opening": "lower",
    "eyes_opening": "lower",
}
"""Which end of a measure is the good one."""

_POSITIVE = (0.0, math.inf)
BOUNDS: dict[str, tuple[float, float]] = {
    "face_coverage": (0.0, 1.0),
    "landmark_error": _POSITIVE,
    "identity": (-1.0, 1.0),
    "sharpness": _POSITIVE,
    "jitter": _POSITIVE,
    "mouth_opening": _POSITIVE,
    "eyes_opening": _POSITIVE,
}
"""Least and greatest values that a measure can have."""


@dataclass(frozen=True)
class Distribution:
    """One quality measure over the samples that were made."""

    name: str
    better: Better
    measured: int
    """Succeeded samples that have it."""
    lacking: int
    """Succeeded samples that lack it."""
    low: float
    """5th percentile of the succeeded samples, as the two that follow."""
    median: float
    high: float
    """95th percentile."""
    edges: tuple[float, float]
    """Where the histogram begins and ends; what is outside counts in its first and last bin."""
    kept: tuple[int, ...]
    """Succeeded samples by bin."""
    rejected: tuple[int, ...]
    """Rejected samples by bin."""
    outside: int
    """Samples beyond the edges."""


def distributions(succeeded: Sequence[Row], rejected: Sequence[Row]) -> tuple[Distribution, ...]:
    """The distribution of every measure that some succeeded sample has."""
    found = (_distribution(name, succeeded, rejected) for name in MEASURES)
    return tuple(one for one in found if one is not None)


def combined_ranks(rows: Sequence[Row]) -> Floats:
    """float64 N in 0..1, 1 for the best: the mean of a sample's percentile ranks.

    The rank of a sample in a measure is the share of samples that are worse than it, those that are
    equal counting half. The mean goes over the measures that the sample has; NaN if it has none.
    """
    ranks = np.full((len(MEASURES), len(rows)), np.nan)
    for place, name in enumerate(MEASURES):
        values = _column(rows, name)
        if BETTER[name] == "lower":
            values = -values
        known = np.isfinite(values)
        ordered = np.sort(values[known])
        if len(ordered):
            below = np.searchsorted(ordered, values[known], "left")
            through = np.searchsorted(ordered, values[known], "right")
            ranks[place, known] = (below + through) / (2 * len(ordered))
    counts = np.isfinite(ranks).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.nansum(ranks, axis=0) / counts


def _distribution(
    name: str, succeeded: Sequence[Row], rejected: Sequence[Row]
) -> Distribution | None:
    values, left_out = _column(succeeded, name), _column(rejected, name)
    values, left_out = values[np.isfinite(values)], left_out[np.isfinite(left_out)]
    if not len(values):
        return None
    low, median, high = (float(value) for value in np.percentile(values, (5, 50, 95)))
    together = np.concatenate((values, left_out))
    # A few samples far away would squeeze all others into one bar.
    reach = 1.5 * (high - low) if high > low else np.inf
    first = max(float(together.min()), low - reach)
    last = min(float(together.max()), high + reach)
    if first == last:
        margin = abs(first) * 0.05 or 0.5
        first, last = first - margin, last + margin
    # An axis does not go beyond what a measure can be, such as 100 %.
    lowest, highest = BOUNDS[name]
    first, last = max(first, lowest), min(last, highest)
    return Distribution(
        name=name,
        better=BETTER[name],
        measured=len(values),
        lacking=len(succeeded) - len(values),
        low=low,
        median=median,
        high=high,
        edges=(first, last),
        kept=_binned(values, first, last),
        rejected=_binned(left_out, first, last),
        outside=int(np.count_nonzero((together < first) | (together > last))),
    )


def _binned(values: Floats, first: float, last: float) -> tuple[int, ...]:
    counts, _ = np.histogram(np.clip(values, first, last), BINS, (first, last))
    return tuple(int(count) for count in counts)


def _column(rows: Sequence[Row], name: str) -> Floats:
    """float64 N; NaN where there is no value."""
    return np.array([row.get(name) for row in rows], np.float64)
