"""Charts as inline SVG.

The SVG holds shapes only and stretches to the width it is given. Words stand beside it as HTML, and
keep their size on a phone. Colours come from the style of the page, which knows dark and light.
"""

from __future__ import annotations

from collections.abc import Sequence

from animator.dataset.report.html import Markup, number, tag
from animator.dataset.report.measures import Distribution

_WIDTH, _HEIGHT = 280, 84
_RANGE_WIDTH, _RANGE_HEIGHT = 600, 120


def stacked_bar(parts: Sequence[tuple[str, float, str]], label: str) -> Markup:
    """One bar of coloured parts; what they leave of the whole is empty.

    Args:
        parts: the class of each that gives its colour, its share of the bar, and its tooltip.
        label: what the bar says, for a reader who does not see it.
    """
    pieces = [
        tag("span", class_=f"part {name}", style=f"width:{100 * share:.3f}%", title=title)
        for name, share, title in parts
        if share > 0
    ]
    return tag("div", *pieces, class_="bar", role="img", aria_label=label)


def histogram(measure: Distribution, label: str) -> Markup:
    """Bars of succeeded and, on top of them, rejected samples; below, 5 % to 95 % and median."""
    bins = len(measure.kept)
    tallest = max(map(sum, zip(measure.kept, measure.rejected, strict=True))) or 1
    first, last = measure.edges
    step, width = (last - first) / bins, _WIDTH / bins
    shapes = []
    for place, (kept, rejected) in enumerate(zip(measure.kept, measure.rejected, strict=True)):
        if not kept + rejected:
            continue
        # One sample among thousands must still be seen.
        low = max(_HEIGHT * kept / tallest, 1.0) if kept else 0.0
        high = max(_HEIGHT * rejected / tallest, 1.0) if rejected else 0.0
        x, across = f"{place * width + 0.5:.1f}", f"{width - 1:.1f}"
        span = f"{number(first + place * step)} to {number(first + (place + 1) * step)}"
        count = f"{kept:,} succeeded" + (f", {rejected:,} rejected" if rejected else "")
        bars = [("good", low, low), ("warn", low + high, high)]
        shapes.append(
            tag(
                "g",
                tag("title", f"{span}: {count}"),
                *(
                    tag(
                        "rect",
                        class_=name,
                        x=x,
                        y=f"{_HEIGHT - top:.1f}",
                        width=across,
                        height=f"{tall:.1f}",
                    )
                    for name, top, tall in bars
                    if tall
                ),
            )
        )
    low, median, high = (
        100 * min(max((value - first) / (last - first), 0), 1)
        for value in (measure.low, measure.median, measure.high)
    )
    whisker = tag(
        "div",
        tag("span", class_="range", style=f"left:{low:.1f}%;right:{100 - high:.1f}%"),
        tag("span", class_="dot", style=f"left:{median:.1f}%"),
        class_="whisker",
    )
    return tag("div", _svg(_WIDTH, _HEIGHT, label, shapes), whisker, class_="histogram")


def over_time(values: Sequence[float], label: str) -> Markup:
    """A filled line in steps from 0 to the highest value, with a dashed line at the mean."""
    highest = max(values) or 1.0
    step = _RANGE_WIDTH / len(values)
    usable = _RANGE_HEIGHT - 2  # the line is two pixels thick
    path = "".join(
        f"V{_RANGE_HEIGHT - usable * value / highest:.1f}H{(place + 1) * step:.1f}"
        for place, value in enumerate(values)
    )
    mean = _RANGE_HEIGHT - usable * (sum(values) / len(values)) / highest
    shapes = [
        tag("path", class_="area", d=f"M0 {_RANGE_HEIGHT}{path}V{_RANGE_HEIGHT}Z"),
        tag("path", class_="line", d=f"M0 {path[1:]}"),
        tag("path", class_="mean", d=f"M0 {mean:.1f}H{_RANGE_WIDTH}"),
    ]
    return _svg(_RANGE_WIDTH, _RANGE_HEIGHT, label, shapes)


def _svg(width: int, height: int, label: str, shapes: Sequence[str]) -> Markup:
    return tag(
        "svg",
        *shapes,
        viewBox=f"0 0 {width} {height}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )
