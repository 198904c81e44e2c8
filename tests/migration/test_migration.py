"""States of earlier versions: all of it is still there, and goes on where it was."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from animator import __version__
from animator.broker.embedded import EmbeddedRedis, find_server
from animator.cli import app
from animator.dataset.tars import members
from animator.jobs.store import connect
from tests.animator.media_files import video_times
from tests.migration.make_state import BATCH, ENVIRONMENT, ROOT
from tests.worker.workers import REPOSITORY, until, worker_command

ARCHIVES = sorted(Path(__file__).parent.glob("state-*.tar.xz"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_server() is None, reason="there is no Redis server"),
]


@dataclass(frozen=True)
class State:
    """What a version left in ``ROOT``, and what it told of it."""

    told: dict[str, Any]

    @property
    def same_frames(self) -> bool:
        """Whether half-made videos are gone on with: the frames depend on all these versions."""
        known = self.told["libraries"] | {"animator": self.told["jobs"][0]["version"]}
        now = {name: version(name) for name in ("torch", "av")} | {"animator": __version__}
        return now.items() <= known.items()

    def jobs(self) -> dict[str, dict[str, Any]]:
        """The records by id, as `animator list` gives them; without leases, which run out."""
        return {job["id"]: job | {"lease": None} for job in call("list", "--limit", "0")}

    def named(self) -> dict[str, dict[str, Any]]:
        """The records that have a name, by that."""
        jobs = self.jobs()
        return {name: jobs[job] for name, job in self.told["ids"].items()}


def call(*arguments: str) -> Any:
    """What a command prints with ``--json``."""
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name)
def state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """A version's state in the place where it came about, which is held meanwhile."""
    server = EmbeddedRedis(ROOT / "state")
    with ROOT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.stop()  # of a test that was killed
        shutil.rmtree(ROOT, ignore_errors=True)
        with tarfile.open(request.param) as archive:
            archive.extractall(ROOT, filter="data")
        for name, value in (ENVIRONMENT | {"ANIMATOR_STATE_DIR": str(ROOT / "state")}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("ANIMATOR_BROKER_URL", raising=False)
        server.start()
        with closing(connect(server.url)) as client:
            # They ran out also where the clock is behind that of the archive's machine.
            for job in client.zrange("animator:leases", 0, -1):
                client.zadd("animator:leases", {job: 0})
        yield State(json.loads((ROOT / "told.json").read_text()))
        server.stop()
        shutil.rmtree(ROOT)


def reduced(now: Any, before: Any) -> Any:
    """What is there now under the names that were there before."""
    if isinstance(now, dict) and isinstance(before, dict):
        return {name: reduced(now[name], value) for name, value in before.items()}
    return now


def test_everything_is_listed_as_before(state: State) -> None:
    before = {job["id"]: job | {"lease": None} for job in state.told["jobs"]}
    # What has come since then has a name of its own.
    assert {name: reduced(job, before[name]) for name, job in state.jobs().items()} == before
    states = {name: job["state"] for name, job in state.named().items()}
    ended = {name: name for name in ("succeeded", "failed", "cancelled")}
    assert states == ended | {"interrupted": "running", "waiting": "queued"}
    ours, theirs = (
        next(one for one in weights if one["name"] == "tiny")
        for weights in (call("weights", "list"), state.told["weights"])
    )
    assert ours == theirs
    (verified,) = call("weights", "verify", "tiny")
    assert verified["sound"]


def test_a_worker_does_what_is_left(state: State) -> None:
    before = state.named()
    (segment,) = ROOT.glob(".interrupted.mp4.*.parts/1/00000.mp4")
    finished = pictures(segment)
    with (ROOT / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            worker_command("-c", "1", app="worker"), cwd=REPOSITORY, stdout=log, stderr=log
        )
        try:
            until(lambda: all(job["finished"] for job in state.jobs().values()), 120)
        finally:
            worker.kill()
            worker.wait()
    after = state.named()
    for name in ("succeeded", "failed", "cancelled"):
        assert after[name] == before[name]
    for name, attempt, frames in ("interrupted", 2, 20), ("waiting", 1, 12):
        job = after[name]
        assert (job["state"], job["attempt"], job["frames"]) == ("succeeded", attempt, frames)
        assert job["hashes"]["weights"] == before["succeeded"]["hashes"]["weights"]
        assert video_times(Path(job["output"])) == video_times(Path(job["spec"]["driving"]))
    if state.same_frames:
        assert after["interrupted"]["resumed"] == len(finished) == 4
        taken_over = pictures(Path(after["interrupted"]["output"]))[:4]
        assert all(map(np.array_equal, taken_over, finished))
    assert after["waiting"]["resumed"] == 0
    assert not [*ROOT.glob(".*.parts")]


def test_a_data_set_is_completed(state: State) -> None:
    run, media = ROOT / "set", ROOT / "media"
    first, sample = (run / "shards/00000.tar").read_bytes(), next(run.glob("parts/00001/*.mp4"))
    made = {sample.name: sample.read_bytes()}
    begun = {path.name.split(".")[1] for path in run.glob("parts/00001/.*.parts")}
    found = ("--sources", f"{media}/p?.png", "--drivings", f"{media}/d?.mp4")
    command = [sys.executable, "-m", "animator", "batch", *found, *BATCH, "--out", str(run)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert (run / "shards/00000.tar").read_bytes() == first
    videos = {
        name: data
        for tar in sorted(run.glob("shards/*.tar"))
        for name, data in members(tar)
        if name.endswith(".mp4")
    }
    assert len(videos) == 6 and made.items() <= videos.items()
    rows = [
        row
        for index in sorted(run.glob("shards/*.parquet"))
        for row in pyarrow.parquet.read_table(index).to_pylist()
    ]
    assert {row["state"] for row in rows} == {"succeeded"}
    resumed = {row["id"] for row in rows if row["resumed"]}
    assert resumed == (begun if state.same_frames else set()) and len(begun) == 1
    assert not [*run.glob("parts/*")]
