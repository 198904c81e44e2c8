"""`animator watch`, in a pipe and on real terminals."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

from animator.errors import AnimatorError
from animator.jobs.store import JobStore
from animator.record import JobError, JobState, Progress
from tests.animator.farm_commands import Farm, Terminal, meanwhile


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
