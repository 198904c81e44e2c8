"""The parts of a report that show how good the samples are: histograms and contact sheets."""

from __future__ import annotations

import base64

from animator.dataset.report.charts import histogram
from animator.dataset.report.data import RunReport, Sheet, SheetSample
from animator.dataset.report.html import Markup, counted, joined, number, tag
from animator.dataset.report.measures import Distribution
from animator.dataset.report.strips import Strip

_EYES = "in % of the distance between the outer corners of the eyes"
_MEASURES = {
    "face_coverage": ("Face coverage", "Share of the frames in which a face is found, 0 to 1."),
    "landmark_error": ("Landmark error", f"Distance of landmarks from those asked for, {_EYES}."),
    "identity": ("Identity", "Likeness to the face of the source, up to 1."),
    "sharpness": ("Sharpness", "Fine detail of the face, as the variance of its Laplacian."),
    "jitter": ("Jitter", f"How the face shakes beside the motion asked for, {_EYES}."),
    "mouth_opening": (
        "Mouth opening",
        "How far the lips are from as open as asked for, in % of the face's size.",
    ),
    "eyes_opening": (
        "Eye opening",
        "How far the lids are from as open as asked for, in % of an eye's width.",
    ),
}
_UNITS = dict.fromkeys(("landmark_error", "jitter", "mouth_opening", "eyes_opening"), " %")
_SHEETS = {
    "best": ("Best", "The highest combined ranks, from the best on."),
    "median": ("Median", "The middle of the ranking: what to expect of most samples."),
    "worst": ("Worst", "The lowest combined ranks, from the worst on."),
    "some": ("Some", "Without quality measures nothing is ranked; these are spread over the run."),
}
_BROAD, _TALL = 1.4, 0.6  # width to height from which frames are arranged differently


def measure_cards(report: RunReport) -> Markup | None:
    """One card a measure, and one that says how to read them; None if nothing was measured."""
    if not report.measures:
        return None
    lead = "How the quality measures are spread over the samples that succeeded."
    if report.progress.rejected:
        lead += " Samples that were made and then rejected stand on top, in another colour."
    reading = tag(
        "div",
        tag("h3", "How to read them"),
        tag(
            "p",
            "A bar is a number of samples. The line below spans 5 % to 95 % of the succeeded ones, "
            "with a dot at the median. What lies far out counts in the first or last bar.",
            class_="soft small",
        ),
        tag("ul", _key("good", "succeeded"), _key("warn", "rejected"), class_="legend"),
        class_="card plain",
    )
    cards = [*map(_measure_card, report.measures), reading]
    return joined([tag("p", lead, class_="lead"), tag("div", *cards, class_="cards")])


def sheet_views(report: RunReport) -> Markup | None:
    """The contact sheets; None if no sample has succeeded."""
    if not report.sheets:
        return None
    lead = (
        "Four frames of each video, from its beginning to its end. Samples are ranked by the mean "
        "of their percentile ranks over the quality measures that they have: 100 would be the best "
        "of all samples in every measure."
    )
    ranked = any(sheet.name != "some" for sheet in report.sheets)
    return joined([tag("p", lead, class_="lead") if ranked else "", *map(_sheet, report.sheets)])


def _key(colour: str, text: str) -> Markup:
    return tag("li", tag("span", class_=f"key {colour}"), tag("span", text))


def _measure_card(measure: Distribution) -> Markup:
    title, meaning = _MEASURES.get(measure.name, (measure.name, ""))
    better = "higher is better →" if measure.better == "higher" else "← lower is better"
    low, median, high = (
        _value(measure.name, one) for one in (measure.low, measure.median, measure.high)
    )
    stats = {"5 %": low, "median": median, "95 %": high}
    label = f"{title}: " + ", ".join(f"{name}: {value}" for name, value in stats.items())
    lacking = f" {counted(measure.lacking, 'sample')} lack it." if measure.lacking else ""
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("div", tag("h3", title), tag("span", better, class_="better"), class_="head"),
            tag("p", f"{meaning}{lacking}", class_="soft small"),
        ),
        histogram(measure, label),
        tag(
            "div",
            *(tag("span", _value(measure.name, edge)) for edge in measure.edges),
            class_="ends",
        ),
        tag(
            "dl",
            *(tag("div", tag("dt", name), tag("dd", value)) for name, value in stats.items()),
            class_="stats",
        ),
        class_="card measure",
    )


def _value(measure: str, value: float) -> str:
    return number(value) + _UNITS.get(measure, "")


def _sheet(sheet: Sheet) -> Markup:
    title, what = _SHEETS[sheet.name]
    cards = map(_clip, sheet.samples)
    return tag(
        "div",
        tag("h3", title),
        tag("p", what, class_="soft small"),
        tag("div", *cards, class_="cards wide"),
        class_="sheet",
    )


def _clip(shown: SheetSample) -> Markup:
    values = [
        tag("span", f"{_MEASURES.get(name, (name, ''))[0].lower()} ", tag("b", _value(name, value)))
        for name, value in shown.measures
    ]
    rank = "" if shown.rank is None else f", rank {100 * shown.rank:.0f}"
    return tag(
        "figure",
        _strip(shown),
        tag(
            "figcaption",
            tag(
                "div",
                tag("bdi", shown.id, class_="id"),
                tag("span", f"row {shown.row:,}{rank}", class_="soft small"),
                class_="head",
            ),
            tag("div", *values, class_="values") if values else "",
        ),
        class_="card clip",
    )


def _strip(shown: SheetSample) -> Markup:
    strip = shown.strip
    if not strip.jpegs:
        return tag("p", strip.note, class_="note")
    pictures = [
        tag(
            "img",
            src="data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
            width=strip.width,
            height=strip.height,
            alt=f"{shown.id} at {second:.1f} s",
        )
        for jpeg, second in zip(strip.jpegs, strip.seconds, strict=True)
    ]
    return tag("div", *pictures, class_=f"strip{_shape(strip)}")


def _shape(strip: Strip) -> str:
    aspect = strip.width / strip.height
    return " broad" if aspect > _BROAD else " tall" if aspect < _TALL else ""
