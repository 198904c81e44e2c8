"""Charts as shapes for inline SVG.

The SVG holds shapes only and stretches to the width it is given. Words stand beside it as HTML, and
keep their size on a phone. Colours come from the style of the page, which knows dark and light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from animator.dataset.report.measures import Distribution
from animator.dataset.report.words import number

WIDTH, HEIGHT = 280, 84
"""Of a histogram, in units of its view box."""
RANGE_WIDTH, RANGE_HEIGHT = 600, 120
"""Of a line over time."""


@dataclass(frozen=True)
class Bin:
    """One bin of a histogram."""

    title: str
    x: float
    width: float
    bars: tuple[tuple[str, float, float], ...]
    """Class that gives the colour, upper edge and height of each bar."""


@dataclass(frozen=True)
class Histogram:
    """Bars of succeeded and, on top of them, rejected samples."""

    bins: tuple[Bin, ...]
    low: float
    """5 % of the succeeded samples, in per cent of the width; so are the next two."""
    median: float
    high: float
    """95 %."""


@dataclass(frozen=True)
class Curve:
    """A filled line in steps from 0 to the highest value, with a line at the mean."""

    area: str
    """A path; so is the next."""
    line: str
    mean: float
    """Height of that line."""


def histogram(measure: Distribution) -> Histogram:
    """The bars of a measure and, below them, 5 % to 95 % and the median."""
    tallest = max(map(sum, zip(measure.kept, measure.rejected, strict=True))) or 1
    first, last = measure.edges
    step, width = (last - first) / len(measure.kept), WIDTH / len(measure.kept)
    bins = []
    for place, (kept, rejected) in enumerate(zip(measure.kept, measure.rejected, strict=True)):
        if not kept + rejected:
            continue
        # One sample among thousands must still be seen.
        low = max(HEIGHT * kept / tallest, 1.0) if kept else 0.0
        high = max(HEIGHT * rejected / tallest, 1.0) if rejected else 0.0
        bars = [("good", HEIGHT - low, low), ("warn", HEIGHT - (low + high), high)]
        span = f"{number(first + place * step)} to {number(first + (place + 1) * step)}"
        count = f"{kept:,} succeeded" + (f", {rejected:,} rejected" if rejected else "")
        # Half a unit on each side keeps bars apart.
        bins.append(
            Bin(
                f"{span}: {count}",
                place * width + 0.5,
                width - 1,
                tuple(bar for bar in bars if bar[2]),
            )
        )
    marks = (measure.low, measure.median, measure.high)
    return Histogram(
        tuple(bins), *(100 * min(max((mark - first) / (last - first), 0), 1) for mark in marks)
    )


def over_time(values: Sequence[float]) -> Curve:
    """The line of values in equal parts of a time."""
    highest = max(values) or 1.0
    step = RANGE_WIDTH / len(values)
    usable = RANGE_HEIGHT - 2  # the line is two pixels thick
    path = "".join(
        f"V{RANGE_HEIGHT - usable * value / highest:.1f}H{(place + 1) * step:.1f}"
        for place, value in enumerate(values)
    )
    mean = RANGE_HEIGHT - usable * (sum(values) / len(values)) / highest
    return Curve(f"M0 {RANGE_HEIGHT}{path}V{RANGE_HEIGHT}Z", f"M0 {path[1:]}", mean)
