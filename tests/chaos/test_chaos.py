"""A farm that is disturbed in all ways at once keeps its word; see `tests.chaos.farm`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos import farm
from tests.chaos.plan import Plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_every_job_succeeds_exactly_once_whatever_happens(
    samples: tuple[Path, Path], state_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in farm.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    report = farm.run(Plan(), tmp_path, samples, print)
    print(report.summary())  # noqa: T201 - shown if the test fails
    assert not report.broken, (tmp_path / "workers.log").read_text(errors="replace")
    assert (report.kills, report.outages, report.pauses) == (2, 2, 1)
    assert report.resumed and report.duplicates
    assert (report.failovers, report.steps, report.damaged) == (1, 1, 1)
    assert report.garbage


@pytest.mark.skipif(not os.environ.get("ANIMATOR_LONG_TESTS"), reason="takes ten minutes")
def test_the_long_form(
    samples: tuple[Path, Path], state_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in farm.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    plan = Plan(
        jobs=60,
        kills=6,
        # One of these every ten seconds or so.
        outages=(0.5,) * 20,
        failovers=(1.0,) * 10,
        garbage=10,
        steps=6,
        damaged=10,
        every=4.0,
        patience=1500.0,
    )
    report = farm.run(plan, tmp_path, samples, print)
    print(report.summary())  # noqa: T201 - shown if the test fails
    assert not report.broken, (tmp_path / "workers.log").read_text(errors="replace")
