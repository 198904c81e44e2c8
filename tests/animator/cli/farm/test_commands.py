"""The commands that look after jobs and workers, on a real Redis."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.jobs.backlog import estimate
from animator.jobs.client import Client
from animator.jobs.store import JobStore
from animator.jobs.workers import WorkerInfo
from animator.record import JobState, Progress
from animator.settings import Settings
from tests.animator.farm_commands import LEASE, Farm, meanwhile

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
    monkeypatch.setattr("animator.cli.farm.listing.PAGE", 2)
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


def test_a_queue_that_goes_away_ends_a_change(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = [farm.queued() for _ in range(3)]
    real = JobStore.request_cancel

    def request_cancel(self: JobStore, job_id: str) -> JobState:
        if job_id == waiting[1].id:
            raise AnimatorError("queue_unavailable", "Away.", retryable=True)
        return real(self, job_id)

    monkeypatch.setattr(JobStore, "request_cancel", request_cancel)
    done = farm.call("cancel", "--all-queued", "--json", status=1)
    assert [item["id"] for item in json.loads(done.stdout)] == [waiting[0].id]
    assert done.stderr == "error [queue_unavailable]: Away.\n"


def test_purge(farm: Farm) -> None:
    done, failed, waiting = farm.succeeded(), farm.failed(), farm.queued()
    assert farm.error("purge", "--older-than", "0").startswith("error [invalid_option]: --yes")
    assert farm.error("purge", "--yes").startswith(
        "error [invalid_option]: --older-than is missing"
    )
    assert farm.json("purge", "--older-than", "1", "--yes")["purged"] == 0
    assert farm.json("purge", "--older-than", "0", "--state", "failed", "-y")["purged"] == 1
    assert "no_such_job" in farm.error("status", failed.id)
    assert farm.call("purge", "--older-than", "0s", "--yes").stderr == "1 jobs forgotten\n"
    assert Path(done.spec.output).exists()
    assert farm.state(waiting) is JobState.QUEUED


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


def test_the_time_left(farm: Farm) -> None:
    """By what jobs take; a time in which there was nothing to do does not count."""
    running, started = farm.running(), datetime.now(UTC)
    ended = farm.succeeded()  # after 8 seconds
    soon = replace(running, progress=Progress("generate", 12, 48, 6.0, 6.0))
    young = replace(running, progress=None)
    paced = replace(running, progress=Progress("generate", 12, 48, 4.0))
    old = replace(soon, started=(started - timedelta(seconds=14)).isoformat())
    assert estimate(0, [], [ended], 1) is None
    assert estimate(3, [], [], 1) is None
    assert estimate(0, [young], [], 1) is None and estimate(1, [young], [], 1) is None
    assert estimate(0, [soon], [], 1) == 6 and estimate(0, [paced], [], 1) == 9
    assert estimate(0, [young], [ended], 1) == pytest.approx(8, abs=2)
    assert estimate(3, [], [ended], 1) == 24 and estimate(3, [], [ended], 2) == 12
    assert estimate(2, [soon], [ended], 1) == 22
    assert estimate(2, [old], [], 1) == pytest.approx(46, abs=2)
    assert estimate(1, [soon, soon], [ended], 8) == 8
    assert estimate(1, [soon], [], 0) == pytest.approx(6 + 6, abs=2)


def test_a_queue_that_stood_still_for_long(farm: Farm) -> None:
    """One job ended in the last hour; thirty seconds of work are not three hours."""
    farm.succeeded()
    for _ in range(3):
        farm.queued()
    farm.running()
    assert farm.json("queue")["eta"] == pytest.approx(3 * 8 + 6)
    assert "left      about 0:30" in farm.call("queue").stdout


def test_a_time_left_that_is_not_known(farm: Farm) -> None:
    farm.queued()
    assert farm.json("queue")["eta"] is None
    assert "left      not known yet" in farm.call("queue").stdout


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


def test_a_worker_is_needed_by_nobody_here(farm: Farm, settings: Settings) -> None:
    """Every command that looks works without a worker, and starts none."""
    record = farm.queued()
    for arguments in (["status"], ["list"], ["queue"], ["workers"], ["logs", record.id]):
        farm.call(*arguments)
    assert Client.connect(settings).queue.alive_workers() == []


# The page


def documented(section: str) -> set[str]:
    """Names in the first column of a table of docs/cli.md."""
    page = (Path(__file__).parents[4] / "docs" / "cli.md").read_text(encoding="utf-8")
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
