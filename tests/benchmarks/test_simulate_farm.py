"""The simulated farm: its worker's jobs, its figures, and what it says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import JobCancelled
from animator.media.decode import VideoReader
from animator.record import JobRecord, JobState, Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def load():
    from farm_figures import Load

    return Load(30, 6, 0.002, 4, 1000, 1, 60, 0.5)


def test_a_simulated_job_leaves_a_real_video(load, tmp_path: Path) -> None:
    from simulate_farm import prepared
    from sleeping_pipeline import animate

    requests = prepared(tmp_path, load)
    request = next(one for one in requests if "plan-1.00" in one.spec.driving)
    workspace = Workspace.take(request.spec.output, "a", 1)
    reports = []
    result = animate(
        request.spec, settings=Settings(tmp_path / "state"), report=reports.append,
        should_stop=lambda: False, workspace=workspace,
    )  # fmt: skip
    assert [report.frame for report in reports] == [1, 2, 3, 4, 5, 6]
    assert result.frames == 6 and result.seconds >= (6 - 4) * 0.002
    with VideoReader(Path(request.spec.output)) as reader:
        assert sum(len(batch.pixels) for batch in reader) == 8  # two segments
    assert {path.name for path in workspace.path.glob("*.npz")} == {"00001.npz", "00002.npz"}
    with pytest.raises(JobCancelled):
        animate(
            request.spec, settings=Settings(tmp_path / "state"), report=reports.append,
            should_stop=lambda: True, workspace=workspace,
        )  # fmt: skip


def record(worker: str, second: float) -> JobRecord:
    spec = JobSpec("/a.png", "/b.json", "/c.mp4")
    made = JobRecord("a", spec, JobState.SUCCEEDED, "2026-01-01T00:00:00.000+00:00", "1")
    result = Result("/c.mp4", 100, 1.0, 100.0, {})
    return replace(
        made, worker=worker, result=result, finished=f"2026-01-01T00:00:{second:06.3f}+00:00"
    )


def test_rates_are_between_a_workers_first_and_last_job() -> None:
    from farm_figures import rates

    ended = [record("a", 10), record("b", 11), record("a", 10.5), record("b", 13), record("a", 11)]
    assert sorted(rates([*ended, record("late", 20)])) == [50.0, 200.0]


def farm(workers: int, rate: float, **others: float) -> dict[str, float]:
    plain = {"cores busy": 0.2, "redis core": 0.1, "ms of writing a segment": 2.0, "step ms": 10.0}
    plain |= {"steps' lateness": 0.0, "of the steps alone": rate / workers}
    return plain | {"workers": workers, "frames a second": rate} | others


def test_where_it_bends_and_why() -> None:
    from farm_figures import bends, compare

    farms = [farm(1, 0.99), farm(4, 3.9), farm(16, 12.0, **{"redis core": 0.95})]
    farms.append(farm(64, 60.0, **{"step ms": 20.0, "cores busy": 0.9}))
    compare(farms[:2])
    assert bends(farms[:2]) == ["No farm falls below 95% of what it should do."]
    compare(farms)
    assert farms[1]["of one worker times so many"] == round(3.9 / 4 / 0.99, 4)
    assert bends(farms) == [
        "With steps of 10 ms it bends at 16 workers (76%): Redis, which has one core.",
        "With steps of 20 ms it bends at 64 workers (94%): the cores of this machine, which are "
        "not those of a farm.",
    ]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ANIMATOR_LONG_TESTS"), reason="takes half a minute")
def test_farms_of_one_and_two_workers(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/simulate_farm.py", "--workers", "1", "2", "--jobs", "8"]
    command += ["--frames", "50", "--idle-seconds", "3", "--out", str(tmp_path / "farm.json")]
    subprocess.run(command, cwd=ROOT, check=True)
    farms = json.loads((tmp_path / "farm.json").read_text())["farms"]
    assert [one["workers"] for one in farms] == [1, 2]
    assert all(one["jobs"] == 8 and not one["failed"] for one in farms)
    assert all(one["redis calls a frame"] > 0 for one in farms)
