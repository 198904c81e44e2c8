"""A farm that is disturbed in all ways at once keeps its word; see `tests.chaos.farm`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import farm
from tests.chaos.plan import Plan

pytestmark = pytest.mark.slow


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
