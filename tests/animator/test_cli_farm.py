"""The commands that look after jobs and workers, on a real Redis."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from animator.cli import app
from animator.client import Client
from animator.errors import AnimatorError
from animator.settings import Settings
from animator.spec import JobError, JobOptions, JobRecord, JobSpec, JobState, Progress, Result
from animator.store import JobStore
from animator.workers import WorkerInfo

LEASE = 60.0
SPEC = JobSpec("/a/me.png", "/a/clip.mp4", "/a/out.mp4")


class Farm:
    """The commands, and jobs to try them on."""

    def __init__(self, store: JobStore, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self._made = 0

    def call(self, *arguments: str, status: int = 0, input: str | None = None) -> Any:
        done = CliRunner().invoke(app, list(arguments), input=input)
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        return done

    def json(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self.call(*arguments, "--json", status=status).stdout)

    def error(self, *arguments: str) -> str:
        """The one line that a mistake is told by."""
        done = self.call(*arguments, status=1)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return str(line)

    def queued(self, **options: Any) -> JobRecord:
        self._made += 1
        output = str(self.folder / f"out-{self._made}.mp4")
        return self.store.create(replace(SPEC, output=output), options=JobOptions(**options))

    def running(self, frame: int = 12) -> JobRecord:
        record = self.store.claim(self.queued().id, "here-1", LEASE)
        assert record is not None
        self.store.report(record.id, record.attempt, Progress("generate", frame, 48, 6.0, 6.0))
        return self.store.get(record.id)

    def succeed(self, record: JobRecord) -> JobRecord:
        Path(record.spec.output).write_bytes(b"video of " + record.id.encode())
        result = Result(record.spec.output, 48, 8.0, 6.0)
        assert self.store.succeed(record.id, record.attempt, result)
        return self.store.get(record.id)

    def succeeded(self) -> JobRecord:
        return self.succeed(self.running())

    def failed(self) -> JobRecord:
        record = self.running()
        error = JobError("no_face", "No [b]face[/b].")
        assert self.store.fail(record.id, record.attempt, error)
        return self.store.get(record.id)

    def cancelled(self) -> JobRecord:
        record = self.queued()
        self.store.request_cancel(record.id)
        return self.store.get(record.id)

    def state(self, record: JobRecord) -> JobState:
        return self.store.get(record.id).state


@pytest.fixture
def farm(
    store: JobStore, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Farm:
    folder, here = tmp_path / "videos", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    return Farm(store, folder)


# Ids


def test_ids_may_be_cut_where_that_is_clear(farm: Farm) -> None:
    record = farm.queued()
    assert farm.json("status", record.id[:6])["id"] == record.id
    assert farm.json("logs", record.id[:4]) == farm.json("logs", record.id)
    assert farm.error("status", record.id[:3]).startswith("error [no_such_job]: There is no job")
    assert farm.json("cancel", record.id[:5], record.id)[0]["id"] == record.id


def test_an_unclear_id_names_the_jobs_that_it_could_be(farm: Farm) -> None:
    prefix, ids = "abcd", set()
    for place in range(2):
        record = farm.queued()
        values = farm.store.client.hgetall(f"animator:job:{record.id}")
        ids.add(f"{prefix}{place}2345678")
        farm.store.client.hset(f"animator:job:{prefix}{place}2345678", mapping=values)  # type: ignore[arg-type]
        farm.store.client.zadd("animator:jobs", {f"{prefix}{place}2345678": place})
    told = farm.error("cancel", prefix)
    assert told.startswith("error [no_such_job]: 'abcd' begins the ids of several jobs: ")
    assert all(job in told for job in ids)


@pytest.mark.parametrize("verb", ["status", "watch", "cancel", "retry", "logs", "fetch"])
@pytest.mark.parametrize("job", ["nothing", "zzzzzzzzzzzz", "*", "[a-z]*", ""])
def test_unknown_jobs(farm: Farm, verb: str, job: str) -> None:
    farm.queued()
    assert farm.error(verb, job) == f"error [no_such_job]: There is no job {job!r}."


def test_nothing_is_done_where_one_id_is_wrong(farm: Farm) -> None:
    waiting, failed, done = farm.queued(), farm.failed(), farm.succeeded()
    farm.error("cancel", waiting.id, "nothing")
    farm.error("retry", failed.id, "nothing")
    farm.error("fetch", done.id, "nothing")
    assert (farm.state(waiting), farm.state(failed)) == (JobState.QUEUED, JobState.FAILED)
    assert not list(Path.cwd().iterdir())


# Looking


def test_status_of_a_job(farm: Farm) -> None:
    record = farm.running()
    shown = farm.call("status", record.id).stdout
    assert "running" in shown and "frame 12 of 48, 6.0 frames/s, 0:06 left" in shown
    values = farm.json("status", record.id)
    assert values["progress"]["frame"] == 12
    assert (values["state"], values["attempt"], values["priority"]) == ("running", 1, "normal")


def test_status_tells_what_the_farm_did(farm: Farm) -> None:
    record = farm.queued(priority="high", key="mine")
    assert farm.store.claim(record.id, "here-1", LEASE) is not None
    farm.store.requeue(record.id, 1, suspect=True)
    assert farm.store.claim(record.id, "here-1", LEASE) is not None
    farm.store.report(record.id, 2, Progress("generate", 40, 48), resumed=36)
    shown = farm.call("status", record.id).stdout
    assert "priority  high" in shown and "key       mine" in shown
    assert "attempt   2, 36 frames of earlier ones kept" in shown
    assert "suspect   a worker died with it" in shown and "lease     " in shown
    values = farm.json("status", record.id)
    assert (values["suspect"], values["resumed"], values["key"]) == (True, 36, "mine")
    assert 0 < values["lease"] <= LEASE


def test_status_of_the_whole(farm: Farm) -> None:
    assert farm.json("status")["queue"]["queued"] == 0
    record = farm.failed()
    values = farm.json("status")
    assert (values["id"], values["queue"]["failed"], values["workers"]) == (record.id, 1, [])


def test_list_by_state_and_time(farm: Farm) -> None:
    records = []
    for _ in range(3):
        records.append(farm.queued())
        time.sleep(0.005)  # their times are told in milliseconds
    failed = farm.failed()
    middle = records[1].created

    def listed(*arguments: str) -> list[str]:
        return [item["id"] for item in farm.json("list", *arguments)]

    assert listed() == [failed.id, *(record.id for record in records[::-1])]
    assert listed("--state", "failed") == [failed.id]
    assert listed("--limit", "1", "--state", "queued") == [records[2].id]
    assert listed("--until", middle) == [records[0].id]
    assert listed("--since", middle) == [failed.id, records[2].id, records[1].id]
    assert listed("--since", middle, "--until", records[2].created) == [records[1].id]
    assert len(listed("--since", "1h")) == 4
    assert listed("--until", "1h") == []
    assert listed("--since", "2999-01-01") == []
    assert "no jobs" in farm.call("list", "--until", "2000-01-01").stderr
    table = farm.call("list").stdout
    assert all(record.id in table for record in records)
    assert "[no_face]" in table


@pytest.mark.parametrize("text", ["soon", "", "-2h", "2 fortnights", "99999999w", "1e9", "2026-13"])
def test_times_that_are_none(farm: Farm, text: str) -> None:
    assert farm.error("list", "--since", text).startswith("error [invalid_option]: --since is ")
    told = farm.error("purge", "--older-than", text, "--yes")
    assert told.startswith("error [invalid_option]: --older-than is ")


def test_long_lists_are_read_page_by_page(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("animator.cli.listing.PAGE", 2)
    ids = [farm.queued().id for _ in range(5)][::-1]
    assert [item["id"] for item in farm.json("list", "--limit", "0")] == ids
    assert [item["id"] for item in farm.json("list", "--limit", "3")] == ids[:3]
    lines = farm.call("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["JOB", *ids]


def test_logs(farm: Farm) -> None:
    record = farm.running()
    farm.store.log(record.id, "an [odd]\n line")
    lines = farm.json("logs", record.id)
    assert lines[-1]["text"] == "an [odd]\n line"
    assert set(lines[-1]) == {"time", "worker", "text"}
    shown = farm.call("logs", record.id).stdout
    assert "an [odd]\\n line" in shown and "attempt 1" in shown


def test_logs_follow_until_the_job_ends(farm: Farm) -> None:
    record = farm.running()

    def go_on() -> None:
        for number in range(3):
            time.sleep(0.3)
            farm.store.log(record.id, f"line {number}")
        farm.succeed(record)

    with meanwhile(go_on):
        done = farm.call("logs", record.id, "-f", "--json")
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert [text for text in texts if text.startswith("line")] == ["line 0", "line 1", "line 2"]
    assert texts == [line.text for line in farm.store.logs(record.id)]


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()


# Changing


def test_cancel(farm: Farm) -> None:
    waiting, running, done = farm.queued(), farm.running(), farm.succeeded()
    told = farm.call("cancel", waiting.id, running.id, done.id).stderr.splitlines()
    assert told == [
        f"Job {waiting.id} is cancelled.",
        f"Job {running.id} stops at its next step.",
        f"Job {done.id} is succeeded.",
    ]
    assert farm.state(waiting) is JobState.CANCELLED
    assert farm.store.get(running.id).cancel_requested


def test_cancel_all_that_wait(farm: Farm) -> None:
    waiting, running = [farm.queued() for _ in range(3)], farm.running()
    assert len(farm.json("cancel", "--all-queued")) == 3
    assert {farm.state(record) for record in waiting} == {JobState.CANCELLED}
    assert not farm.store.get(running.id).cancel_requested
    assert farm.json("cancel", "--all-queued") == []
    assert farm.call("cancel", "--all-queued").stderr == "no jobs\n"


@pytest.mark.parametrize(("verb", "option"), [("cancel", "--all-queued"), ("retry", "--failed")])
def test_which_jobs_has_to_be_said(farm: Farm, verb: str, option: str) -> None:
    record = farm.queued()
    for arguments in ([], [record.id, option]):
        told = farm.error(verb, *arguments)
        assert told == f"error [invalid_option]: Give either ids of jobs or {option}."


def test_retry(farm: Farm) -> None:
    failed, cancelled, done = farm.failed(), farm.cancelled(), farm.succeeded()
    told = farm.call("retry", failed.id, done.id, cancelled.id, status=1).stderr.splitlines()
    assert told[:2] == [f"Job {failed.id} waits again.", f"Job {cancelled.id} waits again."]
    assert told[2].startswith("error [wrong_state]: ") and len(told) == 3
    assert farm.state(failed) is JobState.QUEUED
    assert farm.state(cancelled) is JobState.QUEUED
    assert farm.state(done) is JobState.SUCCEEDED


def test_retry_all_that_failed(farm: Farm) -> None:
    failed = {farm.failed().id for _ in range(3)}
    farm.cancelled()
    assert {item["id"] for item in farm.json("retry", "--failed")} == failed
    assert farm.json("retry", "--failed") == []


def test_purge(farm: Farm) -> None:
    done, failed, waiting = farm.succeeded(), farm.failed(), farm.queued()
    assert farm.error("purge", "--older-than", "0").startswith("error [invalid_option]: --yes")
    assert farm.json("purge", "--older-than", "1", "--yes")["purged"] == 0
    assert farm.json("purge", "--older-than", "0", "--state", "failed", "-y")["purged"] == 1
    assert "no_such_job" in farm.error("status", failed.id)
    assert farm.call("purge", "--older-than", "0s", "--yes").stderr == "1 jobs forgotten\n"
    assert Path(done.spec.output).exists()
    assert farm.state(waiting) is JobState.QUEUED


# Videos


def test_fetch_into_this_folder(farm: Farm) -> None:
    record = farm.succeeded()
    target = Path.cwd() / "out-1.mp4"
    assert farm.call("fetch", record.id).stdout == f"{target}\n"
    assert target.read_bytes() == Path(record.spec.output).read_bytes()
    assert farm.error("fetch", record.id).startswith("error [output_exists]: ")
    target.write_text("old")
    assert farm.json("fetch", record.id, "--force") == [
        {"id": record.id, "source": record.spec.output, "output": str(target)}
    ]
    assert target.read_bytes() == Path(record.spec.output).read_bytes()
    assert [path.name for path in Path.cwd().iterdir()] == ["out-1.mp4"]


def test_fetch_under_a_name_and_several_into_a_folder(farm: Farm) -> None:
    records = [farm.succeeded() for _ in range(2)]
    farm.call("fetch", records[0].id, "-o", "mine.mp4")
    Path("all").mkdir()
    shown = farm.call("fetch", *(record.id for record in records), "-o", "all").stdout
    assert shown.splitlines() == [f"{Path.cwd()}/all/out-{number}.mp4" for number in (1, 2)]
    assert Path("mine.mp4").read_bytes() == Path("all/out-1.mp4").read_bytes()


def test_fetch_of_a_video_that_is_here_already(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    record = farm.succeeded()
    monkeypatch.chdir(farm.folder)
    before = os.stat(record.spec.output)
    assert farm.call("fetch", record.id).stdout == f"{record.spec.output}\n"
    assert os.stat(record.spec.output).st_ino == before.st_ino


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("none/out.mp4", "output_not_writable"),
        ("none/", "output_not_writable"),
        ("taken.mp4", "output_exists"),
        ("/proc/out.mp4", "output_not_writable"),
    ],
)
def test_fetch_to_where_it_cannot_go(farm: Farm, target: str, code: str) -> None:
    Path("taken.mp4").write_text("precious")
    record = farm.succeeded()
    assert farm.error("fetch", record.id, "-o", target).startswith(f"error [{code}]: ")
    assert Path("taken.mp4").read_text() == "precious"
    assert [path.name for path in Path.cwd().iterdir()] == ["taken.mp4"]


def test_fetch_what_is_not_there(farm: Farm) -> None:
    for record in (farm.queued(), farm.running(), farm.failed(), farm.cancelled()):
        assert farm.error("fetch", record.id).startswith("error [wrong_state]: ")
    done = [farm.succeeded() for _ in range(2)]
    assert farm.error("fetch", *(record.id for record in done), "-o", "none").startswith(
        "error [output_not_writable]: "
    )
    Path(done[0].spec.output).unlink()
    assert farm.error("fetch", done[1].id, done[0].id).startswith("error [no_such_file]: ")
    assert not list(Path.cwd().iterdir())


# The whole


def test_queue(farm: Farm) -> None:
    empty = farm.json("queue")
    assert (empty["queued"], empty["running"], empty["eta"], empty["oldest"]) == (0, 0, None, None)
    assert "nothing to do" in farm.call("queue").stdout
    first = farm.queued(priority="low")
    farm.queued(priority="high")
    farm.queued()
    farm.succeeded()
    values = farm.json("queue")
    assert values["depth"] == {"high": 1, "normal": 1, "low": 1}
    assert values["kinds"] == {"any": 3, "cpu": 0, "cuda": 0}
    assert values["oldest"] == first.created
    assert set(values["rates"]) == {"1", "10", "60"}
    assert values["rates"]["1"]["jobs"] > 0
    assert values["eta"] > 0
    shown = farm.call("queue").stdout
    assert "3 (1 high, 1 normal, 1 low)" in shown


def test_workers(farm: Farm) -> None:
    assert farm.json("workers") == []
    assert "celery -A worker worker" in farm.call("workers").stderr
    info = WorkerInfo(
        id="here-1", host="here", pid=17, started="2026-01-01T00:00:00.000+00:00", concurrency=4,
        consuming=True, version="0.1", device="cuda:0", device_name="Some [GPU]", kind="cuda",
        jobs=("a", "b"), fps=81.25, memory_mb=2048.0, queues=("animator.any.high",),
    )  # fmt: skip
    farm.store.heartbeat(info, 60)
    farm.store.heartbeat(replace(info, id="there-2", host="there", consuming=False), 60)
    first, second = farm.json("workers")
    assert first == {
        "id": "here-1", "host": "here", "pid": 17, "since": "2026-01-01T00:00:00.000+00:00",
        "slots": 4, "consuming": True, "version": "0.1", "device": "cuda:0",
        "device_name": "Some [GPU]", "kind": "cuda", "jobs": ["a", "b"], "fps": 81.25,
        "memory_mb": 2048.0, "queues": ["animator.any.high"],
    }  # fmt: skip
    assert not second["consuming"]
    shown = farm.call("workers").stdout
    assert "cuda:0 (Some [GPU])" in shown and "81.2" in shown and "takes no jobs" in shown


# Watching


def test_watch_in_a_pipe_prints_lines_and_ends_with_the_jobs(farm: Farm) -> None:
    good, bad = farm.running(), farm.running()

    def go_on() -> None:
        time.sleep(0.7)
        farm.store.report(good.id, good.attempt, Progress("encode", 1, 48))
        time.sleep(0.7)
        farm.succeed(good)
        farm.store.fail(bad.id, bad.attempt, JobError("no_face", "No face."))

    with meanwhile(go_on):
        done = farm.call("watch", good.id, bad.id, status=1)
    lines = [line.split("  ")[1:3] for line in done.stdout.splitlines()]
    assert lines == [
        [good.id, "running"],
        [bad.id, "running"],
        [good.id, "running"],
        [good.id, "succeeded"],
        [bad.id, "failed"],
    ]
    assert done.stderr == f"error [no_face]: Job {bad.id}: No face.\n"


def test_watch_of_jobs_that_have_ended(farm: Farm) -> None:
    good, cancelled = farm.succeeded(), farm.cancelled()
    line = json.loads(farm.call("watch", good.id, "--json").stdout)
    assert (line["id"], line["state"]) == (good.id, "succeeded")
    assert "was cancelled" in farm.call("watch", good.id, cancelled.id, status=1).stderr


def test_watch_of_a_job_that_is_purged(farm: Farm) -> None:
    record = farm.running()

    def go_on() -> None:
        time.sleep(0.7)
        farm.store.client.delete(f"animator:job:{record.id}")

    with meanwhile(go_on):
        assert "error [no_such_job]: " in farm.call("watch", record.id, status=1).stderr


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "animator", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "140", "LINES": "12"},
            start_new_session=True,
        )
        os.close(slave)
        self.shown = b""

    def wait_for(self, text: str) -> None:
        while text.encode() not in self.shown:
            self._read()

    def end(self) -> int:
        try:
            while True:
                self._read()
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(self._master)
        return self.process.wait(30)

    def _read(self) -> None:
        part = os.read(self._master, 65536)
        if not part:
            raise OSError("closed")
        self.shown += part


def test_a_terminal_gets_a_table_that_lives(farm: Farm) -> None:
    records = [farm.running(), farm.queued()]
    terminal = Terminal("watch", *(record.id for record in records))
    terminal.wait_for("12/48")
    assert b"1 queued, 1 running, 6.0 frames/s" in terminal.shown
    farm.store.report(records[0].id, 1, Progress("generate", 40, 48, 6.0, 1.0))
    terminal.wait_for("40/48")
    farm.succeed(farm.store.get(records[0].id))
    farm.store.request_cancel(records[1].id)
    assert terminal.end() == 1
    assert b"1 succeeded, 1 cancelled" in terminal.shown
    assert terminal.shown.count(b"\x1b[?25l") == terminal.shown.count(b"\x1b[?25h") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_watch_that_is_ended_leaves_the_jobs_alone(
    farm: Farm, number: signal.Signals, status: int
) -> None:
    record, waiting = farm.running(), [farm.queued() for _ in range(3)]
    terminal = Terminal("watch")
    terminal.wait_for("12/48")
    assert b"3 queued, 1 running" in terminal.shown
    terminal.process.send_signal(number)
    assert terminal.end() == status
    assert b"\x1b[?25h" in terminal.shown  # the cursor is shown again
    assert not farm.store.get(record.id).cancel_requested
    assert {farm.state(item) for item in waiting} == {JobState.QUEUED}


def test_watch_waits_for_a_queue_that_is_away(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    record = farm.running()
    real, asked = JobStore.get_many, []

    def get_many(self: JobStore, ids: Any) -> Any:
        asked.append(ids)
        if len(asked) == 2:
            raise AnimatorError("queue_unavailable", "Away.", retryable=True)
        if len(asked) == 4:
            farm.succeed(record)
        return real(self, ids)

    monkeypatch.setattr(JobStore, "get_many", get_many)
    assert "waiting for it" in farm.call("watch", record.id).stderr


def test_a_worker_is_needed_by_nobody_here(farm: Farm, settings: Settings) -> None:
    """Every command that looks works without a worker, and starts none."""
    record = farm.queued()
    for arguments in (["status"], ["list"], ["queue"], ["workers"], ["logs", record.id]):
        farm.call(*arguments)
    assert Client.connect(settings).queue.alive_workers() == []


# The page


def documented(section: str) -> set[str]:
    """Names in the first column of a table of docs/cli.md."""
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    table = page.split(f"**{section}**", 1)[1].split("\n\n", 2)[1]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_the_page_names_every_field(farm: Farm) -> None:
    record = farm.succeeded()
    farm.store.heartbeat(WorkerInfo("here-1", "here", 17, record.created, 4, True, "0.1"), 60)
    assert documented("A job") == set(farm.json("status", record.id))
    assert documented("`queue`") == set(farm.json("queue"))
    assert documented("A worker of `workers`") == set(farm.json("workers")[0])
    assert set(farm.json("logs", record.id)[0]) == {"time", "worker", "text"}
    assert set(farm.json("fetch", record.id)[0]) == {"id", "source", "output"}
    assert set(farm.json("purge", "--older-than", "9", "--yes")) == {"purged", "before"}


@pytest.mark.parametrize("verb", ["status", "watch", "cancel", "retry", "logs", "fetch"])
def test_a_mistake_is_no_job_that_failed(farm: Farm, verb: str) -> None:
    values = farm.json(verb, "nothing", status=1)
    assert values["state"] is None
    assert values["error"]["code"] == "no_such_job"
