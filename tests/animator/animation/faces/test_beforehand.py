"""Landmarks that are found beforehand, by real children in real jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animator.animation.faces.beforehand import Finder, finding
from animator.animation.inputs import open_inputs
from animator.animation.kinds import plan_job
from animator.animation.plan import JobPlan
from animator.errors import AnimatorError, JobCancelled
from animator.record import Progress
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.watch import Watch
from tests.animator.media_files import write_video

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="on one core nothing is found beforehand, and children are looked for in /proc",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a machine that has kept nothing yet."""
    return Settings(tmp_path / "state")


@pytest.fixture
def spec(samples: tuple[Path, Path], weights: str, tmp_path: Path) -> JobSpec:
    source, driving = (Location(str(path)) for path in samples)
    output = Location(str(tmp_path / "out.mp4"))
    return JobSpec(source, driving, output, end="0.5", device="cpu", weights=weights)


def planned(
    spec: JobSpec,
    settings: Settings,
    finder: Finder | None,
    report: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[JobPlan, Watch]:
    """The plan of a job as it is made after a child, and what has watched it."""
    watch = Watch(report, should_stop)
    make_plan = plan_job if finder is None else finder.before(plan_job)
    return make_plan(spec, open_inputs(spec, settings), settings, watch), watch


def children() -> list[int]:
    """The children of this process that look for faces, also those that nobody has waited for."""
    tasks = Path("/proc/self/task").iterdir()
    pids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in pids if b"faces.child:find" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_the_plan_is_the_same_and_nothing_counts_as_kept(spec: JobSpec, settings: Settings) -> None:
    told: list[Progress] = []
    with finding(spec, settings) as finder:
        assert finder is not None
        plan, watch = planned(spec, settings, finder, told.append)
    assert not children()
    alone, _ = planned(spec, replace(settings, state_dir=settings.state_dir / "other"), None)
    np.testing.assert_array_equal(plan.targets, alone.targets)
    assert plan.cached == alone.cached == ()
    # The stage is shown and timed, although the child was in it.
    shown = [progress for progress in told if progress.stage == "landmarks"]
    assert shown[-1].frame == shown[-1].frames == len(plan.driving.pts)
    assert "landmarks" in watch.timings
    # What it has found is there for the next.
    with finding(spec, settings) as finder:
        again, watch = planned(spec, settings, finder)
    assert set(again.cached) == {"source", "driving"}
    assert "landmarks" not in watch.timings


def test_a_child_that_is_killed_costs_nothing_but_time(spec: JobSpec, settings: Settings) -> None:
    with finding(spec, settings) as finder:
        assert finder is not None
        while not (running := children()):  # the kernel shows its command a moment later
            time.sleep(0.01)
        os.kill(running[0], signal.SIGKILL)
        plan, watch = planned(spec, settings, finder)
    assert plan.cached == ()
    assert watch.timings["landmarks"] > 0


def test_a_child_that_can_keep_nothing_looks_for_nothing(spec: JobSpec, settings: Settings) -> None:
    settings.state_dir.mkdir()
    settings.cache_dir.write_text("no folder")
    told: list[Progress] = []
    with finding(spec, settings) as finder:
        assert finder is not None
        plan, _ = planned(spec, settings, finder, told.append)
    assert plan.cached == ()
    assert len([one for one in told if (one.stage, one.frame) == ("landmarks", 0)]) == 1


WRONG = [
    ("source", "grey.png", "no_face"),
    ("driving", "grey.mp4", "no_face"),
    ("driving", "grey.png", "unreadable_video"),
    ("source", "text.png", "unreadable_image"),
]


@pytest.mark.parametrize(("name", "file", "code"), WRONG)
def test_what_is_wrong_with_a_file_is_told_as_by_the_job(
    name: str, file: str, code: str, spec: JobSpec, settings: Settings, tmp_path: Path
) -> None:
    grey = np.full((128, 128, 3), 128, np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    write_video(tmp_path / "grey.mp4", [0, 1, 2], Fraction(1, 25), pictures=[grey] * 3)
    (tmp_path / "text.png").write_text("no picture")
    wrong = replace(spec, **{name: Location(str(tmp_path / file))})
    with pytest.raises(AnimatorError) as alone:
        planned(wrong, settings, None)
    with finding(wrong, settings) as finder:
        assert finder is not None
        with pytest.raises(AnimatorError) as caught:
            planned(wrong, settings, finder)
    assert (caught.value.code, str(caught.value)) == (alone.value.code, str(alone.value))
    assert caught.value.code == code


def test_a_job_that_is_to_stop_does_not_wait(spec: JobSpec, settings: Settings) -> None:
    stop = threading.Event()
    with finding(spec, settings) as finder:
        assert finder is not None
        with pytest.raises(JobCancelled):
            planned(spec, settings, finder, lambda progress: stop.set(), stop.is_set)
        assert children()
    assert not children()


@pytest.fixture
def one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.usefixtures("one_core")
def test_one_core_has_no_room_for_a_child(spec: JobSpec, settings: Settings) -> None:
    with finding(spec, settings) as finder:
        assert finder is None


@pytest.mark.parametrize(
    "changes",
    [
        {"detector": "mesh"},
        {"detector": "face-alignment"},
        {"weights": "/nowhere.safetensors"},
    ],
)
def test_where_a_child_would_be_of_no_use(
    changes: dict[str, str], spec: JobSpec, settings: Settings
) -> None:
    with finding(replace(spec, **changes), settings) as finder:
        assert finder is None


def test_a_child_does_not_outlive_its_parent(spec: JobSpec, settings: Settings) -> None:
    code = (
        "import os, signal, sys\n"
        "from animator.animation.faces.beforehand import finding\n"
        "from animator.settings import Settings\n"
        "from animator.spec import JobSpec\n"
        "spec, settings = JobSpec.from_json(sys.argv[1]), Settings.from_environment()\n"
        "with finding(spec, settings) as finder:\n"
        "    finder._process.stdout.readline()\n"  # by then it has seen to that
        "    print(finder._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | settings.to_environment()
    done = subprocess.run(
        [sys.executable, "-c", code, spec.to_json()],
        env=environment, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    child = int(done.stdout)
    # Whoever takes over orphans may leave it there as a zombie, which has no command line.
    command = Path(f"/proc/{child}/cmdline")
    for _ in range(400):
        if not command.exists() or not command.read_bytes():
            return
        time.sleep(0.05)
    pytest.fail("the child is still there")
