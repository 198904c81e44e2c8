"""The report of a run as one HTML file that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from animator import __version__
from animator.dataset.report.charts import over_time, stacked_bar
from animator.dataset.report.data import Example, Group, RunProgress, RunReport
from animator.dataset.report.html import (
    Markup,
    counted,
    duration,
    joined,
    number,
    share,
    size,
    tag,
)
from animator.dataset.report.pictures import measure_cards, sheet_views
from animator.dataset.report.style import STYLE
from animator.dataset.report.work import work_view

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render(report: RunReport) -> str:
    """The page. Everything in it that comes from the run is escaped."""
    sections = [
        (anchor, title, body)
        for anchor, title, make in _SECTIONS
        if (body := make(report)) is not None
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{report.title}: {_percent(report.progress)}"),
        tag("link", rel="icon", href="data:,"),
        Markup(f"<style>{STYLE}</style>"),
    )
    links = [tag("a", title, href=f"#{anchor}") for anchor, title, _ in sections]
    body = tag(
        "body",
        tag(
            "div",
            _header(report),
            tag("nav", *links, aria_label="Sections") if links else "",
            tag(
                "main",
                *(
                    tag("section", tag("h2", title), content, id=anchor)
                    for anchor, title, content in sections
                ),
            ),
            tag("footer", f"Made by animator {__version__} on {_moment(report.now)}."),
            class_="page",
        ),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(report: RunReport) -> Markup:
    progress = report.progress
    state = _state(progress)
    pill = tag("span", state, class_="pill" if progress.done else "pill waiting")
    return tag(
        "header",
        tag("div", pill, tag("span", f"Data set, as of {_moment(report.now)}"), class_="top"),
        tag("h1", report.title),
        _progress(progress),
        _facts(report),
    )


def _state(progress: RunProgress) -> str:
    if not progress.total:
        return "nothing to make"
    if not progress.left:
        return "complete"
    return "in progress" if progress.done else "not begun"


def _percent(progress: RunProgress) -> str:
    """Rounded down, so that 100 % is said of nothing that is not complete."""
    return f"{int(progress.percent * 10) / 10:g} %" if progress.left else "100 %"


def _progress(progress: RunProgress) -> Markup:
    total = max(progress.total, progress.done, 1)
    parts = [
        ("good", "succeeded", progress.succeeded),
        ("warn", "rejected", progress.rejected),
        ("bad", "failed", progress.failed),
    ]
    shown = [(name, count / total, f"{count:,} {word}") for name, word, count in parts]
    words = [(name, f"{count:,} {word}") for name, word, count in parts if count]
    words.append(("rest", f"{progress.left:,} left"))
    legend = [
        tag("li", tag("span", class_=f"key {name}"), tag("span", text)) for name, text in words
    ]
    return tag(
        "div",
        tag(
            "p",
            tag("b", _percent(progress)),
            tag("span", f"{progress.done:,} of {counted(progress.total, 'sample')} ended"),
            class_="amount",
        ),
        stacked_bar(shown, ", ".join(text for _, text in words)),
        tag("ul", *legend, class_="legend"),
        class_="progress",
    )


def _facts(report: RunReport) -> Markup:
    progress, pace = report.progress, report.pace
    hourly, speed = pace.samples_per_hour, pace.frames_per_second
    if progress.left:
        left = progress.seconds_left
        end = left is not None and _end(report.now, left)
        time = ("Time left", "–" if left is None else duration(left), f"until {end}" if end else "")
    else:
        time = ("Time taken", duration(pace.busy_seconds) if pace.began else "–", "pauses left out")
    bad = progress.failed + progress.rejected
    facts = [
        (
            "Succeeded",
            share(progress.succeeded, progress.done),
            f"{bad:,} failed or rejected" if bad else "of those that ended",
        ),
        time,
        ("Pace", "–" if hourly is None else number(hourly), "samples an hour"),
        ("Speed", "–" if speed is None else number(speed), "frames a second"),
        ("Videos", size(report.bytes), counted(report.frames, "frame")),
        ("Faults", f"{progress.faults:,}", "rows of the manifest"),
    ]
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", value, tag("small", unit)))
            for name, value, unit in facts
        ),
        class_="facts",
    )


def _end(now: datetime, seconds: float) -> str:
    """When it will be over; empty where that is beyond any calendar."""
    try:
        return f"{now.astimezone(UTC) + timedelta(seconds=seconds):%d %b %H:%M}"
    except OverflowError:
        return ""


def _pace(report: RunReport) -> Markup | None:
    pace = report.pace
    if pace.began is None or pace.ended is None:
        return None
    ago = (report.now - pace.ended).total_seconds()
    atonce = pace.work_seconds / pace.busy_seconds
    lead = (
        f"{counted(pace.shards, 'shard')} complete, the last one {duration(max(ago, 0))} before "
        f"this report. {duration(pace.work_seconds)} of work were done in "
        f"{duration(pace.busy_seconds)}: {number(atonce)} samples at a time. A shard's samples are "
        "spread evenly between its beginning and its end."
    )
    charts = [
        _time_chart(report, "Samples an hour", pace.samples_over_time),
        _time_chart(report, "Frames a second", pace.frames_over_time),
    ]
    return joined([tag("p", lead, class_="lead"), tag("div", *charts, class_="cards wide")])


def _time_chart(report: RunReport, title: str, values: tuple[float, ...]) -> Markup:
    assert report.pace.began is not None and report.pace.ended is not None
    ends = [
        f"{time.astimezone(UTC):%d %b %H:%M}" for time in (report.pace.began, report.pace.ended)
    ]
    mean = number(sum(values) / len(values))
    label = f"{title} from {ends[0]} to {ends[1]}: {mean} on average, {number(max(values))} at most"
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", title),
            tag("span", f"{mean} on average, {number(max(values))} at most", class_="soft small"),
            class_="head",
        ),
        over_time(values, label),
        tag("div", *(tag("span", f"{end} UTC") for end in ends), class_="ends"),
        class_="card time",
    )


def _failures(report: RunReport) -> Markup | None:
    if not report.failures:
        return None
    lead = (
        "Failed samples could not be made; rejected ones were made and left out by their quality. "
        "Every reason with its first examples."
    )
    return joined([tag("p", lead, class_="lead"), _groups(report.failures, report.progress.done)])


def _faults(report: RunReport) -> Markup | None:
    if not report.faults:
        return None
    lead = "Rows of the manifest of which no sample can be made. They do not count as planned."
    return joined([tag("p", lead, class_="lead"), _groups(report.faults, report.progress.faults)])


def _groups(groups: tuple[Group, ...], whole: int) -> Markup:
    return joined(_group(group, whole) for group in groups)


def _group(group: Group, whole: int) -> Markup:
    of = "faults" if group.state == "fault" else "samples that ended"
    kind = "" if group.state == "fault" else f"{group.state}, "
    part = f"{share(group.count, whole)} of the {of}"
    colour = "warn" if group.state == "rejected" else "bad"
    what = tag(
        "div",
        tag("div", tag("span", f"{group.count:,}", class_="count"), class_="head"),
        tag("h3", tag("code", group.code or "unknown")),
        tag("p", group.meaning, class_="soft small") if group.meaning else "",
        stacked_bar([(colour, group.count / max(whole, 1), part)], part),
        tag("p", f"{kind}{part}", class_="soft small"),
        class_="what",
    )
    return tag("div", what, tag("ul", *map(_example, group.examples)), class_="group")


def _example(example: Example) -> Markup:
    return tag(
        "li",
        tag(
            "span",
            tag("bdi", example.id, class_="id") if example.id else "",
            tag("span", f"row {example.row:,}", class_="soft small"),
        ),
        tag("bdi", example.sentence),
    )


def _options(report: RunReport) -> Markup | None:
    if not report.options:
        return None
    rows = [
        part
        for name, value in report.options
        for part in (tag("dt", tag("bdi", name)), tag("dd", tag("code", tag("bdi", value))))
    ]
    return tag("dl", *rows, class_="list")


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%d %B %Y, %H:%M} UTC"


_SECTIONS: tuple[tuple[str, str, Callable[[RunReport], Markup | None]], ...] = (
    ("pace", "Pace", _pace),
    ("quality", "Quality", measure_cards),
    ("samples", "Contact sheets", sheet_views),
    ("failures", "Failures", _failures),
    ("faults", "Faults of the manifest", _faults),
    ("work", "Time and cache", work_view),
    ("options", "Options", _options),
)
