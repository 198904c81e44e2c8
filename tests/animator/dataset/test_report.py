"""The report of a run: what it sums up, and that nothing of the run gets out of its text."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animator.dataset.report.data import RunReport, summarise
from animator.dataset.report.measures import BETTER, combined_ranks
from animator.dataset.report.page import render
from animator.dataset.report.strips import FRAMES, HEIGHT, read_strip
from animator.dataset.rows import MEASURES, Row, make_row
from animator.dataset.samples import Fault, Sample, SampleOutcome
from animator.errors import CODES, AnimatorError
from animator.record import JobError
from tests.animator.dataset.report_rows import (
    BEGAN,
    HOSTILE,
    hostile_report,
    make_rows,
    make_shards,
    make_videos,
    video_for,
)
from tests.animator.media_files import numbered, write_video

NOW = BEGAN + timedelta(hours=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return make_videos(tmp_path_factory.mktemp("videos"), frames=8, size=96)


def no_video(row: Row) -> bytes:
    raise AnimatorError("storage_unavailable", "The store is gone.")


def report_of(
    rows: Sequence[Row],
    *,
    total: int | None = None,
    faults: Sequence[Fault] = (),
    shards: Sequence[Mapping[str, Any]] = (),
    options: Mapping[str, object] | None = None,
    title: str = "A run",
    video_of: Callable[[Row], bytes] = no_video,
) -> RunReport:
    return summarise(
        title=title,
        options=options or {},
        total=len(rows) if total is None else total,
        rows=rows,
        faults=faults,
        shards=shards,
        now=NOW,
        video_of=video_of,
    )


def failed(number: int, code: str, sentence: str, name: str = "") -> Row:
    sample = Sample(name or f"s{number}", number + 1, "/a.png", "/b.mp4")
    return make_row(sample, number, 0, SampleOutcome(sample.id, "failed", JobError(code, sentence)))


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text outside the style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "

    def ids(self) -> set[str]:
        return {str(attributes["id"]) for _, attributes in self.elements if "id" in attributes}


def test_progress_and_pace() -> None:
    rows = make_rows(200)
    report = report_of(rows, total=400, shards=make_shards(rows))
    progress = report.progress
    states = [row["state"] for row in rows]
    assert (progress.succeeded, progress.failed, progress.rejected) == tuple(
        states.count(state) for state in ("succeeded", "failed", "rejected")
    )
    assert (progress.done, progress.left, progress.percent) == (200, 200, 50)
    assert progress.seconds_left == pytest.approx(report.pace.busy_seconds)
    assert report.frames == sum(row["frames"] for row in rows if row["state"] == "succeeded")
    page = Page(render(report))
    assert "200 of 400 samples ended" in page.text
    assert "in progress" in page.text
    assert page.ids() == {"pace", "quality", "samples", "failures", "work"}


def test_pace_leaves_out_pauses() -> None:
    def shard(began: int, ended: int) -> dict[str, Any]:
        times = (BEGAN + timedelta(minutes=minutes) for minutes in (began, ended))
        names = zip(("began", "ended"), times, strict=True)
        return {"samples": 30, "frames": 3000, **{name: time.isoformat() for name, time in names}}

    damaged = {"samples": 5, "began": "yesterday", "ended": None}
    pace = report_of([], shards=[shard(100, 110), shard(0, 10), shard(5, 20), damaged]).pace
    assert pace.busy_seconds == 30 * 60
    assert pace.samples_per_hour == pytest.approx(180)
    assert pace.frames_per_second == pytest.approx(5)
    # What is spread over time adds up to what was made, and nothing was made in the pause.
    hours = 110 / 60 / len(pace.samples_over_time)
    assert sum(pace.samples_over_time) * hours == pytest.approx(90)
    assert pace.samples_over_time[len(pace.samples_over_time) // 2] == 0


def test_failures_by_code_with_examples() -> None:
    rows = [failed(number, "no_face", f"Sentence {number}.") for number in range(7)]
    rows += [failed(7, "too_long", "Far too long."), failed(8, "of_a_later_version", "Who knows.")]
    faults = [Fault(9, "duplicate_id", "Twice.", "twin"), Fault(3, "duplicate_id", "Again.")]
    report = report_of(rows, faults=faults)
    first = report.failures[0]
    assert (first.code, first.count, first.meaning) == ("no_face", 7, CODES["no_face"])
    assert [example.sentence for example in first.examples] == [f"Sentence {n}." for n in range(5)]
    assert [example.row for example in first.examples] == [1, 2, 3, 4, 5]
    assert {group.code: group.meaning for group in report.failures}["of_a_later_version"] == ""
    assert [example.row for example in report.faults[0].examples] == [3, 9]
    page = Page(render(report))
    assert page.ids() == {"failures", "faults"}
    for text in ("Sentence 4.", "Far too long.", "Who knows.", "Twice.", CODES["too_long"]):
        assert text in page.text
    assert "Sentence 5." not in page.text
    assert "complete" in page.text


def test_empty_run() -> None:
    page = Page(render(report_of([], total=1000, options={"out": "/data"})))
    assert "not begun" in page.text
    assert "0 of 1,000 samples ended" in page.text
    assert page.ids() == {"options"}
    assert "nothing to make" in Page(render(report_of([]))).text


def test_a_run_is_called_complete_only_when_it_is() -> None:
    rows = [failed(number, "no_face", "No.") for number in range(1999)]
    assert "100 %" not in Page(render(report_of(rows, total=2000))).text.split("ended")[0]
    assert "100 %" in Page(render(report_of(rows))).text.split("ended")[0]


def test_distributions() -> None:
    rows = make_rows(400)
    kept = [row for row in rows if row["state"] == "succeeded"]
    report = report_of(rows)
    assert [measure.name for measure in report.measures] == list(MEASURES) == list(BETTER)
    for measure in report.measures:
        values = [row[measure.name] for row in kept]
        assert measure.median == pytest.approx(np.median(values))
        assert (measure.low, measure.high) == pytest.approx(np.percentile(values, (5, 95)))
        assert sum(measure.kept) == len(kept) == measure.measured
        assert sum(measure.rejected) == report.progress.rejected
    text = Page(render(report)).text
    assert text.count("higher is better") == 3
    assert text.count("lower is better") == 4


@pytest.mark.parametrize("values", [(0.5, 0.5), (0.0, 0.0), (1.0, None), (0.5, float("nan"))])
def test_distributions_of_few_values(values: tuple[float | None, ...]) -> None:
    rows = [row for row in make_rows(20) if row["state"] == "succeeded"][: len(values)]
    for row, value in zip(rows, values, strict=True):
        row.update(dict.fromkeys(MEASURES, value))
    report = report_of(rows)
    assert sum(report.measures[0].kept) == report.measures[0].measured
    Page(render(report))


def test_combined_rank() -> None:
    """Worked by hand: two measures, one of which is better when lower, and what is missing."""
    columns = {"identity": (0.9, 0.5, 0.1, None), "jitter": (1.0, 1.0, 4.0, None)}
    rows = [dict.fromkeys(MEASURES) for _ in range(4)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    ranks = combined_ranks(rows)
    assert ranks[:3] == pytest.approx([(5 / 6 + 4 / 6) / 2, (3 / 6 + 4 / 6) / 2, 1 / 6])
    assert np.isnan(ranks[3])


@pytest.mark.parametrize("count", [1, 2, 5, 23, 24, 25, 60])
def test_contact_sheets_share_no_sample(count: int, videos: list[bytes]) -> None:
    rows = [row for row in make_rows(2 * count + 8) if row["state"] == "succeeded"][:count]
    sheets = report_of(rows, video_of=video_for(videos)).sheets
    shown = [sample for sheet in sheets for sample in sheet.samples]
    assert len({sample.id for sample in shown}) == len(shown) == min(count, 24)
    ranks = {sheet.name: [sample.rank or 0 for sample in sheet.samples] for sheet in sheets}
    best = ranks["best"]
    assert best == sorted(best, reverse=True)
    if "worst" in ranks:
        assert ranks["worst"] == sorted(ranks["worst"])
        assert max(ranks["worst"]) <= min(best)
    assert all(len(sample.strip.jpegs) == FRAMES for sample in shown)
    assert render(report_of(rows, video_of=video_for(videos))).count("data:image/jpeg") == 4 * len(
        shown
    )


def test_without_measures_some_are_shown(videos: list[bytes]) -> None:
    rows = make_rows(100)
    for row in rows:
        row.update(dict.fromkeys(MEASURES))
    report = report_of(rows, video_of=video_for(videos))
    assert not report.measures
    (sheet,) = report.sheets
    assert (sheet.name, len(sheet.samples)) == ("some", 8)
    assert "rank" not in Page(render(report)).text.replace("nothing is ranked", "")


@pytest.mark.parametrize(("frames", "step"), [(1, 1), (3, 1), (40, 1), (90, 5)])
def test_strips_are_spread_over_the_clip(tmp_path: Path, frames: int, step: int) -> None:
    pts = [place * step for place in range(frames)]
    path = write_video(tmp_path / "a.mp4", pts, Fraction(1, 25))
    strip = read_strip({}, lambda row: path.read_bytes())
    assert strip.height <= HEIGHT
    assert len(strip.jpegs) == FRAMES
    length = (pts[-1] + 1) / 25  # the file says of its last frame that it is one unit long
    for part, second in enumerate(strip.seconds):
        wanted = length * (2 * part + 1) / (2 * FRAMES)
        assert wanted - step / 25 <= second + 1e-6 and second <= wanted + 1e-6


def test_wide_frames_stay_small(tmp_path: Path) -> None:
    pictures = [numbered(place, 1280, 320) for place in range(4)]
    path = write_video(
        tmp_path / "a.mp4", range(4), Fraction(1, 25), pictures=pictures, size=(1280, 320)
    )
    strip = read_strip({}, lambda row: path.read_bytes())
    assert (strip.width, strip.height) == (256, 64)


def damaged(row: Row) -> bytes:
    return b"this is no video"


def lost(row: Row) -> bytes:
    raise FileNotFoundError("gone")


@pytest.mark.parametrize("video_of", [no_video, damaged, lost])
def test_videos_that_cannot_be_read_are_noted(video_of: Callable[[Row], bytes]) -> None:
    report = report_of(make_rows(40), video_of=video_of)
    notes = [sample.strip.note for sheet in report.sheets for sample in sheet.samples]
    assert len(notes) == 24
    assert all(note.startswith("The video cannot be shown") for note in notes)
    assert Page(render(report)).text.count("The video cannot be shown") == 24


def test_hostile_text_stays_text(videos: list[bytes]) -> None:
    text = render(hostile_report(videos))
    text.encode()
    page = Page(text)
    assert HOSTILE in page.text
    allowed = {"link": "data:,", "img": "data:image/jpeg;base64,", "a": "#"}
    for name, attributes in page.elements:
        assert name not in ("script", "iframe", "object", "form", "base")
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("href", "src"):
            if key in attributes:
                assert str(attributes[key]).startswith(allowed[name])
    policies = [
        str(attributes["content"])
        for name, attributes in page.elements
        if name == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert "url(" not in text and "@import" not in text
    assert len(text) < 1_000_000


def test_order_changes_nothing(videos: list[bytes]) -> None:
    rows = make_rows(120)
    shards = make_shards(rows)
    first = render(report_of(rows, shards=shards, video_of=video_for(videos)))
    shuffled, mixed = list(rows), list(shards)
    random.Random(1).shuffle(shuffled)
    random.Random(2).shuffle(mixed)
    assert render(report_of(shuffled, shards=mixed, video_of=video_for(videos))) == first


def test_many_rows_make_no_large_page(videos: list[bytes]) -> None:
    rows = make_rows(20_000)
    report = report_of(rows, total=100_000, shards=make_shards(rows), video_of=video_for(videos))
    assert report.progress.done == 20_000
    assert sum(report.measures[0].kept) == report.progress.succeeded
    assert len(render(report)) < 3_000_000


def test_what_was_saved() -> None:
    rows = make_rows(300)
    report = report_of(rows, shards=make_shards(rows))
    made = [row for row in rows if row["state"] != "failed"]
    assert report.reuse.known == len(made)
    assert report.reuse.cached == sum(row["landmarks_cached"] for row in made)
    assert report.reuse.driving == 9
    assert report.reuse.resumed_frames == 60 * report.reuse.resumed > 0
    assert sum(count for _, count in report.reuse.attempts) == 300
    assert [slow.seconds for slow in report.slowest] == sorted(
        (row["seconds"] for row in made), reverse=True
    )[:10]
    whole = sum(stage.seconds for stage in report.stages)
    assert whole == pytest.approx(sum(row["seconds"] for row in made))


def test_an_end_beyond_the_calendar() -> None:
    slow = {"samples": 1, "began": "2026-01-01T00:00:00Z", "ended": "2026-12-01T00:00:00Z"}
    report = report_of([], total=10**9, shards=[slow])
    assert "Time left" in Page(render(report)).text
    other = replace(report, now=datetime(9999, 12, 31, tzinfo=UTC))
    assert "until" not in Page(render(other)).text
