"""The part of a report that shows where the time went and what was saved of it."""

from __future__ import annotations

from animator.dataset.report.charts import stacked_bar
from animator.dataset.report.data import RunReport, Slow, Stage
from animator.dataset.report.html import Markup, counted, duration, joined, number, share, tag

_STAGES = {
    "load": "reading the inputs",
    "landmarks": "landmarks",
    "generate": "rendering",
    "measure": "measuring quality",
    "other": "the rest",
}
_COLUMNS = ("Sample", "Row", "Time", "Frames", "Frames/s", "Mostly")
_ATTEMPTS = 6  # numbers of attempts that are told apart


def work_view(report: RunReport) -> Markup | None:
    """Stages, what was saved, and the slowest samples; None if no sample was made."""
    if not report.stages and not report.slowest:
        return None
    parts = [_stages(report.stages)] if report.stages else []
    parts.append(_titled("What was saved", _saved(report)))
    if report.slowest:
        parts.append(_titled("Slowest samples", _slowest(report.slowest)))
    return joined(parts)


def _titled(title: str, content: Markup) -> Markup:
    return tag("div", tag("h3", title), content, class_="sheet")


def _stages(stages: tuple[Stage, ...]) -> Markup:
    whole = sum(stage.seconds for stage in stages)
    parts = [
        (f"s{place}", stage.seconds / whole, _STAGES.get(stage.name, stage.name))
        for place, stage in enumerate(stages, 1)
    ]
    words = [(key, f"{name} {share(part, 1)}") for key, part, name in parts]
    legend = [tag("li", tag("span", class_=f"key {key}"), tag("span", text)) for key, text in words]
    lead = f"{duration(whole)} of work on the samples that were made, by stage."
    return joined(
        [
            tag("p", lead, class_="lead"),
            stacked_bar(parts, ", ".join(text for _, text in words)),
            tag("ul", *legend, class_="legend"),
        ]
    )


def _saved(report: RunReport) -> Markup:
    reuse = report.reuse
    resumed = "nothing"
    if reuse.resumed:
        frames = counted(reuse.resumed_frames, "frame")
        resumed = f"{counted(reuse.resumed, 'sample')}, {frames} that were not rendered again"
    attempts = [
        f"{counted(samples, 'sample')} took {attempts}"
        for attempts, samples in reuse.attempts[:_ATTEMPTS]
    ]
    facts = {
        "Landmarks": f"{share(reuse.cached, reuse.known)} of the samples found those of their "
        "driving video in the cache",
        "Extractions": f"{report.pace.extractions:,} in the shards that are complete",
        "Driving videos": f"{reuse.driving:,} different",
        "Resumed": resumed,
        "Attempts": "; ".join(attempts) or "–",
    }
    rows = [part for name, text in facts.items() for part in (tag("dt", name), tag("dd", text))]
    return tag("dl", *rows, class_="list")


def _slowest(samples: tuple[Slow, ...]) -> Markup:
    head = [
        tag("th", title, class_="n" if 0 < place < 5 else None, scope="col")
        for place, title in enumerate(_COLUMNS)
    ]
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *map(_slowest_line, samples)))
    # What can be scrolled must be within reach of the keyboard.
    return tag(
        "div", table, class_="scroll", role="region", aria_label="Slowest samples", tabindex=0
    )


def _slowest_line(slow: Slow) -> Markup:
    frames = slow.frames
    numbers = (
        f"{slow.row:,}",
        duration(slow.seconds),
        f"{frames:,}" if frames else "–",
        number(frames / slow.seconds) if frames and slow.seconds > 0 else "–",
    )
    return tag(
        "tr",
        tag("td", tag("bdi", slow.id), class_="id"),
        *(tag("td", value, class_="n") for value in numbers),
        tag("td", _STAGES.get(slow.stage, slow.stage) or slow.state),
    )
