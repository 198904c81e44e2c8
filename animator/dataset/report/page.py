"""The report of a run as one HTML file that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from animator import __version__
from animator.dataset.report import pictures
from animator.dataset.report.charts import histogram, over_time
from animator.dataset.report.data import RunProgress, RunReport
from animator.dataset.report.words import counted, duration, number, printable, share, size
from animator.dataset.report.work import STAGES, saved, stage_shares

_TEMPLATES = Path(__file__).with_name("templates")


def render(report: RunReport) -> str:
    """The page. Everything in it that comes from the run is escaped."""
    progress, stages = report.progress, stage_shares(report)
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            version=__version__,
            style=Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8")),
            sections=[(anchor, title) for anchor, title, wanted in _SECTIONS if wanted(report)],
            state=_state(progress),
            percent=_percent(progress),
            shares=_shares(progress),
            words=_words(progress),
            facts=_facts(report),
            stages=stages,
            stage_words=[(key, f"{name} {share(part, 1)}") for key, part, name in stages],
            saved=saved(report).items(),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        clock=_clock,
        counted=counted,
        duration=duration,
        histogram=histogram,
        measure_names=pictures.MEASURES,
        moment=_moment,
        number=number,
        over_time=over_time,
        pictures=pictures.pictures,
        shape=pictures.shape,
        share=share,
        sheet_names=pictures.SHEETS,
        stage_names=STAGES,
        value=pictures.value,
    )
    return environment


def _shown(value: Any) -> Any:
    """A value on its way into the page, before it is escaped."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


_SECTIONS: tuple[tuple[str, str, Callable[[RunReport], object]], ...] = (
    ("pace", "Pace", lambda report: report.pace.began is not None),
    ("quality", "Quality", lambda report: report.measures),
    ("samples", "Contact sheets", lambda report: report.sheets),
    ("failures", "Failures", lambda report: report.failures),
    ("faults", "Faults of the manifest", lambda report: report.faults),
    ("work", "Time and cache", lambda report: report.stages or report.slowest),
    ("options", "Options", lambda report: report.options),
)
"""Anchor, which is also the name of the template, title, and whether there is anything to show."""


def _state(progress: RunProgress) -> str:
    if not progress.total:
        return "nothing to make"
    if not progress.left:
        return "complete"
    return "in progress" if progress.done else "not begun"


def _percent(progress: RunProgress) -> str:
    """Rounded down, so that 100 % is said of nothing that is not complete."""
    return f"{int(progress.percent * 10) / 10:g} %" if progress.left else "100 %"


def _parts(progress: RunProgress) -> list[tuple[str, str, int]]:
    return [
        ("good", "succeeded", progress.succeeded),
        ("warn", "rejected", progress.rejected),
        ("bad", "failed", progress.failed),
    ]


def _shares(progress: RunProgress) -> list[tuple[str, float, str]]:
    """The parts of the bar: class, share, and what it says."""
    total = max(progress.total, progress.done, 1)
    return [(key, count / total, f"{count:,} {word}") for key, word, count in _parts(progress)]


def _words(progress: RunProgress) -> list[tuple[str, str]]:
    """Its legend."""
    words = [(key, f"{count:,} {word}") for key, word, count in _parts(progress) if count]
    return [*words, ("rest", f"{progress.left:,} left")]


def _facts(report: RunReport) -> list[tuple[str, str, str]]:
    """Figures below the bar: name, value and unit."""
    progress, pace = report.progress, report.pace
    hourly, speed = pace.samples_per_hour, pace.frames_per_second
    if progress.left:
        left = progress.seconds_left
        end = left is not None and _end(report.now, left)
        time = ("Time left", "–" if left is None else duration(left), f"until {end}" if end else "")
    else:
        time = ("Time taken", duration(pace.busy_seconds) if pace.began else "–", "pauses left out")
    bad = progress.failed + progress.rejected
    return [
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


def _end(now: datetime, seconds: float) -> str:
    """When it will be over; empty where that is beyond any calendar."""
    try:
        return f"{now.astimezone(UTC) + timedelta(seconds=seconds):%d %b %H:%M}"
    except OverflowError:
        return ""


def _clock(time: datetime) -> str:
    return f"{time.astimezone(UTC):%d %b %H:%M}"


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%d %B %Y, %H:%M} UTC"
