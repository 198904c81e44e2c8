"""The command as its users meet it: as a process, with its exit status, output and signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from animator import __version__
from animator.broker.embedded import EmbeddedRedis
from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.record import JobState
from animator.settings import Settings

REPOSITORY = Path(__file__).parents[3]
ODD_NAME = "a 'quoted' \"ж\"\n[red]\udcff"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user is: with a portrait and a driving file that is a plan for the pipeline."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "me.png").write_bytes(b"picture")
    (folder / "clip.mp4").write_text(json.dumps({"frames": 5, "seconds": 0.1}))
    (folder / "long.mp4").write_text(json.dumps({"frames": 3000, "seconds": 300}))
    (folder / "bad.mp4").write_text(json.dumps({"error": "no_face", "message": "No [b]face[/b]."}))
    (folder / "crash.mp4").write_text(json.dumps({"crash": "by zero"}))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return folder


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.animator.cli.fake_command", *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        **options,
    )


@pytest.fixture
def animator(folder: Path, state_dir: Path) -> Run:
    """Runs the command to its end, with a state folder of the test's own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        process = start(*arguments)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return run


@pytest.fixture
def fake_worker(folder: Path, settings: Settings, store: JobStore) -> Iterator[Client]:
    """A living worker on the broker that the environment names."""
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tests.worker.fake_worker", "worker"]
        + ["--without-mingle", "--without-gossip"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = Client.connect(settings)
    try:
        while not client.queue.alive_workers():
            assert process.poll() is None
            time.sleep(0.05)
        yield client
    finally:
        process.kill()
        process.wait()


def test_run_prints_the_path_alone_on_standard_output(animator: Run, folder: Path) -> None:
    done = animator("run", "me.png", "clip.mp4")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder}/me--clip.mp4\n"
    assert "generate: frame" in done.stderr
    assert "note: as [planned]" in done.stderr
    assert "5 frames in 0:01 (10.0 frames/s)" in done.stderr
    assert (folder / "me--clip.mp4").exists()
    assert animator("run", "me.png", "clip.mp4").stdout == f"{folder}/me--clip-1.mp4\n"


def test_an_output_is_replaced_only_by_force(animator: Run, folder: Path) -> None:
    (folder / "out.mp4").write_text("precious")
    done = animator("run", "me.png", "clip.mp4", "-o", "out.mp4")
    assert done.returncode == 1
    assert done.stderr.startswith("error [output_exists]: ")
    assert (folder / "out.mp4").read_text() == "precious"
    assert animator("run", "me.png", "clip.mp4", "-o", "out.mp4", "--force").returncode == 0
    assert (folder / "out.mp4").read_text() != "precious"


@pytest.mark.parametrize("verb", ["run", "submit"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["none.png", "clip.mp4"], "no_such_file"),
        (["me.png", "/proc/self/fdinfo"], "no_frames"),
        (["me.png", "/dev/null"], "not_a_file"),
        (["me.png", "clip.mp4", "-o", "."], "output_exists_as_folder"),
        (["me.png", "clip.mp4", "-o", "none/out.mp4"], "output_not_writable"),
        (["me.png", "clip.mp4", "-o", "/proc/out.mp4"], "output_not_writable"),
        (["me.png", "clip.mp4", "-o", "out.avi"], "invalid_option"),
        (["me.png", "clip.mp4", "-o", "clip.mp4", "--force"], "invalid_option"),
        (["me.png", "clip.mp4", "--face", "both"], "invalid_option"),
        (["me.png"], "invalid_option"),
        (["me.png", "--face", "1=clip.mp4", "--face", "2=none.mp4"], "no_such_file"),
        (["me.png", "clip.mp4", "--start", "soon"], "invalid_option"),
        (["me.png", "clip.mp4", "--device", "gpu"], "invalid_option"),
        (["me.png", "clip.mp4", "--weights", "none.safetensors"], "no_such_file"),
    ],
)
def test_mistakes_are_told_before_work_starts(
    animator: Run, folder: Path, state_dir: Path, verb: str, arguments: list[str], code: str
) -> None:
    if arguments[-1] == "/proc/out.mp4" and os.access("/proc", os.W_OK):
        pytest.skip("this user may write everywhere")
    before = sorted(folder.iterdir())
    done = animator(verb, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error [{code}]: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert sorted(folder.iterdir()) == before
    assert not EmbeddedRedis(state_dir).status().running


def test_wrong_usage_ends_with_two(animator: Run) -> None:
    for arguments in (["run"], ["run", "a", "b", "--motion", "fast"], ["nonsense"]):
        done = animator(*arguments)
        assert (done.returncode, done.stdout) == (2, "")


def test_failures_of_a_run(animator: Run, state_dir: Path) -> None:
    done = animator("run", "me.png", "bad.mp4")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error [no_face]: No [b]face[/b]."
    done = animator("run", "me.png", "crash.mp4")
    assert done.returncode == 1
    assert "error [internal]: ZeroDivisionError: by zero (the traceback is in" in done.stderr
    (log,) = (state_dir / "logs").glob("error-*.log")
    assert "ZeroDivisionError: by zero" in log.read_text()


def test_json_of_a_run(animator: Run, folder: Path) -> None:
    values = json.loads(animator("run", "me.png", "clip.mp4", "--json").stdout)
    assert (values["id"], values["state"], values["frames"]) == (None, "succeeded", 5)
    assert values["output"] == f"{folder}/me--clip.mp4"
    values = json.loads(animator("run", "me.png", "bad.mp4", "--json").stdout)
    assert (values["state"], values["error"]["code"]) == ("failed", "no_face")
    assert values["output"] == f"{folder}/me--bad.mp4"
    done = animator("run", "me.png", "none.mp4", "--json")
    values = json.loads(done.stdout)
    assert (values["state"], values["error"]["code"]) == ("failed", "no_such_file")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_run_that_is_interrupted_leaves_nothing(
    folder: Path, state_dir: Path, number: int, status: int
) -> None:
    process = start("run", "me.png", "long.mp4")
    assert process.stderr is not None
    while "generate" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Cancelled; nothing was written." in err
    assert out == ""
    assert not list(folder.glob("me--*"))


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_any_file_name_works(fake_worker: Client, folder: Path, verb: str) -> None:
    (folder / f"{ODD_NAME}.png").write_bytes(b"picture")
    (folder / f"{ODD_NAME}.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    wait = ["--wait"] if verb == "submit" else []
    process = start(verb, f"{ODD_NAME}.png", f"{ODD_NAME}.mp4", *wait)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == f"{folder}/{ODD_NAME}--{ODD_NAME}.mp4\n"
    assert Path(out[:-1]).exists()
    if verb == "submit":
        for arguments in (["list"], ["status"], ["status", "--json"], ["list", "--json"]):
            process = start(*arguments)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (0, "")
            assert "\\n[red]\\udcff" in out


def test_submit_waits_and_tells(fake_worker: Client, animator: Run, folder: Path) -> None:
    # The fixture `animator` has another state folder, but the broker is the worker's.
    done = animator("submit", "me.png", "clip.mp4", "--wait")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder}/me--clip.mp4\n"
    values = json.loads(animator("submit", "me.png", "bad.mp4", "--wait", "--json").stdout)
    assert values["state"] == "failed"
    assert values["error"] == {"code": "no_face", "message": "No [b]face[/b].", "retryable": True}
    assert set(values) >= {"id", "state", "output", "progress", "error"}
    done = animator("submit", "me.png", "crash.mp4", "--wait")
    assert done.returncode == 1
    assert "error [internal]: ZeroDivisionError" in done.stderr


def test_submit_in_a_pipe_does_not_wait(fake_worker: Client, animator: Run, folder: Path) -> None:
    done = animator("submit", "me.png", "long.mp4", "--json")
    job = json.loads(done.stdout)["id"]
    while fake_worker.store.get(job).progress is None:
        time.sleep(0.05)
    values = json.loads(animator("status", job, "--json").stdout)
    assert (values["id"], values["state"], values["progress"]["frames"]) == (job, "running", 3000)
    shown = animator("status", job).stdout
    assert "stage     generate" in shown and " of 3000, 10.0 frames/s" in shown
    assert json.loads(animator("status", "--json").stdout)["queue"]["running"] == 1
    assert job in animator("list", "--state", "running").stdout
    assert animator("list", "--state", "failed").stdout == ""
    assert "stops at its next step" in animator("cancel", job).stderr
    assert fake_worker.wait(job).state is JobState.CANCELLED


def test_unknown_jobs(animator: Run) -> None:
    for verb in ("status", "cancel"):
        done = animator(verb, "nothing")
        assert done.returncode == 1
        assert done.stderr == "error [no_such_job]: There is no job 'nothing'.\n"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_wait_cancels_the_job(
    fake_worker: Client, folder: Path, number: int, status: int
) -> None:
    process = start("submit", "me.png", "long.mp4", "--wait")
    assert process.stderr is not None
    while "generate" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    (record,) = fake_worker.store.list_jobs()
    assert record.state is JobState.CANCELLED
    assert f"Job {record.id} was cancelled." in err


def test_no_worker(animator: Run, state_dir: Path) -> None:
    done = animator("submit", "me.png", "clip.mp4", "--no-wait")
    assert done.returncode == 0
    assert "celery -A worker worker" in done.stderr
    assert EmbeddedRedis(state_dir).status().jobs == 1
    assert "has stopped" in animator("stop").stderr
    assert "1 queued" in animator("status").stdout  # the queue is started again and has it still
    assert "has stopped" in animator("stop").stderr
    assert "was not running" in animator("stop").stderr


def test_waiting_jobs_keep_their_outputs(animator: Run, folder: Path) -> None:
    for name in ("me--clip.mp4", "me--clip-1.mp4"):
        done = animator("submit", "me.png", "clip.mp4", "--no-wait")
        job = done.stdout.removesuffix("\n")
        assert done.stderr.splitlines()[0] == f"job {job} writes {folder}/{name}"
        assert json.loads(animator("status", job, "--json").stdout)["id"] == job
    done = animator("submit", "me.png", "clip.mp4", "-o", "me--clip.mp4", "--no-wait")
    assert done.returncode == 1
    assert done.stderr.startswith("error [output_exists]: Job ")
    done = animator("submit", "me.png", "clip.mp4", "-o", "me--clip.mp4", "--no-wait", "-f")
    assert done.returncode == 0


def test_stop_spares_a_queue_in_use(animator: Run, state_dir: Path) -> None:
    client = Client.connect()
    child = client.queue.start_worker()
    try:
        while not client.queue.alive_workers():
            time.sleep(0.05)
        done = animator("stop")
        assert done.returncode == 1
        assert "stop them first" in done.stderr
    finally:
        child.kill()
    assert animator("stop", "--force").returncode == 0


def test_a_queue_that_is_away(animator: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMATOR_BROKER_URL", "redis://127.0.0.1:1/0")
    for arguments in (["submit", "me.png", "clip.mp4"], ["list"], ["status"]):
        done = animator(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("error [queue_unavailable]: ")
    assert animator("doctor").returncode == 1


def test_doctor_reports_and_starts_nothing(
    animator: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = json.loads(animator("doctor", "--json").stdout)
    assert report["versions"]["animator"] == __version__
    assert report["queue"]["broker"] == "embedded"
    assert "auto takes" in report["device"]
    assert report["files"]["URLs that are allowed"] == "none"
    assert not EmbeddedRedis(state_dir).status().running
    shown = animator("doctor").stdout
    assert "weights" in shown
    monkeypatch.setenv("ANIMATOR_STORAGE", "nothing://bucket")
    assert "problem: files: 'nothing://bucket' cannot be used" in animator("doctor").stdout


def test_a_reader_that_goes_away_is_no_error(animator: Run, state_dir: Path) -> None:
    for _ in range(3):
        animator("submit", "me.png", "clip.mp4", "--no-wait")
    process = start("list")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(30)


def test_a_terminal_gets_a_bar(folder: Path, state_dir: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.animator.cli.fake_command", "run", "me.png", "clip.mp4"],
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(master)
    assert process.wait(30) == 0
    assert b"frame 5 of 5, 10.0 frames/s" in shown
    assert str(folder / "me--clip.mp4").encode() in shown


def test_the_status_is_quick(animator: Run) -> None:
    animator("status")
    before = os.times()
    animator("status")
    after = os.times()
    used = after.children_user + after.children_system
    assert used - before.children_user - before.children_system < 3  # seconds of a processor
