"""`animator submit` with the options of the queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from animator.jobs.store import JobStore
from animator.record import Result

REPOSITORY = Path(__file__).parents[3]
Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def submit(tmp_path: Path, store: JobStore, settings: object) -> Submit:
    """Submits a picture and a plan in a folder of the test's own."""
    (tmp_path / "me.png").write_bytes(b"picture")
    (tmp_path / "clip.mp4").write_text("{}")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.animator.cli.fake_command", "submit"]
        done = subprocess.run(
            [*command, "me.png", "clip.mp4", "--no-wait", *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return done

    return run


def test_priority_and_webhook_are_recorded(submit: Submit, store: JobStore) -> None:
    done = submit("--priority", "high", "--device", "cpu", "--json")
    values = json.loads(done.stdout)
    assert (values["priority"], values["state"], values["key"]) == ("high", "queued", None)
    assert store.depths()["cpu", "high"] == 1
    for options in (["--priority", "urgent"], ["--webhook", "ftp://host"], ["--key", ""]):
        assert submit(*options).returncode != 0
    assert len(store.list_jobs()) == 1


@pytest.mark.parametrize("key", ["mine", "auto"])
def test_a_key_is_submitted_once(submit: Submit, store: JobStore, tmp_path: Path, key: str) -> None:
    job = json.loads(submit("--key", key, "--json").stdout)["id"]
    done = submit("--key", key)
    out = tmp_path / "me--clip.mp4"
    assert f"job {job} has this key and is queued; writes {out}" in done.stderr
    assert done.stdout == f"{job}\n"
    assert store.claim(job, "w")
    store.succeed(job, 1, Result(str(tmp_path / "me--clip.mp4"), 1, 1.0, 1.0))
    (tmp_path / "me--clip.mp4").touch()
    done = submit("--key", key, "-o", "me--clip.mp4", "--json")  # the output that is there is its
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "succeeded")
    assert [record.id for record in store.list_jobs()] == [job]
    (tmp_path / "me.png").write_bytes(b"another")
    values = json.loads(submit("--key", key, "--json").stdout)
    assert (values["id"] == job) == (key == "mine")
