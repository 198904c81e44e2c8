"""Jobs in a process of their own, and how it is told that one died."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from animator.errors import AnimatorError, JobCancelled, LeaseLost
from animator.record import Progress, Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from tests.worker.workers import REPOSITORY, until
from worker import isolated

pytestmark = pytest.mark.slow

FAKE = [sys.executable, "-m", "tests.worker.fake_worker"]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "COMMAND", FAKE)


class Watching:
    """Somebody who looks at the job from one of its frames to another, if at all."""

    def __init__(self, first: float = math.inf, last: float = math.inf) -> None:
        self._first, self._last, self.frame = first, last, 0
        self.seen: list[bytes] = []

    @property
    def preview_wanted(self) -> bool:
        return self._first <= self.frame < self._last

    def show_preview(self, picture: bytes) -> None:
        self.seen.append(picture)


def run(
    folder: Path,
    should_stop: Callable[[], bool] = lambda: False,
    may_publish: Callable[[], bool] = lambda: True,
    bound_mb: int | None = None,
    preview: Watching | None = None,
    stall: float = 10,
    **plan: Any,
) -> tuple[Result, list[Progress]]:
    driving = folder / "plan.json"
    driving.write_text(json.dumps(plan))
    output = folder / "o.mp4"
    seen: list[Progress] = []
    looks = preview or Watching()

    def report(progress: Progress) -> None:
        seen.append(progress)
        looks.frame = progress.frame

    workspace = Workspace.take(output, "job", 3)
    try:
        result = isolated.animate(
            JobSpec(str(driving), str(driving), str(output)),
            settings=Settings(folder),
            report=report,
            should_stop=should_stop,
            workspace=workspace,
            priority=1,
            may_publish=may_publish,
            preview=looks,
            bounds=isolated.Bounds(stall, bound_mb),
            job_id="job",
        )
    finally:
        workspace.remove()
    return result, seen


def test_a_result_and_progress_come_through(tmp_path: Path) -> None:
    result, seen = run(tmp_path, frames=12)
    assert (result.frames, result.missing, result.warnings) == (12, ((2, 3),), ("as [planned]",))
    assert [progress.frame for progress in seen] == list(range(1, 13))
    assert (tmp_path / "o.mp4").is_file()


def brightness(picture: bytes) -> int:
    """Of the grey JPEG that the fake pipeline draws."""
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.size) == ("JPEG", (60, 40))
        return image.convert("L").getpixel((0, 0))


def test_frames_are_shown_while_somebody_looks(tmp_path: Path) -> None:
    looks = Watching(5, 30)
    run(tmp_path, preview=looks, frames=60, seconds=6)
    # One a second, each newer than the one before.
    shades = [brightness(picture) for picture in looks.seen]
    assert 2 <= len(shades) <= 4 and shades == sorted(set(shades))
    unseen = Watching()
    run(tmp_path, preview=unseen, frames=20, seconds=1)
    assert unseen.seen == []


def test_errors_stops_and_refusals_come_through(tmp_path: Path) -> None:
    with pytest.raises(AnimatorError, match="None here") as failure:
        run(tmp_path, error="no_face", message="None here.")
    assert (failure.value.code, failure.value.retryable) == ("no_face", True)
    with pytest.raises(AnimatorError, match="ZeroDivisionError: x") as failure:
        run(tmp_path, crash="x")
    assert failure.value.code == "internal"
    with pytest.raises(AnimatorError) as failure:
        run(tmp_path, bound_mb=200, memory_mb=300)
    assert failure.value.code == "out_of_memory"
    with pytest.raises(LeaseLost):
        run(tmp_path, may_publish=lambda: False)
    began = time.monotonic()
    with pytest.raises(JobCancelled):
        run(tmp_path, should_stop=lambda: time.monotonic() > began + 1, frames=900, seconds=90)
    assert list(tmp_path.iterdir()) == [tmp_path / "plan.json"]


def test_how_it_died_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(isolated.Died) as death:
        run(tmp_path, abort=3)
    assert death.value.error.code == "worker_crashed"
    assert str(death.value) == (
        "The job's process was ended by SIGABRT (Aborted) in the stage 'generate'."
    )
    with pytest.raises(isolated.Died) as death:
        run(tmp_path, hang=100, stall=1.5)
    assert death.value.error.code == "stalled"
    monkeypatch.setattr(isolated, "COMMAND", [sys.executable, "-c", "exit(3)"])
    with pytest.raises(isolated.Died, match="ended with status 3 and without a word"):
        run(tmp_path)
    monkeypatch.setattr(isolated, "COMMAND", [sys.executable, "-c", "open('/proc/self/x')"])
    with pytest.raises(isolated.Died, match="status 1"):
        run(tmp_path)


def test_a_kill_for_want_of_memory_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([4, 5, 5, 5])
    monkeypatch.setattr(isolated, "_out_of_memory_kills", lambda: next(counts))
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(isolated, "COMMAND", [sys.executable, "-c", kill])
    for code in ("out_of_memory", "worker_crashed"):
        with pytest.raises(isolated.Died) as death:
            run(tmp_path)
        assert death.value.error.code == code


@pytest.mark.parametrize("plan", [{"frames": 900, "seconds": 90}, {"hang": 100}])
def test_it_dies_with_its_parent(tmp_path: Path, plan: dict[str, Any]) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.worker import test_isolated as here\n"
        "here.isolated.COMMAND = here.FAKE\n"
        f"here.run(Path(sys.argv[1]), **{plan!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    child = int(until(lambda: children.read_text().split())[0])
    time.sleep(1)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until(lambda: not Path(f"/proc/{child}").exists(), 30)
